"""Events to bytes and back: a batch is a JSON array of events of one subject, as zstd (RFC 8878) where it is long.

Which of both it is shows in the first byte, so readers take either at any time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import zstandard
from pydantic import TypeAdapter

from shared.errors import Permanent
from shared.events.event import MAX_BATCH_EVENTS, Event, registered_events

MAX_BATCH_BYTES: Final = 1_048_576
"""Bytes that several events in one bus message have at most. RabbitMQ 4 refuses messages over 16 MiB; one event stays far below."""
LONG_BYTES: Final = 2_048
"""From here on a body is compressed: a batch to a tenth, at 0.2 µs an event. A message alone stays readable to whoever looks."""
LONGEST_BYTES: Final = 64 * 1_048_576
"""What a body may claim to hold; one event is far below, so anything more is an attack or rubbish."""
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"


class _Zstd(threading.local):
    """zstd with its working memory, which belongs to one thread: to make that anew takes longer than most bodies do."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=1).compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_zstd: Final = _Zstd()


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
        yield Batch(event_type.subject(), packed(body), len(events))
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
        return _adapter(event_type).validate_json(unpacked(body))
    except ValueError as error:  # pydantic's ValidationError is one
        raise Permanent("event.malformed") from error


def packed(text: bytes) -> bytes:
    """JSON as it goes over the bus."""
    return text if len(text) < LONG_BYTES else _zstd.compress(text)


def unpacked(body: bytes) -> bytes:
    """The JSON of a body. Raises `ValueError` where it is neither JSON nor zstd of a sensible length."""
    if not body.startswith(_ZSTD_MAGIC):
        return body
    try:
        if not 0 <= zstandard.frame_content_size(body) <= LONGEST_BYTES:
            raise ValueError("a zstd frame without its length, or of an absurd one")
        return _zstd.decompress(body)
    except zstandard.ZstdError as error:
        raise ValueError("broken zstd") from error
