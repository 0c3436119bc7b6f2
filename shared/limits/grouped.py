"""A batch sorted by group into script calls, and the answers put together: all of a limiter but who runs the scripts."""

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
    Slots,
    Standing,
    UserLimit,
    Verdict,
    Window,
)
from shared.limits.requests import (
    AskRequest,
    DebitRequest,
    GiveBackRequest,
    LookRequest,
    OpenRequest,
    Request,
    RestRequest,
    SlotsRequest,
    SlowRequest,
    messages,
)

SECOND: Final = 1_000_000
"""Microseconds."""


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

    async def reserve(self, asks: Sequence[Ask]) -> list[Verdict]:
        groups = _Groups()
        for position, (tier, limits, users) in enumerate(asks):
            for limit in limits:
                groups[limit.group].add(position, tier, limit)
            if users is not None:
                groups[users.group].count(position, tier, users)
        parts = list(groups.values())
        verdicts: list[Verdict] = [GRANTED] * len(asks)
        for part, answer in zip(parts, await self._run([part.call() for part in parts]), strict=True):
            part.judge(answer, verdicts)
        if len(parts) > 1 and (returned := [call for part in parts if (call := part.give_back(verdicts)) is not None]):
            await self._run(returned)
        return verdicts

    async def slots(self, wanted: Mapping[Line, int], *, horizon_seconds: float) -> dict[str, Slots]:
        horizon = _microseconds(horizon_seconds)
        answers = await self._run(
            [
                Call("slots", _pace(line), SlotsRequest(line.rate.step_us, line.rate.ahead_us, horizon, count))
                for line, count in wanted.items()
            ]
        )
        return {line.group: _slots(*answer) for line, answer in zip(wanted, answers, strict=True)}

    async def debit(self, counts: Mapping[Line, int], windows: Iterable[Window] = ()) -> None:
        reach = _microseconds(DEBT_SECONDS)
        calls = [
            Call("debit", _pace(line), DebitRequest(line.rate.step_us, line.rate.ahead_us, count, reach))
            for line, count in counts.items()
        ]
        opened: dict[str, list[Window]] = {}
        for window in windows:
            if window.seconds > 0:
                opened.setdefault(window.group, []).append(window)
        for group, those in opened.items():
            keys = [_window(group, window.name) for window in those]
            calls.append(Call("open", keys, OpenRequest([_microseconds(window.seconds) for window in those])))
        await self._run(calls)

    async def rest_pair(self, limit: Limit) -> float:
        key = _key(limit.group, limit.name)
        request = RestRequest(limit.rate.ahead_us, LONGEST_REST, _microseconds(REST_MEMORY_SECONDS))
        [[wait]] = await self._run([Call("rest", (key, f"{key}:rests"), request)])
        return wait / SECOND

    async def slow(self, lines: Mapping[Line, float]) -> None:
        await self._run([_slow(line, factor) for line, factor in lines.items()])

    async def rates(self, lines: Iterable[Line]) -> dict[str, float]:
        asked = list(lines)
        answers = await self._run([_slow(line, 1.0) for line in asked])
        return {line.group: line.rate.step_us / step for line, [step] in zip(asked, answers, strict=True)}

    async def standing(self, lines: Mapping[Line, Sequence[Limit]]) -> dict[str, Standing]:
        answers = await self._run([_look(line, limits) for line, limits in lines.items()])
        return {
            line.group: _standing(line, limits, *answer) for (line, limits), answer in zip(lines.items(), answers, strict=True)
        }


class _Group:
    """One group's part of a batch: gathered, judged, and what was used in vain given back."""

    __slots__ = (
        "_asks", "_at", "_codes", "_count_at", "_keys", "_limits", "_name", "_new", "_positions", "_rate_at", "_rates", "_refused",
        "_used_at", "_users", "_users_code", "_windows",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self._name = name
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
        self._used_at = 0
        self._new: set[int] = set()
        self._refused: set[int] = set()

    def add(self, position: int, tier: int, limit: Limit) -> None:
        """One of the limits of the batch's message at `position`."""
        self._ask(position, tier)
        _, name, rate, code, shared = limit
        place = self._at.get(name)
        if place is None:
            self._keys.append(_key(self._name, name))
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

    def count(self, position: int, tier: int, users: UserLimit) -> None:
        """The user of the batch's message at `position`."""
        self._ask(position, tier)
        self._users += [()] * (len(self._positions) - 1 - len(self._users))
        window = self._windows.setdefault(users.window, len(self._windows) + 1)
        self._users.append((users.users_per_day, users.member, window))
        self._users_code = users.code

    def _ask(self, position: int, tier: int) -> None:
        positions = self._positions
        if not positions or positions[-1] != position:
            positions.append(position)
            self._count_at = len(self._asks) + 1
            self._asks += (tier, 0)

    def call(self) -> Call:
        keys = [*self._keys, *(_window(self._name, name) for name in self._windows)]
        keys += (_key(self._name, "users"), _key(self._name, "users:line"))
        return Call("ask", keys, AskRequest(self._rates, self._limits, self._asks, self._users))

    def judge(self, answer: list[int], verdicts: list[Verdict]) -> None:
        """Take in what the script said. Refused by several groups, a message comes again at the latest of its places."""
        self._used_at, counted = answer[:2]
        self._new.update(answer[2 : 2 + counted])
        for at in range(2 + counted, len(answer), 3):
            ask, limit, wait = answer[at : at + 3]
            self._refused.add(ask)
            position = self._positions[ask - 1]
            retry, former = wait / SECOND, verdicts[position]
            if isinstance(former, Granted) or former.retry_seconds < retry:
                verdicts[position] = Refused(self._codes[limit - 1] if limit else self._users_code, retry)

    def give_back(self, verdicts: list[Verdict]) -> Call | None:
        """What messages used here that another group refused."""
        steps, users = dict[int, int](), list[str | int]()
        for ask, (position, (_, places)) in enumerate(zip(self._positions, messages(self._asks), strict=True), 1):
            if ask in self._refused or verdicts[position] is GRANTED:
                continue
            for place in places:
                steps[place] = steps.get(place, 0) + self._rates[self._limits[place - 1] - 1]
            if ask in self._new:
                users += (str(self._users[ask - 1][1]), self._used_at + ask)  # type: ignore[misc]  # new are only those with users
        if not steps and not users:
            return None
        keys = [*(self._keys[place - 1] for place in steps), _key(self._name, "users")]
        return Call("give_back", keys, GiveBackRequest(self._used_at, list(steps.values()), users))


class _Groups(dict[str, _Group]):
    def __missing__(self, name: str) -> _Group:
        group = self[name] = _Group(name)
        return group


def _key(group: str, name: str) -> str:
    return f"{{{group}}}:{name}"


def _window(group: str, name: str) -> str:
    return _key(group, f"open:{name}")


def _pace(line: Line) -> tuple[str, str]:
    return _key(line.group, "pace"), _key(line.group, "slow")


def _slots(count: int, first: int, step: int) -> Slots:
    *waits, retry = (max(0, first + step * n) / SECOND for n in range(count + 1))
    return Slots(waits, retry)


def _slow(line: Line, factor: float) -> Call:
    return Call("slow", (_key(line.group, "slow"),), SlowRequest(factor, line.rate.step_us, _microseconds(CUT_SECONDS)))


def _look(line: Line, limits: Sequence[Limit]) -> Call:
    pace, slow = _pace(line)
    return Call("look", (slow, pace, *(_key(limit.group, limit.name) for limit in limits)), LookRequest(line.rate.step_us))


def _standing(line: Line, limits: Sequence[Limit], step: int, *ahead: int) -> Standing:
    """A limit that has run ahead by all that it may has one step left, which is a burst's first."""
    wholes = (line.rate.ahead_us + step, *(limit.rate.ahead_us + limit.rate.step_us for limit in limits))
    headroom = min(1 - used / whole for used, whole in zip(ahead, wholes, strict=True))
    return Standing(line.rate.step_us / step, max(0.0, headroom))


def _microseconds(seconds: float) -> int:
    return round(seconds * SECOND)
