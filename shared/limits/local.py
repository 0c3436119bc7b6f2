"""The scripts in Python, in one process: the model that the Lua is tested against, and the stand-in while Redis is away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from shared.clock import Clock
from shared.limits.grouped import SECOND, Call, GroupedLimiter
from shared.limits.limiter import DAY_SECONDS
from shared.limits.requests import (
    AskRequest,
    DebitRequest,
    GiveBackRequest,
    LookRequest,
    OpenRequest,
    RestRequest,
    SlotsRequest,
    SlowRequest,
    messages,
)

DAY: Final = round(DAY_SECONDS) * SECOND
CLIMB: Final = 0.0003
"""Of CUBIC: a cut of 0.3 is made good in ten seconds."""
CLIMB_US: Final = 30 * SECOND
"""Whatever the cut was, by then it is all of the rate again."""
SHUT_US: Final = 5 * SECOND
SWEEP_US: Final = 10 * SECOND

Places = list[int]
"""The next place in line of each tier."""
KeyedLimit = tuple[str, int, int, int]
"""Its key, step, how far it may run ahead, how much less of that for each tier down."""


class LocalLimiter(GroupedLimiter):
    """A limiter of one process, on its clock.

    As the stand-in it has `stand_in_share` of every rate and burst and begins with no burst saved up, since nobody knows what was
    used before; limits on users are shut, since nobody knows who was counted.
    """

    def __init__(self, clock: Clock, *, stand_in_share: float | None = None) -> None:
        """The share is above 0, at most 1."""
        self._clock = clock
        self._share = stand_in_share
        self._kept: dict[str, tuple[int, Any]] = {}
        """By key: until when it says anything, and what."""
        self._since = self._swept = self._now()

    def _now(self) -> int:
        return round(self._clock.monotonic() * SECOND)

    async def _run(self, calls: Sequence[Call]) -> list[list[int]]:
        return self.run(calls)

    def run(self, calls: Sequence[Call]) -> list[list[int]]:
        """The scripts' answers, in order."""
        now = self._now()
        if now - self._swept > SWEEP_US:
            self._kept = {key: kept for key, kept in self._kept.items() if kept[0] > now}
            self._swept = now
        return [self._answer(call, now) for call in calls]

    def _answer(self, call: Call, now: int) -> list[int]:
        match call.request:
            case AskRequest():
                return self._ask(call.keys, call.request, now)
            case GiveBackRequest():
                return self._give_back(call.keys, call.request, now)
            case SlotsRequest():
                return self._slots(call.keys, call.request, now)
            case DebitRequest():
                return self._debit(call.keys, call.request, now)
            case OpenRequest():
                return self._open(call.keys, call.request, now)
            case SlowRequest():
                return self._slow(call.keys, call.request, now)
            case LookRequest():
                return self._look(call.keys, call.request, now)
            case RestRequest():
                return self._rest(call.keys, call.request, now)

    def _step(self, step: int) -> int:
        return step if self._share is None else math.ceil(step / self._share)

    def _get(self, key: str, otherwise: Any) -> Any:
        kept = self._kept.get(key)
        return otherwise if kept is None else kept[1]

    def _read(self, key: str, ahead: int, now: int) -> tuple[int, Places | None]:
        """The state of a limit: its theoretical arrival time and, where some were refused, the next places in line."""
        unused = now if self._share is None else self._since + ahead
        arrival, line = self._get(key, (unused, None))
        return max(arrival, now), line and [*line]

    def _write(self, key: str, arrival: int, line: Places | None, now: int) -> None:
        if line is not None and line[3] <= now:
            line = None
        self._kept[key] = (max(arrival, line[3]) if line else arrival, (arrival, line))

    def _ask(self, keys: Sequence[str], request: AskRequest, now: int) -> list[int]:
        rates = request.rates
        limits = [(key, rates[at - 1], rates[at], rates[at + 1]) for key, at in zip(keys, request.limits, strict=False)]
        windows = keys[len(limits) : -2]
        users = _Users(self._kept, keys[-2:], now)
        new: list[int] = []
        refused: list[int] = []
        for n, (tier, places) in enumerate(messages(request.asks), 1):
            held = [(moment, place) for place in places if (moment := self._held_until(limits[place - 1], tier, now)) > now]
            most, member, window = (n <= len(request.users) and request.users[n - 1]) or (0, "", 0)
            is_counted = window > 0 and (self._share is not None or self._get(windows[window - 1], 0) <= now)
            if is_counted and (moment := users.held_until(most, member) if self._share is None else now + SHUT_US) > now:
                held.append((moment, 0))
            if held:
                moment, place = max(held, key=lambda pair: pair[0])
                refused += (n, place, moment - now)
                continue
            for place in places:
                self._use(limits[place - 1], now)
            if is_counted and users.add(member, now + n):
                new.append(n)
        return [now, len(new), *new, *refused]

    def _held_until(self, limit: KeyedLimit, tier: int, now: int) -> int:
        """When this message may come again; now or before: it passes. Where it is held, a place in line is taken."""
        key, step, ahead, less = limit
        arrival, line = self._read(key, ahead, now)
        free = arrival - ahead + tier * less
        if free <= now:
            return free
        line = line or [0, 0, 0, 0]
        moment = max(line[tier], free)
        line[tier:] = [max(place, moment) + self._step(step) for place in line[tier:]]
        self._write(key, arrival, line, now)
        return moment

    def _use(self, limit: KeyedLimit, now: int) -> None:
        key, step, ahead, _ = limit
        arrival, line = self._read(key, ahead, now)
        self._write(key, arrival + self._step(step), line, now)

    def _give_back(self, keys: Sequence[str], request: GiveBackRequest, now: int) -> list[int]:
        passed = abs(now - request.since)
        for key, steps in zip(keys, map(self._step, request.steps), strict=False):
            if key in self._kept and steps > passed:
                arrival, line = self._read(key, 0, now)
                self._write(key, max(now, arrival - steps + passed), line, now)
        members: dict[str | int, int] = self._get(keys[-1], {})
        for member, score in zip(request.users[::2], request.users[1::2], strict=True):
            if members.get(member) == score:
                del members[member]
        return []

    def _slots(self, keys: Sequence[str], request: SlotsRequest, now: int) -> list[int]:
        pace, slow = keys
        step = _slowed(self._step(request.step), self._part(slow, now))
        arrival, _ = self._read(pace, request.ahead, now)
        first = arrival - now - request.ahead
        count = max(0, min(request.wanted, (request.horizon - first) // step + 1))
        if count > 0:
            self._write(pace, arrival + count * step, None, now)
        return [count, first, step]

    def _debit(self, keys: Sequence[str], request: DebitRequest, now: int) -> list[int]:
        pace, slow = keys
        step = _slowed(self._step(request.step), self._part(slow, now))
        arrival, _ = self._read(pace, request.ahead, now)
        owed = min(arrival + request.count * step, now + request.ahead + request.reach)
        if owed > arrival:
            self._write(pace, owed, None, now)
        return []

    def _open(self, keys: Sequence[str], request: OpenRequest, now: int) -> list[int]:
        for key, span in zip(keys, request.spans, strict=True):
            if now + span > self._get(key, 0):
                self._kept[key] = (now + span, now + span)
        return []

    def _part(self, key: str, now: int) -> float:
        """The share of the rate, along CUBIC."""
        state: tuple[int, float, int] = self._get(key, (0, 1.0, 0))
        cut, top, flat = state
        x = (now - cut) / SECOND - flat / 1000
        return min(1.0, top + CLIMB * (x * x * x))

    def _slow(self, keys: Sequence[str], request: SlowRequest, now: int) -> list[int]:
        [key] = keys
        part = self._part(key, now)
        cut = self._get(key, (-request.apart,))[0]
        if request.factor < 1 and now - cut >= request.apart:
            flat = math.floor(((part - part * request.factor) / CLIMB) ** (1 / 3) * 1000 + 0.5)
            self._kept[key] = (now + CLIMB_US, (now, part, flat))
            part = self._part(key, now)
        return [_slowed(self._step(request.step), part)]

    def _look(self, keys: Sequence[str], request: LookRequest, now: int) -> list[int]:
        slow, *limits = keys
        step = _slowed(self._step(request.step), self._part(slow, now))
        return [step, *(self._read(key, 0, now)[0] - now for key in limits)]

    def _rest(self, keys: Sequence[str], request: RestRequest, now: int) -> list[int]:
        limit, rests = keys
        count, over = self._get(rests, (-1, 0))
        if over <= now:
            count = min(count + 1, request.longest) if over + request.memory > now else 0
            over = now + 4**count * SECOND
            self._kept[rests] = (over + request.memory, (count, over))
            arrival, line = self._read(limit, request.ahead, now)
            self._write(limit, max(arrival, over + request.ahead), line, now)
        return [over - now]


class _Users:
    """Those written to in the last 24 hours, each with the moment of the last time."""

    def __init__(self, kept: dict[str, tuple[int, Any]], keys: Sequence[str], now: int) -> None:
        self._kept = kept
        self._key, self._place_key = keys
        self._now = now
        members: dict[str, int] = kept.get(self._key, (0, {}))[1]
        self._members = {member: last for member, last in members.items() if last > now - DAY}
        self._last: int = max(kept.get(self._place_key, (0, 0))[1], now - DAY)
        """The last of them whose place was given to one who was refused."""

    def held_until(self, most: int, member: str) -> int:
        """Now: it may be written to. The moments at which those counted are forgotten are the places of those refused."""
        if len(self._members) < most or member in self._members:
            return self._now
        later = [last for last in self._members.values() if last > self._last]
        self._last = min(later) if later else self._last + math.ceil(DAY / max(most, 1))
        self._kept[self._place_key] = (self._last + DAY, self._last)
        return self._last + DAY

    def add(self, member: str, moment: int) -> bool:
        """True where it was not counted before."""
        is_new = member not in self._members
        self._members[member] = moment
        self._kept[self._key] = (moment + DAY, self._members)
        return is_new


def _slowed(step: int, part: float) -> int:
    slowest = max(step, SECOND)
    return slowest if part <= 0 else min(math.ceil(step / part), slowest)
