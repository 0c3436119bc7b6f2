"""Obstacles: what keeps a message that is due from leaving, beside the want of room.

`claim_due` finds them, in this order: its recipient wants nothing (suppressed), its template cannot be sent (blocked), its hours
are closed (quiet), or it would need a customer service window that is not open (doubted, and a moment later closed).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from services.scheduler.domain.hours import NeverOpenError, open_span
from shared.events.catalogue import MessageAccepted
from shared.events.values import Content, Hours, Tier


class Obstacle(StrEnum):
    """The words of `claim_due`."""

    SUPPRESSED = "suppressed"
    BLOCKED = "blocked"
    QUIET = "quiet"
    DOUBTED = "doubted"
    CLOSED = "closed"


OPTED_OUT: Final = "contact.opted_out"
QUIET_HOURS: Final = "hours.quiet"
HOURS_UNUSABLE: Final = "hours.unusable"
WINDOW_CLOSED: Final = "window.closed"
DETAILS: Final = {
    WINDOW_CLOSED: "The recipient has not written to this number within 24 hours: only a template can be sent.",
    HOURS_UNUSABLE: "The hours in which it may leave have no opening, or their zone is unknown.",
}
DOUBT: Final = timedelta(seconds=5)
"""An answer to somebody who has just written can overtake the news that they did: what seems closed is looked at once more."""
LATER: Final = timedelta(seconds=30)
"""What waits for longer than that is taken out at once when its recipient opts out; the rest when it is due."""


def template_of(content: Content) -> str | None:
    """`name:language` of the template that is to be sent; None where none is, or it is not named."""
    template = content.get("template")
    if content.get("type") != "template" or not isinstance(template, dict):
        return None
    language = template.get("language")
    return template_key(str(template.get("name")), str(language.get("code"))) if isinstance(language, dict) else None


def template_key(name: str, language: str) -> str:
    """How a template is called among those of its account. Names are of letters, digits and underscores (WhatsApp Cloud API,
    message templates, read 2026-11)."""
    return f"{name}:{language}"


def is_free_form(content: Content) -> bool:
    """Whether the provider takes it within a customer service window only."""
    return content.get("type") != "template"


class UnusableHoursError(ValueError):
    """Hours that never open, or of a zone that nobody knows."""


class Openings:
    """When messages may leave, by their hours. One for a batch: hours that come again are not worked out again."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Hours, datetime, datetime, datetime | None]] = {}

    def quiet_at(self, event: MessageAccepted) -> tuple[str | None, datetime | None]:
        """Its hours as they are kept, and the moment from which it may not leave: its due time where that is closed, None where
        nothing ever closes. A critical message has none."""
        if event.hours is None or event.tier is Tier.CRITICAL:
            return None, None
        hours = event.hours.model_dump_json()
        try:
            start, end = self.span(hours, event.not_before)
        except UnusableHoursError:
            return hours, event.not_before
        return hours, event.not_before if start > event.not_before else end

    def span(self, hours: str, at: datetime) -> tuple[datetime, datetime | None]:
        """The first moment from `at` on that is open, and when that opening ends. Raises `UnusableHoursError`."""
        known = self._known.get(hours)
        if known is None or at < known[1] or (known[3] is not None and at >= known[3]):
            parsed = known[0] if known else Hours.model_validate_json(hours)
            try:
                known = self._known[hours] = (parsed, at, *open_span(parsed, parsed.zone, at))
            except (NeverOpenError, KeyError) as error:
                raise UnusableHoursError from error
        return max(known[2], at.astimezone(UTC)), known[3]
