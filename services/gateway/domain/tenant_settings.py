"""What a tenant wants of time and words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from pydantic import Field

from services.gateway.domain.keywords import START, STOP, folded
from services.gateway.domain.zones import is_zone
from shared.errors import FieldError
from shared.events.values import DailySpan, Hours
from shared.personal import Model

DEFAULT_ZONE: Final = "UTC"
_DAY: Final = 24 * 60
_WEEK: Final = 7 * _DAY

Words = dict[str, list[str]]
"""By language."""


class Opening(Model):
    """When messages may leave that have no hours of their own: never within `quiet`; where `allowed` is not empty, only within
    it."""

    quiet: list[DailySpan] = Field(default_factory=list)
    allowed: list[DailySpan] = Field(default_factory=list)


def _words(words: Any) -> Words:
    return {language: list(of_language) for language, of_language in words.items()}


class TenantSettings(Model):
    """As they are; the defaults are those of a tenant who has chosen nothing. `revision` 0: never changed."""

    revision: int = 0
    time_zone: str = DEFAULT_ZONE
    hours: Opening | None = None
    stop_words: Words = Field(default_factory=lambda: _words(STOP))
    start_words: Words = Field(default_factory=lambda: _words(START))

    def told_hours(self) -> Hours | None:
        """The hours as the others are told them."""
        if self.hours is None:
            return None
        return Hours(zone=self.time_zone, quiet=self.hours.quiet, allowed=self.hours.allowed)


def faults(settings: TenantSettings) -> Iterator[FieldError]:
    """What is wrong with settings whose fields are right each by itself."""
    if not is_zone(settings.time_zone):
        yield FieldError("/time_zone", "time_zone.unknown", "must be a zone of the IANA database, as in America/Lima")
    if settings.hours is not None and not is_ever_open(settings.hours):
        yield FieldError("/hours", "hours.never_open", "leave no moment of the week in which a message may leave")
    for field, words in (("stop_words", settings.stop_words), ("start_words", settings.start_words)):
        for language, of_language in words.items():
            for index, word in enumerate(of_language):
                if not folded(word):
                    yield FieldError(f"/{field}/{language}/{index}", "keyword.empty", "must hold a letter or a digit")


def is_ever_open(hours: Opening) -> bool:
    """True where some minute of the week is within the allowed spans, if there are any, and outside the quiet ones."""
    allowed = _minutes(hours.allowed) if hours.allowed else set(range(_WEEK))
    return bool(allowed - _minutes(hours.quiet))


def _minutes(spans: Sequence[DailySpan]) -> set[int]:
    """The minutes of the week that they cover."""
    covered: set[int] = set()
    for span in spans:
        start, end = _minute(span.start), _minute(span.end)
        length = end - start if end > start else end - start + _DAY
        for day in span.days:
            first = (day - 1) * _DAY + start
            covered.update(minute % _WEEK for minute in range(first, first + length))
    return covered


def _minute(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)
