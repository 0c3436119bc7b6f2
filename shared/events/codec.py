"""Events to bytes and back: a batch is a JSON array of events of one subject."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from pydantic import TypeAdapter, ValidationError

from shared.errors import Permanent
from shared.events.event import MAX_BATCH_EVENTS, Event, registered_events

MAX_BATCH_BYTES: Final = 1_048_576
"""Bytes that several events in one bus message have at most. RabbitMQ 4 refuses messages over 16 MiB; one event stays far below."""


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
    """Group by subject, keep the order within each, cut at 256 events and at `MAX_BATCH_BYTES`. Nothing in gives nothing out."""
    groups: dict[type[Event], list[Event]] = {}
    for event in events:
        groups.setdefault(type(event), []).append(event)
    return [
        batch
        for event_type, group in groups.items()
        for start in range(0, len(group), MAX_BATCH_EVENTS)
        for batch in _cut(event_type, group[start : start + MAX_BATCH_EVENTS])
    ]


def _cut(event_type: type[Event], events: list[Event]) -> Iterator[Batch]:
    """One batch, or, where that is rarely too big, those of either half."""
    body = _adapter(event_type).dump_json(events, exclude_none=True)
    if len(body) <= MAX_BATCH_BYTES or len(events) == 1:
        yield Batch(event_type.subject(), body, len(events))
        return
    middle = len(events) // 2
    yield from _cut(event_type, events[:middle])
    yield from _cut(event_type, events[middle:])


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
