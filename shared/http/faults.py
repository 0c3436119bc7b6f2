"""Faults of a body or a query as `FieldError`s: pydantic's errors by pointer and stable code, and values that cannot be stored.

No sentence here quotes the input: what a caller sent by mistake (a token in the wrong field) must not travel on in an answer.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pydantic_core
from pydantic import ValidationError

from shared.errors import FieldError
from shared.http.codes import Code

Path = tuple[str | int, ...]

MAX_FAULTS: Final = 2_000
"""Beyond that many, only their number is told: naming each would take longer than reading the body."""

_INT64: Final = 2**63
_MAX_SEGMENT: Final = 64

_CODES: Final[dict[str, tuple[Code, str]]] = {
    "missing": (Code.FIELD_MISSING, "is required"),
    "extra_forbidden": (Code.FIELD_UNKNOWN, "is not a field here"),
    "string_type": (Code.FIELD_TYPE, "must be a string"),
    "int_type": (Code.FIELD_TYPE, "must be an integer"),
    "int_from_float": (Code.FIELD_TYPE, "must be an integer"),
    "int_parsing": (Code.FIELD_TYPE, "must be an integer"),
    "float_type": (Code.FIELD_TYPE, "must be a number"),
    "float_parsing": (Code.FIELD_TYPE, "must be a number"),
    "bool_type": (Code.FIELD_TYPE, "must be true or false"),
    "bool_parsing": (Code.FIELD_TYPE, "must be true or false"),
    "list_type": (Code.FIELD_TYPE, "must be an array"),
    "tuple_type": (Code.FIELD_TYPE, "must be an array"),
    "dict_type": (Code.FIELD_TYPE, "must be an object"),
    "model_type": (Code.FIELD_TYPE, "must be an object"),
    "model_attributes_type": (Code.FIELD_TYPE, "must be an object"),
    "datetime_type": (Code.FIELD_TYPE, "must be a string with an RFC 3339 time"),
    "none_required": (Code.FIELD_TYPE, "must be null"),
    "timezone_aware": (Code.FIELD_FORMAT, "must have an offset, as in 2026-12-01T10:00:00+01:00"),
    "datetime_parsing": (Code.FIELD_FORMAT, "must be an RFC 3339 time, as in 2026-12-01T10:00:00+01:00"),
    "datetime_from_date_parsing": (Code.FIELD_FORMAT, "must be an RFC 3339 time, as in 2026-12-01T10:00:00+01:00"),
    "bytes_too_long": (Code.FIELD_TOO_LONG, "must have at most {max_length} bytes"),
    "bytes_too_short": (Code.FIELD_TOO_SHORT, "must have at least {min_length} bytes"),
    "string_too_long": (Code.FIELD_TOO_LONG, "must have at most {max_length} characters"),
    "too_long": (Code.FIELD_TOO_LONG, "must have at most {max_length} items"),
    "string_too_short": (Code.FIELD_TOO_SHORT, "must have at least {min_length} characters"),
    "too_short": (Code.FIELD_TOO_SHORT, "must have at least {min_length} items"),
    "greater_than": (Code.FIELD_OUT_OF_RANGE, "must be greater than {gt}"),
    "greater_than_equal": (Code.FIELD_OUT_OF_RANGE, "must be at least {ge}"),
    "less_than": (Code.FIELD_OUT_OF_RANGE, "must be less than {lt}"),
    "less_than_equal": (Code.FIELD_OUT_OF_RANGE, "must be at most {le}"),
    "multiple_of": (Code.FIELD_OUT_OF_RANGE, "must be a multiple of {multiple_of}"),
    "finite_number": (Code.FIELD_OUT_OF_RANGE, "must be a finite number"),
    "int_parsing_size": (Code.FIELD_OUT_OF_RANGE, "is too large"),
    "literal_error": (Code.FIELD_CHOICE, "must be {expected}"),
    "enum": (Code.FIELD_CHOICE, "must be {expected}"),
    "union_tag_invalid": (Code.FIELD_CHOICE, "must have {discriminator} one of {expected_tags}"),
    "union_tag_not_found": (Code.FIELD_MISSING, "must have {discriminator}"),
}

_AS_JSON: Final = {"True": "true", "False": "false", "None": "null"}
_LENGTHS: Final = frozenset({"too_short", "too_long"})
_OF_LENGTH: Final = frozenset({Code.FIELD_TOO_SHORT, Code.FIELD_TOO_LONG})
_NO_CONTAINER: Final = "Value"
"""What pydantic calls anything with a length that is no list, object, set or tuple: to us a secret text."""


def faults_of(error: ValidationError, document: Any, prefix: str = "") -> list[FieldError]:
    """Each fault once, in the order of the document's model.

    `document` is the parsed input: pydantic's locations name union members besides fields, and only the input tells them apart.
    """
    if error.error_count() > MAX_FAULTS:
        return [FieldError(prefix, Code.FIELD_INVALID, f"has {error.error_count()} faults, too many to list")]
    faults: dict[tuple[str, str], FieldError] = {}
    for item in error.errors(include_url=False, include_input=False):
        code, detail = _explain(item)
        is_missing = item["type"] == "missing" or item["type"].endswith(".missing")
        pointer = prefix + pointer_to(_path_within(document, item["loc"], is_missing=is_missing))
        former = faults.get((pointer, code))
        if former is not None and detail not in former.detail:  # members of a union, each with its own wish
            detail = f"{former.detail}, or {detail}"
        faults[pointer, code] = FieldError(pointer, code, detail)
    return _without_other_branches(list(faults.values()))


def _without_other_branches(faults: list[FieldError]) -> list[FieldError]:
    """Without "must be a string" where a closer fault is known: a union complains for each member, and one was meant."""
    closer = {fault.pointer for fault in faults if fault.code != Code.FIELD_TYPE}
    for fault in faults:
        pointer = fault.pointer
        while pointer:
            pointer = pointer.rpartition("/")[0]
            closer.add(pointer)
    return [fault for fault in faults if fault.code != Code.FIELD_TYPE or fault.pointer not in closer]


def unstorable(data: bytes | str) -> list[FieldError]:
    """The values of a JSON document that PostgreSQL or a JSON writer would choke on. Raises ValueError where it is no JSON."""
    document = json.loads(data, parse_int=_bounded_int)
    return list(_unstorable_in(document))


# What makes a closer look worth its while. False alarms cost time only; a value `unstorable` would name always matches.
_LONG_NUMBER: Final = re.compile(rb"[0-9](?:[0-9]{18,}[\s,}\].eE]|[eE]\+?[0-9]{3,}[\s,}\]])")


def is_suspect(data: bytes) -> bool:
    """True where a valid JSON document may hold a value that cannot be stored. Fast: every body passes here."""
    return b"\\u0000" in data or b"NaN" in data or b"Infinity" in data or _LONG_NUMBER.search(data) is not None


def text_fault(text: str) -> str | None:
    """What is wrong with a text, if PostgreSQL cannot hold it."""
    if "\x00" in text:
        return "holds U+0000"
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return "holds half a surrogate pair"
    return None


def pointer_to(path: Sequence[str | int]) -> str:
    """RFC 6901. Long names are cut, unprintable characters replaced: they came from the caller and go back in an answer."""
    return "".join(f"/{_escape(str(segment))}" for segment in path)


def _escape(segment: str) -> str:
    shown = segment if len(segment) <= _MAX_SEGMENT else f"{segment[:_MAX_SEGMENT]}…"
    if not shown.isprintable():
        shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in shown)
    return shown.replace("~", "~0").replace("/", "~1")


def _explain(item: pydantic_core.ErrorDetails) -> tuple[str, str]:
    kind = item["type"]
    if kind in _LENGTHS and item.get("ctx", {}).get("field_type") == _NO_CONTAINER:
        kind = f"string_{kind}"
    if kind in _CODES:
        code, sentence = _CODES[kind]
        context = item.get("ctx", {})
        if code is Code.FIELD_CHOICE and (choice := context.get("expected")) in _AS_JSON:
            return code, f"must be {_AS_JSON[choice]}"
        if code in _OF_LENGTH and 1 in (context.get("min_length"), context.get("max_length")):
            sentence = sentence.removesuffix("s")
        return code, sentence.format_map(context)
    if "." in kind:  # a PydanticCustomError of ours: its type is the code, its text our own
        return kind, item["msg"]
    return Code.FIELD_FORMAT if "pars" in kind or "pattern" in kind else Code.FIELD_INVALID, "does not have the expected form"


def _path_within(document: Any, location: Sequence[str | int], *, is_missing: bool) -> Path:
    """The part of pydantic's location that exists in the document, and the last step where that is what is missing."""
    path: list[str | int] = []
    node = document
    for index, step in enumerate(location):
        if not isinstance(node, dict | list):
            continue
        try:
            node = node[step]  # type: ignore[index]  # a name in an object, an index in an array, or neither
        except (KeyError, IndexError, TypeError):
            if not (is_missing and isinstance(node, dict) and index == len(location) - 1):
                continue
        path.append(step)
    return tuple(path)


def _unstorable_in(document: Any) -> Iterator[FieldError]:
    waiting: list[tuple[Path, Any]] = [((), document)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, dict):
            names = ((name, text_fault(name)) for name in node)
            yield from (_bad_text((*path, name), f"has a name that {fault}") for name, fault in names if fault)
            waiting.extend(((*path, name), value) for name, value in reversed(node.items()))
        elif isinstance(node, list):
            waiting.extend(((*path, index), node[index]) for index in reversed(range(len(node))))
        elif isinstance(node, str) and (fault := text_fault(node)):
            yield _bad_text(path, fault)
        elif isinstance(node, float) and not math.isfinite(node):
            yield FieldError(pointer_to(path), Code.FIELD_OUT_OF_RANGE, "must be a finite number")
        elif isinstance(node, int) and not -_INT64 <= node < _INT64:
            yield FieldError(pointer_to(path), Code.FIELD_OUT_OF_RANGE, "must fit in 64 bits")


def _bad_text(path: Path, fault: str) -> FieldError:
    return FieldError(pointer_to(path), Code.FIELD_BAD_TEXT, fault)


def _bounded_int(digits: str) -> int:
    """Python refuses to parse thousands of digits, with an error that is none of the caller's."""
    return int(digits) if len(digits) < 20 else _INT64
