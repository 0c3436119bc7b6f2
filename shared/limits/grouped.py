"""A batch sorted by group into script calls, and the groups' answers put together: all of a limiter but who runs the scripts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from shared.limits.limiter import (
    CUT_SECONDS,
    DEBT_SECONDS,
    GRANTED,
    LONGEST_REST,
    REST_MEMORY_SECONDS,
    Ask,
    Granted,
    Limit,
    Line,
    Refused,
    Reservation,
    Slots,
    UserLimit,
    Window,
)
from shared.limits.requests import AskRequest, GiveBackRequest, Request, RestRequest, SlowRequest, messages

SECOND: Final = 1_000_000
"""Microseconds."""
HEAD: Final = 6
"""Numbers before the lists in the answer of `ask.lua`."""


class Call(NamedTuple):
    """Of one script. `keys` are of one hash slot."""

    script: str
    keys: Sequence[str]
    request: Request


class GroupedLimiter(ABC):
    """A `Limiter` over scripts."""

    @abstractmethod
    async def _run(self, calls: Sequence[Call]) -> list[list[int]]:
        """The scripts' answers, in order."""

    async def reserve(self, asks: Sequence[Ask], *, horizon_seconds: float | None = None) -> Reservation:
        groups: dict[str, _Group] = {}
        for position, (line, tier, limits, users) in enumerate(asks):
            own = groups.get(line.group) or _opened(groups, line.group)
            own.line = line
            own.ask(position, tier)
            for limit in limits:
                if limit.group == line.group:
                    own.add(limit)
                else:
                    other = _opened(groups, limit.group)
                    other.ask(position, tier)
                    other.add(limit)
            if users is not None:
                other = _opened(groups, users.group)
                other.ask(position, tier)
                other.count(users)
        parts = list(groups.values())
        answers = await self._run([part.call(horizon_seconds) for part in parts])
        verdicts: list[Granted | Refused] = [GRANTED] * len(asks)
        for part, answer in zip(parts, answers, strict=True):
            part.judge(answer, verdicts)
        if len(parts) > 1 and (returned := [call for part in parts if (call := part.give_back(verdicts)) is not None]):
            await self._run(returned)
        if horizon_seconds is None:
            return Reservation(verdicts, {})
        return Reservation(verdicts, {part.name: part.slots() for part in parts if part.line is not None})

    async def slots(self, wanted: Mapping[Line, int], *, horizon_seconds: float) -> dict[str, Slots]:
        groups: dict[str, _Group] = {}
        for line, count in wanted.items():
            group = _opened(groups, line.group)
            group.line, group.wanted = line, count
        answers = await self._run([group.call(horizon_seconds) for group in groups.values()])
        for group, answer in zip(groups.values(), answers, strict=True):
            group.judge(answer, [])
        return {name: group.slots() for name, group in groups.items()}

    async def debit(self, counts: Mapping[Line, int], windows: Iterable[Window] = ()) -> None:
        groups: dict[str, _Group] = {}
        for line, count in counts.items():
            group = _opened(groups, line.group)
            group.line, group.debit = line, count
        for window in windows:
            _opened(groups, window.group).open(window)
        await self._run([group.call(0.0) for group in groups.values()])

    async def rest_pair(self, limit: Limit) -> float:
        key = f"{{{limit.group}}}:{limit.name}"
        request = RestRequest(limit.rate.ahead_us, LONGEST_REST, round(REST_MEMORY_SECONDS * SECOND))
        [[wait]] = await self._run([Call("rest", (key, f"{key}:rests"), request)])
        return wait / SECOND

    async def slow(self, lines: Mapping[Line, float]) -> None:
        await self._run([_slow(line, factor) for line, factor in lines.items()])

    async def rates(self, lines: Iterable[Line]) -> dict[str, float]:
        asked = list(lines)
        answers = await self._run([_slow(line, 1.0) for line in asked])
        return {line.group: line.rate.step_us / step for line, [step] in zip(asked, answers, strict=True)}


class _Group:
    """One group's part of a batch: gathered, judged, and what is left over given back."""

    __slots__ = (
        "_answer", "_asks", "_at", "_codes", "_count_at", "_keys", "_limits", "_opened", "_positions", "_rate_at", "_rates",
        "_refused", "_users", "_users_code", "_windows", "debit", "line", "name", "wanted",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.line: Line | None = None
        self.wanted = 0
        self.debit = 0
        self._positions: list[int] = []
        """In the batch, of each message here."""
        self._asks: list[int] = []
        self._count_at = 0
        """Where the last of them says how many limits it has."""
        self._at: dict[str, int] = {}
        self._keys: list[str] = []
        self._codes: list[str] = []
        self._rates: list[int] = []
        self._rate_at: dict[tuple[int, int, int], int] = {}
        self._limits: list[int] = []
        self._users: list[tuple[int, str, int] | tuple[()]] = []
        self._users_code = ""
        self._windows: dict[str, int] = {}
        self._opened: list[tuple[int, int]] = []
        self._answer: list[int] = []
        self._refused: set[int] = set()

    def ask(self, position: int, tier: int) -> None:
        """Of the batch's message at `position`; what is added and counted then is of this one. Twice is safe."""
        positions = self._positions
        if not positions or positions[-1] != position:
            positions.append(position)
            asks = self._asks
            self._count_at = len(asks) + 1
            asks += (tier, 0)

    def add(self, limit: Limit) -> None:
        _, name, rate, code, shared = limit
        place = self._at.get(name)
        if place is None:
            self._keys.append(f"{{{self.name}}}:{name}")
            self._codes.append(code)
            place = self._at[name] = len(self._keys)
            numbers = (rate.step_us, rate.ahead_us, rate.ahead_us // 4 if shared else 0)
            rate_at = self._rate_at.get(numbers)
            if rate_at is None:
                rate_at = self._rate_at[numbers] = len(self._rates) + 1
                self._rates += numbers
            self._limits.append(rate_at)
        self._asks.append(place)
        self._asks[self._count_at] += 1

    def count(self, users: UserLimit) -> None:
        self._users += [()] * (len(self._positions) - 1 - len(self._users))
        self._users.append((users.users_per_day, users.member, self._window(users.window)))
        self._users_code = users.code

    def open(self, window: Window) -> None:
        if window.seconds > 0:
            self._opened.append((self._window(window.name), round(window.seconds * SECOND)))

    def _window(self, name: str) -> int:
        return self._windows.setdefault(name, len(self._windows) + 1)

    def call(self, horizon_seconds: float | None) -> Call:
        tag = f"{{{self.name}}}:"
        keys = [*self._keys, *(f"{tag}open:{name}" for name in self._windows)]
        keys += (f"{tag}users", f"{tag}users:line", f"{tag}pace", f"{tag}slow")
        line: tuple[int, ...] = ()
        if self.line is not None and horizon_seconds is not None:
            rate = self.line.rate
            horizon, reach = round(horizon_seconds * SECOND), round(DEBT_SECONDS * SECOND)
            line = (rate.step_us, rate.ahead_us, horizon, self.wanted, self.debit, reach)
        return Call(
            "ask", keys, AskRequest(self._rates, self._limits, self._asks, self._users, len(self._windows), self._opened, line)
        )

    def judge(self, answer: list[int], verdicts: list[Granted | Refused]) -> None:
        """Take in what the script said. Refused by several groups, a message comes again at the latest of its places."""
        self._answer = answer
        for at in range(HEAD + answer[5], len(answer), 3):
            ask, limit, wait = answer[at : at + 3]
            self._refused.add(ask)
            position = self._positions[ask - 1]
            retry, former = wait / SECOND, verdicts[position]
            if isinstance(former, Granted) or former.retry_seconds < retry:
                verdicts[position] = Refused(self._codes[limit - 1] if limit else self._users_code, retry)

    def give_back(self, verdicts: list[Granted | Refused]) -> Call | None:
        """What messages used here that another group refused, and the slots that were meant for them."""
        answer, steps, users, returned = self._answer, dict[int, int](), list[str | int](), 0
        now, slots, _, step, arrival, counted = answer[:HEAD]
        new = set(answer[HEAD : HEAD + counted])
        for ask, (position, (_, places)) in enumerate(zip(self._positions, messages(self._asks), strict=True), 1):
            if ask in self._refused or verdicts[position] is GRANTED:
                continue
            returned += 1
            for place in places:
                steps[place] = steps.get(place, 0) + self._rates[self._limits[place - 1] - 1]
            if ask in new:
                users += (str(self._users[ask - 1][1]), now + ask)  # type: ignore[misc]  # new are only those with users
        if not returned:
            return None
        surplus = slots - (len(self._positions) - len(self._refused) - returned)
        line: tuple[int, ...] = ()
        if self.line is not None and surplus > 0:
            line = (arrival, arrival - surplus * step)
            answer[1] -= surplus
            answer[4] -= surplus * step
        keys = [self._keys[place - 1] for place in steps]
        keys += (f"{{{self.name}}}:users", f"{{{self.name}}}:pace")
        return Call("give_back", keys, GiveBackRequest(now, list(steps.values()), users, line))

    def slots(self) -> Slots:
        assert self.line is not None
        now, count, first, step, arrival = self._answer[:5]
        waits = [max(0, first + step * n) / SECOND for n in range(count)]
        return Slots(waits, max(0, arrival - now - self.line.rate.ahead_us) / SECOND)


def _opened(groups: dict[str, _Group], name: str) -> _Group:
    group = groups.get(name)
    if group is None:
        group = groups[name] = _Group(name)
    return group


def _slow(line: Line, factor: float) -> Call:
    return Call("slow", (f"{{{line.group}}}:slow",), SlowRequest(factor, line.rate.step_us, round(CUT_SECONDS * SECOND)))
