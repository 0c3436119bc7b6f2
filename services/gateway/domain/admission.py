"""What may be sent: the rules of one message, each fault with the pointer to its field.

Limits are the provider's: WhatsApp Cloud API, messages reference, read 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from shared.errors import FieldError

E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_SEPARATORS: Final = str.maketrans("", "", " -().")
_FAR_FUTURE_YEAR: Final = 9000
CLOCK_SKEW: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Moments:
    """When a message may leave and until when."""

    not_before: datetime
    is_scheduled: bool
    expires_at: datetime | None


def normalized_phone(text: str) -> str | None:
    """E.164 with the plus sign, blanks and punctuation taken out; None where it cannot be a phone number."""
    compact = text.translate(_SEPARATORS)
    return compact if E164.fullmatch(compact) else None


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


def content_faults(message_type: str, parts: Mapping[str, Any]) -> Iterator[FieldError]:
    """`type` names the one part that must be there. `parts` maps each type to its part or None."""
    for name, part in parts.items():
        if name == message_type and part is None:
            yield FieldError(f"/{name}", "field.missing", f"a message of type {message_type} needs it")
        elif name != message_type and part is not None:
            yield FieldError(f"/{name}", "field.surplus", f"does not belong to a message of type {message_type}")
