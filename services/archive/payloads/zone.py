"""Time zones by their IANA names."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Final
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

_NO_PLACES: Final = frozenset({"localtime", "posixrules", "Factory"})
"""Files that stand beside the zones: the machine's own, and none."""


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones()) - _NO_PLACES


def _known(name: str) -> str:
    if name not in _names():
        raise PydanticCustomError("time_zone.unknown", "is no time zone of the IANA database")
    return name


TimeZone = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_known)]
