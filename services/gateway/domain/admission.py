"""What may be sent: the rules of one message, each fault with the pointer to its field.

Limits are the provider's: WhatsApp Cloud API, messages reference, read 2026-11.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from services.gateway.domain.contact import parse_user_id
from shared.errors import FieldError

E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_SEPARATORS: Final = str.maketrans("", "", " -().")
_FAR_FUTURE_YEAR: Final = 9000
CLOCK_SKEW: Final = timedelta(seconds=1)
GROUP: Final = "group:"
"""Before the id of a WhatsApp group, it is the group's address."""
_GROUP_ID: Final = re.compile(r"[A-Za-z0-9._@-]{1,128}")


NAMED_FOR: Final = timedelta(days=7)
"""So long, and a day more, the sender knows under which wamid a message of ours was sent."""


class Moments(NamedTuple):
    """When a message may leave and until when."""

    not_before: datetime
    is_scheduled: bool
    expires_at: datetime | None


def normalized_phone(text: str) -> str | None:
    """E.164 with the plus sign, blanks and punctuation taken out; None where it cannot be a phone number."""
    if E164.fullmatch(text):  # as most are
        return text
    compact = text.translate(_SEPARATORS)
    return compact if E164.fullmatch(compact) else None


def normalized_address(text: str) -> str | None:
    """A phone number as above, or a business-scoped user id as it is; None for what is neither."""
    return normalized_phone(text) or parse_user_id(text)


def is_address(text: str) -> bool:
    """True for what a message can go to: a normalized phone number, a business-scoped user id, or a group's address."""
    if text.startswith(GROUP):
        return _GROUP_ID.fullmatch(text, len(GROUP)) is not None
    return E164.fullmatch(text) is not None or parse_user_id(text) is not None


def misaddressed(kind: str, recipient: str) -> FieldError | None:
    """Why this type of content cannot go to that address. Source: WhatsApp Cloud API, groups, read 2026-11."""
    if kind == "pin" and not recipient.startswith(GROUP):
        return FieldError("/pin", "content.groups_only", "goes to groups only")
    if kind == "interactive" and recipient.startswith(GROUP):
        return FieldError("/interactive", "content.not_to_groups", "does not go to groups")
    return None


def is_forgotten(message_id: str, at: datetime) -> bool:
    """True where, at that time, the sender may not know any more what the provider calls a message of ours: its id says when it was
    made (UUIDv7, RFC 9562 §5.7)."""
    seconds = (int(message_id.partition("_")[2], 32) >> 82) / 1000
    return seconds < at.timestamp() - NAMED_FOR.total_seconds()


def moments(scheduled_time: datetime | None, expires_at: datetime | None, now: datetime) -> Moments | FieldError:
    """The past means now; a message must have time to leave before it expires."""
    for pointer, moment in (("/scheduled_time", scheduled_time), ("/expires_at", expires_at)):
        if moment is not None and not 1970 < moment.year < _FAR_FUTURE_YEAR:
            return FieldError(pointer, "time.out_of_range", f"must lie before the year {_FAR_FUTURE_YEAR}")
    is_scheduled = scheduled_time is not None and scheduled_time > now + CLOCK_SKEW
    not_before = scheduled_time if scheduled_time is not None and scheduled_time > now else now
    if expires_at is not None and expires_at <= not_before:
        return FieldError("/expires_at", "time.too_early", "must lie after the moment of sending")
    return Moments(not_before, is_scheduled, expires_at)
