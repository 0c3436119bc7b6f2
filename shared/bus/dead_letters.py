"""Dead letters, and what an operator does with them: look, try again, throw away.

A letter's id is made from its bytes, so that it is the same however often it is looked at and however it came to be dead: an event
that was buried twice, because a process died in between, is one letter. On RabbitMQ whoever looks takes the letters in hand and
gives them back; others see less meanwhile, so one looks at a time.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

import orjson
from pydantic import BaseModel

from shared.errors import Permanent
from shared.events.codec import decode, unpacked
from shared.events.event import Event
from shared.personal import REDACTED, personal_fields
from shared.telemetry.redaction import HIDDEN_FIELDS, is_plain

LOOKED_AT: Final = 2_000
"""Letters of one queue in hand at once: what stands behind them is reached when these are settled."""
ID_PREFIX: Final = "dlt"
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,20}(Z|[+-][0-9]{2}:[0-9]{2})")
_ID: Final = re.compile(r"[a-z]{3}_[0-9a-v]{26}")
_ENVELOPE: Final[Mapping[str, re.Pattern[str]]] = {"event_id": _ID, "tenant_id": _ID, "message_id": _ID, "occurred_at": _TIME}
_SUBJECT: Final = re.compile(r"[a-z0-9_]{1,60}(\.[a-z0-9_]{1,60}){1,5}")
BROKER_GAVE_UP: Final = "delivery.limit"
"""The code of what the broker buried by itself: it was delivered again and again, and nobody ever said how that ended."""


@dataclass(frozen=True)
class DeadLetter:
    """One bus message in a dead-letter queue. `queue` is the subscription's name; `attempts` how often it was tried, as far as that
    was counted; `died_at` is None where nobody noted it."""

    queue: str
    subject: str
    body: bytes
    code: str
    attempts: int
    died_at: datetime | None

    @cached_property
    def letter_id(self) -> str:
        digest = hashlib.sha256(b"\0".join((self.queue.encode(), self.subject.encode(), self.body))).digest()
        return f"{ID_PREFIX}_{base64.b32hexencode(digest).decode().lower()[:26]}"

    @property
    def shown_subject(self) -> str:
        """Empty where what it says is no subject: who may publish can write there what he likes."""
        return self.subject if _SUBJECT.fullmatch(self.subject) else ""

    @cached_property
    def events(self) -> Sequence[Event]:
        """Nothing where it cannot be read."""
        try:
            return decode(self.subject, self.body)
        except Permanent:
            return ()

    @cached_property
    def envelope(self) -> Mapping[str, str]:
        """Of the first event, even where the rest of it cannot be read: its ids, which are nobody's name."""
        try:
            first = orjson.loads(unpacked(self.body))[0]
            found = {name: first.get(name) for name in _ENVELOPE}
        except (ValueError, LookupError, TypeError, AttributeError):
            return {}
        return {name: text for name, text in found.items() if isinstance(text, str) and _ENVELOPE[name].fullmatch(text)}

    def redacted(self) -> list[Any]:
        """The events as JSON. What is personal in them is replaced, however deep it stands, and whatever a tenant or a provider may
        have put into words too: it is the ids and codes that tell why it died."""
        return [_redacted(event) for event in self.events]


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The oldest of a queue's dead letters, in the order they stand, and how many there are in all. Equal ones are one, in both, as
    far as they were looked at."""

    letters: Sequence[DeadLetter]
    total: int

    @classmethod
    def among(cls, looked_at: Sequence[DeadLetter], total: int) -> DeadLetters:
        """`total` counts them as the queue does: each of those that are equal."""
        letters = {letter.letter_id: letter for letter in looked_at}
        return cls(list(letters.values()), total - (len(looked_at) - len(letters)))


Wanted = Callable[[DeadLetter], bool]


def _redacted(value: Any) -> Any:
    if isinstance(value, BaseModel):
        hidden = personal_fields(type(value)) | HIDDEN_FIELDS
        return {
            name: REDACTED if name in hidden else _redacted(found)
            for name in type(value).model_fields
            if (found := getattr(value, name)) is not None
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(found) for found in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and is_plain(value)):
        return value
    return REDACTED
