"""The short ways of a circuit breaker, which every message goes, say and do what the long ones do."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from shared.limits.breaker import BreakerPolicy, State, View
from shared.limits.breaker_mirror import Mirror
from shared.limits.breakers import Breakers
from tests.support.circuits import StandingClock

POLICY = BreakerPolicy(threshold=2, window_seconds=2.0, open_seconds=3.0, probes=(1, 2), lease_seconds=2.0)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["answered", "answered", "failed", "probe", "give_up", "fleet_open", "fleet_closed", "away"]),
        st.integers(0, 1_500),
    ),
    max_size=40,
)


def state_of(mirror: Mirror) -> object:
    return mirror._own, mirror._report, list(mirror._held), mirror._fleet_half_open_at, mirror.has_news


def step(mirror: Mirror, what: str, now: int, token: str) -> None:
    match what:
        case "failed":
            mirror.note(ok=False, now=now)
        case "probe" if mirror.state(now) is State.HALF_OPEN and mirror.lease(token, now):
            mirror.hold(token, now)
        case "give_up":
            mirror.give_up()
        case "fleet_open":
            mirror.learn(View(now, State.OPEN, 1_000, 0, given=False), now)
        case "fleet_closed":
            mirror.learn(View(now, State.CLOSED, 0, 0, given=False), now)
        case "away":
            mirror.lose_fleet(now)


@given(STEPS)
def test_an_answer_is_noted_alike_on_both_ways(steps: list[tuple[str, int]]) -> None:
    short, long, now = Mirror(POLICY), Mirror(POLICY), 1
    for n, (what, passed) in enumerate(steps):
        now += passed
        if what == "answered":
            had_news = short.has_news
            is_news = short.note_answer(now)
            long.note(ok=True, now=now)
            assert is_news or short.has_news == had_news
        else:
            for mirror in (short, long):
                step(mirror, what, now, f"probe.{n}")
        assert state_of(short) == state_of(long)


def test_circuits_are_closed_where_there_is_neither_a_wait_nor_a_probe() -> None:
    async def asked() -> list[bool]:
        clock = StandingClock()
        redis = Redis()
        breakers = Breakers(redis, POLICY, clock)
        keys = ("pn:1", "host:1")
        answers = [breakers.are_closed(keys)]
        for _ in range(POLICY.threshold):
            breakers.note("host:1", ok=False)
        answers.append(breakers.are_closed(keys))
        clock.advance(POLICY.open_seconds)
        answers.append(breakers.are_closed(keys))
        await redis.aclose()
        return answers

    assert asyncio.run(asked()) == [True, False, False]
