"""The script on a real server and the machine are the same circuit: both are driven at random with one clock."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from redis.asyncio import Redis

from shared.limits.breaker import BreakerPolicy, Machine, Report, State
from shared.limits.breaker_redis import KEEP_MS, SharedCircuits
from tests.support.circuits import StandingClock, exchange

POLICIES = st.sampled_from(
    [BreakerPolicy(), BreakerPolicy(3, 1.0, 1.0, 2.0, (2, 1, 3), 0.5), BreakerPolicy(1, 0.1, 0.5, 1.0, (1,), 60.0)]
)


class Twins(RuleBasedStateMachine):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.clock = StandingClock()
        self.clock.ms = 1_794_000_000_000  # as large as the server's
        self.runner = asyncio.Runner()
        self.redis = self.runner.run(self.connect(url))
        self.machine: Machine | None = None
        self.tokens: list[str] = []

    async def connect(self, url: str) -> Redis:
        redis = Redis.from_url(url)
        await redis.flushdb()
        return redis

    @precondition(lambda self: self.machine is None)
    @rule(policy=POLICIES)
    def begin(self, policy: BreakerPolicy) -> None:
        self.machine = Machine(policy)
        self.script = SharedCircuits(self.redis, policy, now_ms=lambda: self.clock.ms)

    @rule(seconds=st.sampled_from([0.001, 0.2, 0.5, 1.0, 4.999, 5.0, 10.0, 15.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: self.machine is not None)
    @rule(
        ok=st.integers(0, 9),
        failed=st.integers(0, 9),
        settled=st.lists(st.tuples(st.integers(0, 5), st.sampled_from([True, True, True, False])), max_size=3),
        returned=st.lists(st.integers(0, 5), max_size=1),
        wanted=st.booleans(),
        released=st.sampled_from([False, False, False, True]),
        only=st.sampled_from(["calls", "probes", "all", "nothing"]),
    )
    def report(
        self,
        ok: int,
        failed: int,
        settled: list[tuple[int, bool]],
        returned: list[int],
        wanted: bool,
        released: bool,
        only: str,
    ) -> None:
        report = Report()
        if only in {"calls", "all"}:
            report.ok, report.failed = ok, failed
        if only in {"probes", "all"}:
            report.settled = [(self.token(n), ok) for n, ok in settled]
            report.returned = [self.token(n) for n in returned]
            report.released = released
            if wanted:
                self.tokens.append(f"6fa1.{len(self.tokens)}")
                report.wanted = self.tokens[-1]
        self.exchange(report)

    @precondition(lambda self: self.machine is not None and self.machine.state(self.clock.ms) is State.HALF_OPEN)
    @rule(ok=st.sampled_from([True, True, True, False]))
    def a_probe_goes_and_comes(self, ok: bool) -> None:
        self.tokens.append(f"6fa1.{len(self.tokens)}")
        self.exchange(Report(wanted=self.tokens[-1]))
        self.exchange(Report(settled=[(self.tokens[-1], ok)]))

    @precondition(lambda self: self.machine is not None)
    @rule()
    def a_probe_is_lost(self) -> None:
        assert self.machine is not None
        self.tokens += [f"6fa1.{len(self.tokens) + n}" for n in range(2)]
        self.exchange(Report(wanted=self.tokens[-2]))
        self.clock.advance(self.machine.policy.lease_seconds)
        self.exchange(Report(wanted=self.tokens[-1]))

    @precondition(lambda self: self.machine is not None)
    @rule()
    def old_answers_leave_the_window(self) -> None:
        assert self.machine is not None
        for ok, failed in ((20, 0), (0, 7), (1, 0)):
            self.exchange(Report(ok, failed))
            self.clock.advance(self.machine.policy.window_seconds / 2)

    def token(self, n: int) -> str:
        """One of the latest."""
        return self.tokens[-1 - n] if n < len(self.tokens) else "unknown"

    def exchange(self, report: Report) -> None:
        assert self.machine is not None
        views = self.runner.run(self.script.exchange({"k": report}))
        assert views["k"] == exchange(self.machine, report, self.clock.ms)
        stored = self.runner.run(self.redis.get("{k}:breaker"))
        if stored is not None:
            fields = asdict(self.machine)
            del fields["policy"]
            assert orjson.loads(stored) == fields

    def teardown(self) -> None:
        self.runner.run(self.redis.aclose())
        self.runner.close()


def test_the_script_and_the_machine_are_one_circuit(redis_url: str) -> None:
    run_state_machine_as_test(
        lambda: Twins(redis_url), settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
    )


async def test_on_the_servers_own_clock(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        circuits = SharedCircuits(redis, BreakerPolicy())
        view = (await circuits.exchange({"k": Report(failed=5)}))["k"]
        seconds, microseconds = await redis.time()
        assert view.state is State.OPEN
        assert 0 <= seconds * 1_000 + microseconds // 1_000 - view.since < 60_000
        assert view.wait_ms == 60_000
        assert 0 < await redis.pttl("{k}:breaker") <= KEEP_MS + 60_000


async def test_looking_on_leaves_no_key(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        views = await SharedCircuits(redis, BreakerPolicy()).exchange({"a": Report(), "b": Report(ok=1)})
        assert {view.state for view in views.values()} == {State.CLOSED}
        assert await redis.keys("*") == [b"{b}:breaker"]


async def test_a_server_that_forgets_its_scripts_is_taught_again(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        circuits = SharedCircuits(redis, BreakerPolicy())
        for _ in range(4):
            await redis.script_flush()
            await circuits.exchange({key: Report(failed=1) for key in "abc"})
        view = (await circuits.exchange({"a": Report(failed=1)}))["a"]
        assert view.state is State.OPEN, "each failure counted once"
