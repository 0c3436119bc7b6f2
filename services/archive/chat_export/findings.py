"""What is found out about an export before and while it is read. All of it is JSON, so that another process can go on with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Self

from services.archive.chat_export.shapes import Shape


class DayOrder(StrEnum):
    """How the parts of a date stand. A named month needs no decision and counts as day first."""

    DAY_FIRST = "day_first"
    MONTH_FIRST = "month_first"
    YEAR_FIRST = "year_first"


class Platform(StrEnum):
    """The application that wrote the file, as far as its headers tell."""

    ANDROID = "android"
    IOS = "ios"


class LineEnds(StrEnum):
    """How lines end. `pure`: CRLF ends a record and a bare LF goes on with it, as iOS writes; `crlf`: everywhere, or mixed."""

    LF = "lf"
    CRLF = "crlf"
    PURE = "pure"


class DoubtReason(StrEnum):
    """Why a line is reported. None is dropped: what is no record of its own is text of the record before; without one it is in the
    report."""

    PREAMBLE = "preamble"  # stands before the first header, where no record takes it
    OTHER_HEADER = "other_header"  # looks like a header of another shape; taken for text
    IMPOSSIBLE_TIME = "impossible_time"  # a header whose date does not exist or cannot be; text of the record before, if any
    PASTED_HEADER = "pasted_header"  # far older than its neighbours, by somebody who says nothing else; taken for text
    GOES_BACK = "goes_back"  # a record far older than the one before
    UNDECODABLE = "undecodable"  # not in the file's encoding; read as Windows-1252
    TOO_LONG = "too_long"  # the rest of the record was left out
    UNKNOWN_MARKER = "unknown_marker"  # looks like a wording of the application's that is not known; taken for text


class Doubt(NamedTuple):
    """A line that was not understood. `text` is its beginning."""

    line: int
    reason: DoubtReason
    text: str


class NotAnExport(Exception):
    """The text is no exported chat. `first_lines` can be shown to whoever sent it."""

    def __init__(self, first_lines: list[str]) -> None:
        super().__init__("not an exported chat")
        self.first_lines = first_lines


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who speaks in the export. `raw_names` are the spellings of the file, the most frequent first; `is_self_chosen`: it
    stands with a tilde, as the names do that people outside the address book gave themselves."""

    name: str
    raw_names: tuple[str, ...]
    records: int
    is_self_chosen: bool = False


@dataclass(frozen=True, slots=True)
class Survey:
    """What a file is, decided from all of it.

    `records` counts headers that can be, so it is right but for pasted ones. `confidence` is of the day order: 1 where it is
    certain, 0 where nothing in the file tells; `reasons` say what told, in English. `first` and `last` are wall times.
    """

    encoding: str
    platform: Platform
    shape: Shape
    line_ends: LineEnds
    day_order: DayOrder
    confidence: float
    reasons: tuple[str, ...]
    people: tuple[Person, ...]
    first: datetime
    last: datetime
    records: int
    lines: int
    size_bytes: int

    def as_json(self) -> dict[str, Any]:
        """It as JSON values."""
        return {**asdict(self), "first": self.first.isoformat(), "last": self.last.isoformat()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """What `as_json` gave, read again."""
        return cls(
            **{
                **value,
                "platform": Platform(value["platform"]),
                "shape": Shape(**{**value["shape"], "separators": tuple(value["shape"]["separators"])}),
                "line_ends": LineEnds(value["line_ends"]),
                "day_order": DayOrder(value["day_order"]),
                "reasons": tuple(value["reasons"]),
                "people": tuple(Person(**{**person, "raw_names": tuple(person["raw_names"])}) for person in value["people"]),
                "first": datetime.fromisoformat(value["first"]),
                "last": datetime.fromisoformat(value["last"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller decides. `day_order` overrides the survey's; `latest` is the last wall time that is believed (now and two
    days; None believes any)."""

    day_order: DayOrder | None = None
    latest: datetime | None = None
