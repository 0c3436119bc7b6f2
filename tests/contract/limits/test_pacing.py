"""Pacing: one contract, kept by the Lua script on a real server and by the model it is tested against."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from local.ports import free_port
from shared.limits import pacing as module
from shared.limits.pacing import Grant, LocalPacing, Pacing, Rate, RedisPacing

HORIZON = 1.0
SLACK_SECONDS = 0.000_002
"""Rounding of microseconds."""


class StandingClock:
    """Stands still until told. Whole microseconds and no rounding, so that the model's floors are the script's."""

    def __init__(self) -> None:
        self.microseconds = 1_000_000_000

    def advance(self, seconds: float) -> None:
        self.microseconds += round(seconds * 1_000_000)

    def monotonic(self) -> float:
        return Fraction(self.microseconds, 1_000_000)  # type: ignore[return-value]  # a number all the same

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.microseconds / 1_000_000, UTC)

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)


def client(url: str) -> Redis:
    return Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=5, socket_connect_timeout=0.5)


@asynccontextmanager
async def on_redis(url: str, clock: StandingClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisPacing]:
    """The script on the server, which takes the time from our clock: that one line is all that differs from production."""
    real = module._SCRIPT
    assert "redis.call('TIME')" in real
    redis = client(url)
    pacing = RedisPacing(redis, LocalPacing(clock))

    async def reserve_at(wanted: dict[str, tuple[Rate, int]], horizon_seconds: float) -> dict[str, Grant]:
        microseconds = clock.microseconds
        frozen = real.replace("redis.call('TIME')", f"{{{microseconds // 1_000_000}, {microseconds % 1_000_000}}}")
        pacing._script = redis.register_script(frozen)
        return await RedisPacing.reserve(pacing, wanted, horizon_seconds)

    monkeypatch.setattr(pacing, "reserve", reserve_at)
    try:
        yield pacing
    finally:
        await redis.aclose()


rates = st.builds(Rate, st.sampled_from([1.0, 3.0, 7.0, 80.0, 999.0, 1000.0]), st.sampled_from([1.0, 1.5, 4.0, 50.0]))
steps = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.integers(0, 120),
        st.sampled_from([0.0, 0.001, 0.05, 0.4, 1.3]),
        st.sampled_from([0.0, 0.3, HORIZON]),
    ),
    min_size=1,
    max_size=15,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rate=rates, plan=steps)
def test_the_script_and_the_model_give_the_same_grants(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, rate: Rate, plan: list[tuple[str, int, float, float]]
) -> None:
    async def compare() -> None:
        clock = StandingClock()
        model = LocalPacing(clock)
        async with on_redis(redis_url, clock, monkeypatch) as script:
            await script._redis.flushdb()
            for key, count, pause, horizon in plan:
                clock.advance(pause)
                expected = (await model.reserve({key: (rate, count)}, horizon))[key]
                got = (await script.reserve({key: (rate, count)}, horizon))[key]
                assert list(got.waits_seconds) == pytest.approx(
                    [float(wait) for wait in expected.waits_seconds], abs=SLACK_SECONDS
                )
                assert got.retry_seconds == pytest.approx(float(expected.retry_seconds), abs=SLACK_SECONDS)

    with monkeypatch.context():
        asyncio.run(compare())


async def departures(
    pacing: Pacing, clock: StandingClock, rate: Rate, plan: list[tuple[str, int, float, float]]
) -> Iterator[float]:
    """Every moment at which something may leave under the plan, in order."""
    moments: list[float] = []
    for _, count, pause, horizon in plan:
        clock.advance(pause)
        grant = (await pacing.reserve({"k": (rate, count)}, horizon))["k"]
        assert len(grant.waits_seconds) <= count
        assert all(0 <= wait <= horizon + SLACK_SECONDS for wait in grant.waits_seconds), "nothing beyond the horizon"
        assert list(grant.waits_seconds) == sorted(grant.waits_seconds)
        assert grant.retry_seconds >= 0
        moments.extend(float(clock.monotonic() + wait) for wait in grant.waits_seconds)
    return iter(sorted(moments))


@given(rate=rates, plan=steps)
def test_no_second_holds_more_than_the_rate_and_the_burst(rate: Rate, plan: list[tuple[str, int, float, float]]) -> None:
    async def check() -> None:
        clock = StandingClock()
        moments = list(await departures(LocalPacing(clock), clock, rate, plan))
        for window in (0.0, 0.5, 1.0):
            most = math.floor((window + 2 * SLACK_SECONDS) * 1_000_000 / rate.step_us + rate.burst)
            for at, start in enumerate(moments):
                held = sum(start <= moment < start + window + SLACK_SECONDS for moment in moments[at : at + most + 2])
                assert held <= most, f"{held} within {window} s at {rate}"

    asyncio.run(check())


@given(st.integers(1, 1000))
def test_a_rate_without_burst_never_gives_two_at_once(per_second: int) -> None:
    grant = asyncio.run(LocalPacing(StandingClock()).reserve({"k": (Rate(per_second), 50)}, 3600))["k"]
    assert grant.waits_seconds[0] == 0
    assert all(after - before >= 1 / per_second - SLACK_SECONDS for before, after in pairwise(grant.waits_seconds))


def test_the_whole_rate_is_used() -> None:
    async def check() -> None:
        clock = StandingClock()
        pacing, rate, taken = LocalPacing(clock), Rate(80), 0
        for _ in range(100):
            taken += len((await pacing.reserve({"k": (rate, 1000)}, 0.1))["k"].waits_seconds)
            clock.advance(0.1)
        assert taken >= 0.99 * 80 * 10

    asyncio.run(check())


async def test_on_the_servers_own_clock_the_spacing_is_the_rates(redis_url: str) -> None:
    async with client(redis_url) as redis:
        pacing = RedisPacing(redis, LocalPacing(StandingClock()))
        rate = Rate(10, burst=3)
        first = (await pacing.reserve({"k": (rate, 1000)}, 60))["k"]
        assert list(first.waits_seconds[:3]) == [0, 0, 0]
        assert len(first.waits_seconds) == 603
        gaps = [after - before for before, after in pairwise(first.waits_seconds[2:])]
        assert gaps == pytest.approx([0.1] * len(gaps), abs=SLACK_SECONDS)
        again = (await pacing.reserve({"k": (rate, 5)}, 1))["k"]
        assert list(again.waits_seconds) == []
        assert 50 < again.retry_seconds <= first.retry_seconds


async def test_what_many_replicas_reserve_at_once_is_shared_among_them(redis_url: str) -> None:
    async with client(redis_url) as one, client(redis_url) as other:
        replicas = [RedisPacing(redis, LocalPacing(StandingClock())) for redis in (one, other)]
        rate = Rate(50, burst=5)
        grants = await asyncio.gather(*(replicas[n % 2].reserve({"k": (rate, 30)}, 1.0) for n in range(10)))
        granted = sum(len(grant["k"].waits_seconds) for grant in grants)
        assert 55 <= granted <= 55 + 50 * 2, "a second's worth, a burst, and what came free while we asked"
        waits = sorted(wait for grant in grants for wait in grant["k"].waits_seconds)
        assert sum(wait == 0 for wait in waits) <= 5 + 50 * 2


async def test_keys_do_not_share_and_go_when_they_are_idle(redis_url: str) -> None:
    async with client(redis_url) as redis:
        pacing = RedisPacing(redis, LocalPacing(StandingClock()))
        grants = await pacing.reserve({"a": (Rate(1), 5), "b": (Rate(1000), 5), "c": (Rate(1), 0)}, 2.5)
        assert [len(grants[key].waits_seconds) for key in "abc"] == [3, 5, 0]
        keys = await redis.keys("*")
        assert sorted(keys) == [b"{a}:pace", b"{b}:pace"]
        assert 0 < await redis.pttl(b"{a}:pace") <= 3_001
        assert 0 < await redis.pttl(b"{b}:pace") <= 7


async def test_without_redis_a_process_goes_on_at_half_the_rate_and_never_opens() -> None:
    clock = StandingClock()
    async with client(f"redis://127.0.0.1:{free_port()}/0") as redis:
        pacing = RedisPacing(redis, LocalPacing(clock))
        taken = 0
        for _ in range(10):
            taken += len((await pacing.reserve({"k": (Rate(100, burst=5), 1000)}, 0.1))["k"].waits_seconds)
            clock.advance(0.1)
    assert 50 <= taken <= 50 + 5 + 100 * 0.5 * 0.1 + 1


async def test_a_server_that_forgets_its_scripts_is_taught_again(redis_url: str) -> None:
    async with client(redis_url) as redis:
        pacing = RedisPacing(redis, LocalPacing(StandingClock()))
        await pacing.reserve({"k": (Rate(10), 1)}, 1)
        await redis.script_flush()
        assert len((await pacing.reserve({"other": (Rate(10), 1)}, 1))["other"].waits_seconds) == 1
