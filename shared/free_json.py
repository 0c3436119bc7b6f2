"""Free JSON that every hop can carry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from shared.errors import FieldError

_LARGEST_INTEGER: Final = 2**53
_DEEPEST: Final = 16


def json_faults(value: Any, pointer: str, depth: int = 0) -> Iterator[FieldError]:
    """Whole numbers lie within 2^53, and nothing is deeper than 16."""
    if depth > _DEEPEST:
        yield FieldError(pointer, "json.too_deep", f"is nested deeper than {_DEEPEST} levels")
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from json_faults(inner, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}", depth + 1)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from json_faults(inner, f"{pointer}/{index}", depth + 1)
    elif isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        yield FieldError(pointer, "number.out_of_range", "whole numbers lie within ±2^53")
