"""A message's timeline: every state it was ever told to be in, late and lower ones too.

It is kept as text, a line per entry in the order they were told, `status time [code [until]]`:

    accepted 2026-11-20T10:00:00.123456Z
    scheduled 2026-11-20T10:00:01.002003Z limit.pair 2026-11-20T10:00:07.002003Z

so that one write of the message's row carries it, and a person reads it as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

import orjson

from services.gateway.domain.status import RANKS, Status


class Entry(NamedTuple):
    """`code` says why, where there is a why. Where the message was put back or is held, `until` is the moment from which on it may
    be tried; None there means that nobody knows."""

    status: Status
    at: datetime
    code: str | None = None
    until: datetime | None = None

    @property
    def is_wait(self) -> bool:
        """True where it says what the message waits for."""
        return self.status is Status.SCHEDULED and self.code is not None


def name_of(status: Status, at: datetime) -> str:
    """The part of a line that names its entry."""
    return status + " " + _text(at)  # a third of what it takes to put an enum into an f-string


def line_of(name: str, code: str | None = None, until: datetime | None = None) -> str:
    """The entry as it is kept, line end included. Codes hold no blanks."""
    if code is None:
        return f"{name}\n"
    return f"{name} {code}\n" if until is None else f"{name} {code} {_text(until)}\n"


def holds(timeline: str, name: str) -> bool:
    """True where the entry of that name is there."""
    return name in timeline and any(line.startswith((f"{name}\n", f"{name} ")) for line in timeline.splitlines(keepends=True))


def has(timeline: str, status: Status) -> bool:
    """True where an entry of that status is there."""
    return any(line.startswith(f"{status} ") for line in timeline.splitlines())


def hides_sent(timeline: str, name: str) -> bool:
    """True where this entry, a `sent` in whole seconds as the provider tells them, would not be shown beside the timeline's: one of
    that second or before is there."""
    if len(name) != len(_WHOLE_SECOND):
        return False
    second = name[len(_SENT) : -1]
    _, *sent = f"\n{timeline}".split(f"\n{_SENT}")
    return bool(sent) and min(sent)[: len(second)] <= second


_SENT: Final = f"{Status.SENT} "
_WHOLE_SECOND: Final = f"{_SENT}2026-11-20T10:00:00Z"


def entries_of(timeline: str) -> list[Entry]:
    """What `line_of` wrote."""
    return [_entry(*line.split(" ")) for line in timeline.splitlines()]


def _entry(status: str, at: str, code: str | None = None, until: str | None = None) -> Entry:
    return Entry(Status(status), datetime.fromisoformat(at), code, None if until is None else datetime.fromisoformat(until))


def _text(moment: datetime) -> str:
    """Equal moments give equal texts; whole seconds, which the provider tells, have no fraction."""
    return _iso(moment) if moment.microsecond else _second(moment)


def _iso(moment: datetime) -> str:
    """RFC 3339 in UTC, by the JSON writer: `isoformat` takes twice as long, and every message has four moments of ours."""
    text = orjson.dumps(moment, option=orjson.OPT_UTC_Z).decode()[1:-1]
    return text if text.endswith("Z") else f"{moment.astimezone(UTC).isoformat()[:-6]}Z"


_second: Final = lru_cache(maxsize=256)(_iso)
"""Of one second thousands of reports are told."""


_REPORTED: Final = frozenset({Status.SENT, Status.DELIVERED, Status.READ})
_ADMITTED: Final = frozenset({Status.ACCEPTED, Status.SCHEDULED})
_SECOND: Final = timedelta(seconds=1)


def readable(entries: Iterable[Entry]) -> list[Entry]:
    """The entries in the order things happened.

    The provider tells whole seconds, which stand for any moment within them: such an entry stands behind those of its second that
    are not higher, and no entry shows an earlier time than the one before it. That a message was sent we know from the answer and
    again from the report; it is shown once, and so are delivered and read.
    """
    rows = list(entries)

    def place(entry: Entry) -> tuple[datetime, int, timedelta]:
        happened = entry.at
        if not happened.microsecond:
            happened = max(
                e.at for e in rows if RANKS[e.status] <= RANKS[entry.status] and entry.at <= e.at < entry.at + _SECOND
            )
        return happened, RANKS[entry.status], happened - entry.at

    shown: list[Entry] = []
    seen: set[Status] = set()
    for entry in sorted(rows, key=place):
        if entry.status in seen and entry.status in _REPORTED:
            continue
        seen.add(entry.status)
        before = shown[-1].at if shown else entry.at
        shown.append(entry._replace(at=before) if timedelta() < before - entry.at < _SECOND else entry)
    return shown


def could_leave(status: Status, not_before: datetime | None, now: datetime) -> bool:
    """True where a message has not left although its time has come."""
    return RANKS[status] <= RANKS[Status.QUEUED] and (not_before is None or not_before <= now)


def waiting(status: Status, entries: Sequence[Entry]) -> tuple[str, datetime | None] | None:
    """Why a message has not left and when it may be tried again, where the last that happened to it is that it was put back or
    held. The entries are `readable`; those of its acceptance come first, whatever the clocks of two machines say."""
    if RANKS[status] >= RANKS[Status.SENT]:
        return None
    for entry in reversed(entries):
        if entry.code is not None and entry.is_wait:
            return entry.code, entry.until
        if entry.status not in _ADMITTED:
            return None
    return None
