"""How long a run will take at the rates it is allowed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from services.scheduler.domain.hours import open_span
from shared.events.values import Hours

HORIZON: Final = timedelta(days=183)
"""Beyond that nothing is promised."""
_DAY: Final = timedelta(days=1)
_MOST_ZONES: Final = 12
"""Of hundreds of zones the smallest do not move the end; those beyond the largest are counted with the largest."""
_MOST_STEPS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Pace:
    """Messages per second at most: the number's, and a run's own, rising from `ramp_from` to `limit` over `ramp_seconds`."""

    number: float
    limit: float | None = None
    ramp_from: float | None = None
    ramp_seconds: float = 0.0

    @property
    def top(self) -> float:
        """Once it has risen."""
        return self.number if self.limit is None else min(self.number, self.limit)

    @property
    def _rise(self) -> tuple[float, float, float]:
        """The rate at the start, by how much it grows each second, and for how many seconds."""
        if self.limit is None or self.ramp_from is None or self.ramp_seconds <= 0 or self.ramp_from >= self.top:
            return self.top, 0.0, 0.0
        growth = (self.limit - self.ramp_from) / self.ramp_seconds
        return self.ramp_from, growth, (self.top - self.ramp_from) / growth

    def rate(self, seconds: float) -> float:
        """Messages per second, so many seconds after the start."""
        start, growth, rising = self._rise
        return self.top if seconds >= rising else start + growth * seconds

    def sent_after(self, seconds: float) -> float:
        """Messages that can have left by then."""
        start, growth, rising = self._rise
        risen = min(seconds, rising)
        return start * risen + growth * risen * risen / 2 + self.top * (seconds - risen)

    def seconds_for(self, messages: float) -> float:
        """When so many can have left: the inverse of `sent_after`."""
        start, growth, rising = self._rise
        by_then = start * rising + growth * rising * rising / 2
        if messages >= by_then:
            return rising + (messages - by_then) / self.top
        return (math.sqrt(start * start + 2 * growth * messages) - start) / growth


@dataclass(slots=True)
class _Zone:
    """Those of one zone who wait, and the opening that is next or now."""

    waiting: float
    opens: datetime
    closes: datetime | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to leave: how many in which zone, from when in each, at which pace, in which hours (evaluated in each zone)."""

    waiting: Mapping[str, int]
    ready: Mapping[str, datetime]
    """By zone; one that is missing is ready at once."""
    started: datetime
    """From when the pace counts."""
    pace: Pace
    hours: Hours | None = None
    per_day: int | None = None
    """Users that may be written to in a day, at most."""

    def end(self, now: datetime) -> datetime | None:
        """When the last one will have left, if all goes at the allowed rates; None where that is beyond the horizon."""
        zones = self._openings(now)
        moment, day, today = now, now, 0.0
        for _ in range(_MOST_STEPS):
            if moment - now > HORIZON:
                return None
            if not zones:
                return moment
            for zone, waiting in zones.items():
                if waiting.closes is not None and waiting.closes <= moment:
                    self._reopen(zone, waiting, moment)
            if self.per_day is not None and moment >= day + _DAY:
                day, today = moment, 0.0
            left_today = math.inf if self.per_day is None else self.per_day - today
            is_open = [waiting for waiting in zones.values() if waiting.opens <= moment]
            if left_today < 1 or not is_open:
                moment = day + _DAY if left_today < 1 else min(waiting.opens for waiting in zones.values())
                continue
            until = self._boundary(zones, moment)
            moment, left = self._send(is_open, moment, until, left_today)
            today += left
            zones = {zone: waiting for zone, waiting in zones.items() if waiting.waiting >= 0.5}
        return None

    def _openings(self, now: datetime) -> dict[str, _Zone]:
        ranked = sorted(((count, zone) for zone, count in self.waiting.items() if count > 0), reverse=True)
        kept, rest = ranked[:_MOST_ZONES], ranked[_MOST_ZONES:]
        zones = {}
        for place, (count, zone) in enumerate(kept):
            more = sum(count for count, _ in rest) if place == 0 else 0
            zones[zone] = _Zone(count + more, now)
            self._reopen(zone, zones[zone], max(now, self.ready.get(zone, now)))
        return zones

    def _reopen(self, zone: str, waiting: _Zone, moment: datetime) -> None:
        waiting.opens, waiting.closes = (moment, None) if self.hours is None else open_span(self.hours, zone, moment)

    def _boundary(self, zones: Mapping[str, _Zone], moment: datetime) -> datetime | None:
        """When next a zone opens or closes; None: never."""
        changes = [waiting.opens for waiting in zones.values() if waiting.opens > moment]
        changes += [waiting.closes for waiting in zones.values() if waiting.closes is not None and waiting.opens <= moment]
        return min(changes, default=None)

    def _send(self, zones: list[_Zone], moment: datetime, until: datetime | None, most: float) -> tuple[datetime, float]:
        """Let them leave until all have, or as many as may, or until then; returns the moment and how many have left."""
        since = (moment - self.started).total_seconds()
        before = self.pace.sent_after(max(0.0, since))
        wanted = min(most, sum(waiting.waiting for waiting in zones))
        seconds = self.pace.seconds_for(before + wanted) - max(0.0, since)
        reached = moment + min(timedelta(seconds=min(seconds, 1e9)), 2 * HORIZON)
        if until is not None and reached > until:
            reached = until
            wanted = min(wanted, self.pace.sent_after(max(0.0, since) + (until - moment).total_seconds()) - before)
        left = wanted
        for waiting in zones:
            taken = min(left, waiting.waiting)
            waiting.waiting -= taken
            left -= taken
        return reached, wanted
