"""One contract, kept by the Lua on a real server and by the model in Python: whatever is asked in whatever order, they agree."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from redis.asyncio import Redis

from shared.clock import SystemClock
from shared.limits.grouped import Call, GroupedLimiter
from shared.limits.limiter import Ask, Limit, Limiter, Line, UserLimit, Verdict, Window
from shared.limits.local import LocalLimiter
from shared.limits.rate import Rate
from shared.limits.redis import RedisLimiter
from shared.limits.requests import GiveBackRequest
from tests.support.limits import StandingClock, granted

T = TypeVar("T")

LINES = [Line("pn:1", Rate(80, burst=2)), Line("pn:2", Rate(999, burst=20)), Line("pn:3", Rate(0.7)), Line("pn:4", Rate(5))]
RATES = [Rate(1 / 6, burst=5), Rate(7, burst=3), Rate.within(60, 60, burst=3), Rate(1000), Rate(250, burst=1.5)]
TENANTS = [Limit("tn:1", "rate", Rate(13, burst=9), "limit.tenant"), Limit("*", "rate", Rate(20, burst=4), "limit.global")]


def _pairs(line: Line) -> list[Limit]:
    return [Limit(line.group, f"pair:{n}", rate, "limit.pair", shared=n % 2 == 0) for n, rate in enumerate(RATES)]


def _asks(line: Line) -> st.SearchStrategy[Ask]:
    limits = st.lists(st.sampled_from(_pairs(line) + TENANTS), max_size=4, unique_by=lambda limit: (limit.group, limit.name))
    users = st.builds(
        lambda user, most, group: UserLimit(group, most, user, f"{line.group}:{user}", "limit.users"),
        st.sampled_from("abcd"),
        st.integers(0, 3),
        st.sampled_from(["pf:1", "pf:1", line.group]),
    )
    return st.builds(Ask, st.integers(0, 3), limits.map(tuple), st.none() | users)


asks = st.lists(st.sampled_from(LINES).flatmap(_asks), max_size=20)
horizons = st.sampled_from([0.0, 0.3, 1.0, 5.0])
counts = st.dictionaries(st.sampled_from(LINES), st.integers(0, 120), max_size=3)
windows = st.lists(
    st.builds(Window, st.just("pf:1"), st.sampled_from(["pn:1:a", "pn:1:b"]), st.sampled_from([-1.0, 3.0, 86_400.0])),
    max_size=3,
)


class Interrupted(GroupedLimiter):
    """Before it gives something back, once, time passes and another replica asks."""

    clock: StandingClock
    interruption: tuple[float, list[Ask]] | None = None
    meanwhile: list[Verdict] | None = None

    async def _run(self, calls: Sequence[Call]) -> list[list[int]]:
        if self.interruption is not None and calls and isinstance(calls[0].request, GiveBackRequest):
            (lag, asks), self.interruption = self.interruption, None
            self.clock.advance(lag)
            self.meanwhile = await self.reserve(asks)
        return await super()._run(calls)  # type: ignore[safe-super]  # of the limiter that it stands before


class Model(Interrupted, LocalLimiter):
    pass


class Scripts(Interrupted, RedisLimiter):
    pass


class ScriptsAndModel(RuleBasedStateMachine):
    """Both on one clock."""

    redis_url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = StandingClock()
        self.model = Model(self.clock)
        self.redis = Redis.from_url(self.redis_url)
        self.scripts = Scripts(self.redis, self.clock, microseconds=lambda: self.clock.microseconds)
        self.model.clock = self.scripts.clock = self.clock
        self.runner.run(self.redis.flushdb())

    def teardown(self) -> None:
        async def end() -> None:
            lasting = [key async for key in self.redis.scan_iter() if await self.redis.pttl(key) == -1]
            await self.redis.aclose()
            assert lasting == [], "every key goes by itself"
            assert self.scripts.is_shared, "nothing has failed"

        try:
            self.runner.run(end())
        finally:
            self.runner.close()

    def both(self, ask: Callable[[Limiter], Awaitable[T]]) -> T:
        async def compare() -> T:
            began = self.clock.microseconds
            expected, self.clock.microseconds = await ask(self.model), began
            got = await ask(self.scripts)
            assert got == expected
            assert self.scripts.meanwhile == self.model.meanwhile
            return got

        return self.runner.run(compare())

    @rule(seconds=st.sampled_from([0.000_001, 0.001, 0.02, 0.4, 1.0, 6.0, 90.0, 700.0, 40_000.0, 86_400.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(asks=asks, lag=st.sampled_from([0.0, 0.0004, 0.05, 1.0]), others=asks)
    def reserve(self, asks: list[Ask], lag: float, others: list[Ask]) -> None:
        self.model.interruption = self.scripts.interruption = (lag, others)
        answer = self.both(lambda limiter: limiter.reserve(asks))
        assert len(answer) == len(asks)

    @rule(wanted=counts, horizon=horizons)
    def slots(self, wanted: dict[Line, int], horizon: float) -> None:
        self.both(lambda limiter: limiter.slots(wanted, horizon_seconds=horizon))

    @rule(counts=counts, windows=windows)
    def debit(self, counts: dict[Line, int], windows: list[Window]) -> None:
        self.both(lambda limiter: limiter.debit(counts, windows))

    @rule(pair=st.sampled_from(_pairs(LINES[0])[:2]))
    def rest(self, pair: Limit) -> None:
        self.both(lambda limiter: limiter.rest_pair(pair))

    @rule(factors=st.dictionaries(st.sampled_from(LINES), st.sampled_from([0.7, 0.9, 0.5, 0.01]), max_size=3))
    def slow(self, factors: dict[Line, float]) -> None:
        self.both(lambda limiter: limiter.slow(factors))

    @rule()
    def rates(self) -> None:
        self.both(lambda limiter: limiter.rates(LINES))

    @rule(
        limits=st.dictionaries(st.sampled_from(LINES), st.lists(st.sampled_from(TENANTS), max_size=2, unique=True), max_size=4)
    )
    def standing(self, limits: dict[Line, list[Limit]]) -> None:
        asked = {line: [limit._replace(group=line.group) for limit in those] for line, those in limits.items()}
        stands = self.both(lambda limiter: limiter.standing(asked))
        assert all(0 <= share <= 1 and 0 <= headroom <= 1 for share, headroom in stands.values())


@pytest.mark.timeout(180)
def test_the_scripts_answer_as_the_model_does(redis_url: str) -> None:
    machine = type("OnThisServer", (ScriptsAndModel,), {"redis_url": redis_url})
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)),
    )


async def test_a_user_whom_another_replica_counted_meanwhile_stays_counted(redis_url: str) -> None:
    closed = Limit("closed", "rate", Rate(0.001), "limit.closed")
    user, other = (Ask(0, (), UserLimit("pf:1", 1, name, f"1:{name}", "limit.users")) for name in "ab")
    async with Redis.from_url(redis_url) as redis:
        scripts = Scripts(redis, SystemClock())
        scripts.clock = StandingClock()
        await scripts.reserve([Ask(0, (closed,))])
        scripts.interruption = (0.0, [user])
        assert granted(await scripts.reserve([user._replace(limits=(closed,))])) == 0
        assert scripts.meanwhile is not None
        assert granted(scripts.meanwhile) == 1
        assert granted(await scripts.reserve([other])) == 0


async def test_a_late_report_of_an_older_message_does_not_shorten_a_window(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        scripts = RedisLimiter(redis, SystemClock())
        for seconds in (100.0, 10.0):
            await scripts.debit({}, [Window("pf:1", "w", seconds)])
        assert await redis.pttl("{pf:1}:open:w") > 50_000
        inside = Ask(0, (), UserLimit("pf:1", 0, "a", "w", "limit.users"))
        assert granted(await scripts.reserve([inside])) == 1
