"""Events to bytes and back: a batch is a JSON array of events of one subject."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from pydantic import TypeAdapter, ValidationError

from shared.errors import Permanent
from shared.events.event import MAX_BATCH_EVENTS, Event, registered_events


@dataclass(frozen=True, slots=True)
class Batch:
    """What one bus message carries: `count` events of one `subject`, encoded. Also what one outbox row holds."""

    subject: str
    body: bytes
    count: int


@cache
def _adapter(event_type: type[Event]) -> TypeAdapter[list[Event]]:
    return TypeAdapter(list[event_type])  # type: ignore[valid-type]  # the class is a run-time value here


def encode(events: Iterable[Event]) -> list[Batch]:
    """Group by subject, keep the order within each, cut at 256. Nothing in gives nothing out."""
    groups: dict[type[Event], list[Event]] = {}
    for event in events:
        groups.setdefault(type(event), []).append(event)
    batches = []
    for event_type, group in groups.items():
        for start in range(0, len(group), MAX_BATCH_EVENTS):
            part = group[start : start + MAX_BATCH_EVENTS]
            body = _adapter(event_type).dump_json(part, exclude_none=True)
            batches.append(Batch(event_type.subject(), body, len(part)))
    return batches


def decode(subject: str, body: bytes) -> Sequence[Event]:
    """The events of one bus message.

    Raises `Permanent("event.unknown_subject")` or `Permanent("event.malformed")`: such bytes never become readable by waiting.
    """
    event_type = registered_events().get(subject)
    if event_type is None:
        raise Permanent("event.unknown_subject")
    try:
        return _adapter(event_type).validate_json(body)
    except ValidationError as error:
        raise Permanent("event.malformed") from error
