"""The circuit as a machine: driven at random beside a plain account of what was called when."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.limits.breaker import BreakerPolicy, Machine, State

POLICY = BreakerPolicy()
WINDOW, HALF = 2 * POLICY.half_window_ms, POLICY.half_window_ms


class Circuit(RuleBasedStateMachine):
    """`calls` are those since it last closed, as (time, ok); `under_way` are the probes of this opening: token and start."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(POLICY)
        self.now = 1_000_000
        self.calls: list[tuple[int, bool]] = []
        self.opened_at = 0
        self.under_way: dict[str, int] = {}
        self.answered = 0
        self.tokens = 0

    @property
    def state(self) -> State:
        return self.machine.state(self.now)

    @property
    def stage(self) -> int:
        return 0 if self.answered < POLICY.probes[0] else 1

    def opened(self) -> None:
        self.opened_at, self.under_way, self.answered = self.now, {}, 0
        assert self.machine.since == self.now

    def failures(self, last: int) -> int:
        return sum(not ok for at, ok in self.calls if at > self.now - last)

    @rule(ms=st.sampled_from([1, 40, 400, 2_500, 4_999, 5_000, 9_999, 10_000, 15_000, 59_999, 60_000]))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule(ok=st.integers(0, 12), failed=st.integers(0, 12))
    def calls_end(self, ok: int, failed: int) -> None:
        before = self.state
        self.machine.count(ok, failed, self.now)
        if before is not State.CLOSED:
            assert self.state is before, "calls from before say nothing"
            return
        self.calls += [(self.now, True)] * ok + [(self.now, False)] * failed
        recent = [ok for at, ok in self.calls if at > self.now - WINDOW]
        if self.state is State.OPEN:
            assert failed, "only a failure opens it"
            assert self.failures(WINDOW) >= POLICY.threshold
            assert self.failures(WINDOW) >= POLICY.share * sum(at > self.now - HALF for at, _ in self.calls)
            self.opened()
        elif failed:
            assert self.failures(HALF + 1) < max(POLICY.threshold, POLICY.share * len(recent)), "it should have opened"

    @rule()
    def a_probe_is_wanted(self) -> None:
        self.tokens += 1
        token, before = f"t{self.tokens}", self.state
        given = self.machine.lease(token, self.now)
        alive = sum(start + POLICY.lease_ms > self.now for start in self.under_way.values())
        done = self.answered - sum(POLICY.probes[: self.stage])
        assert given == (before is State.HALF_OPEN and done + alive < POLICY.probes[self.stage])
        if given:
            self.under_way = {other: start for other, start in self.under_way.items() if start + POLICY.lease_ms > self.now}
            self.under_way[token] = self.now

    @precondition(lambda self: self.under_way)
    @rule(ok=st.booleans(), which=st.integers(0, 10))
    def a_probe_is_answered(self, ok: bool, which: int) -> None:
        token = list(self.under_way)[which % len(self.under_way)]
        del self.under_way[token]
        self.machine.settle(token, ok=ok, now=self.now)
        if not ok:
            assert self.state is State.OPEN, "one failure is enough"
            self.opened()
            return
        self.answered += 1
        if self.answered == sum(POLICY.probes):
            assert self.state is State.CLOSED
            assert self.machine.since == self.now
            self.calls, self.under_way = [], {}
        else:
            assert self.state is State.HALF_OPEN, "the others must be answered too"

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 10))
    def a_probe_is_not_made(self, which: int) -> None:
        token = list(self.under_way)[which % len(self.under_way)]
        del self.under_way[token]
        self.machine.give_back(token)

    @rule(ok=st.booleans())
    def a_strangers_probe_is_answered(self, ok: bool) -> None:
        before = self.state
        if before is not State.CLOSED:
            self.machine.settle("stranger", ok=ok, now=self.now)
            assert self.state is before

    @invariant()
    def it_is_open_for_its_time_and_no_longer(self) -> None:
        if self.state is State.OPEN:
            assert self.now < self.opened_at + POLICY.open_ms
        if self.state is State.HALF_OPEN:
            assert self.now >= self.opened_at + POLICY.open_ms

    @invariant()
    def no_more_probes_than_the_stage_has(self) -> None:
        if self.state is not State.CLOSED:
            assert 0 <= self.machine.answered < POLICY.probes[self.machine.stage]
            assert len(self.machine.leases) + self.machine.answered <= POLICY.probes[self.machine.stage]


TestCircuit = Circuit.TestCase
TestCircuit.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def opened(now: int = 1_000) -> Machine:
    machine = Machine(POLICY)
    machine.count(0, POLICY.threshold, now)
    assert machine.state(now) is State.OPEN
    return machine


def test_five_failures_open_it_and_four_do_not() -> None:
    machine = Machine(POLICY)
    machine.count(0, 4, 1_000)
    assert machine.state(1_000) is State.CLOSED
    machine.count(0, 1, 1_001)
    assert machine.state(1_001) is State.OPEN
    assert machine.state(61_000) is State.OPEN
    assert machine.state(61_001) is State.HALF_OPEN


@pytest.mark.parametrize("gap_ms", [3_000, 60_000])
def test_rare_failures_do_not_add_up(gap_ms: int) -> None:
    machine = Machine(POLICY)
    for n in range(1, 100):
        machine.count(0, 1, n * gap_ms)
    assert machine.state(100 * gap_ms) is State.CLOSED


def test_a_provider_that_fails_one_call_in_five_is_never_shut_out() -> None:
    chance = random.Random(7)  # noqa: S311  # the same every time
    machine = Machine(POLICY)
    machine.count(50, 0, 0)
    for now in range(0, 3_600_000, 20):
        ok = chance.random() > 0.2
        machine.count(int(ok), int(not ok), now)
        assert machine.state(now) is State.CLOSED


def test_a_provider_that_goes_down_is_left_alone_within_the_window() -> None:
    machine, now = Machine(POLICY), 0
    while now < 20_000:
        machine.count(1, 0, now := now + 20)
    down = now
    while machine.state(now) is State.CLOSED:
        machine.count(0, 1, now := now + 20)
    assert now - down <= WINDOW


def test_it_is_a_failure_that_opens_it_not_that_old_answers_leave_the_window() -> None:
    machine = Machine(POLICY)
    for n, (ok, failed) in enumerate([(20, 0), (0, 7), (1, 0)]):
        machine.count(ok, failed, n * HALF + 1)
        assert machine.state(n * HALF + 1) is State.CLOSED
    machine.count(0, 1, 2 * HALF + 2)
    assert machine.state(2 * HALF + 2) is State.OPEN


def test_one_probe_then_five_then_it_is_closed() -> None:
    machine, now = opened(), 70_000
    assert [machine.lease(token, now) for token in "ab"] == [True, False]
    machine.settle("a", ok=True, now=now)
    assert [machine.lease(token, now) for token in "cdefgh"] == [True] * 5 + [False]
    for token in "cdefg":
        assert machine.state(now) is State.HALF_OPEN
        machine.settle(token, ok=True, now=now)
    assert machine.state(now) is State.CLOSED


def test_a_lost_probe_is_given_again_and_its_answer_comes_too_late() -> None:
    machine, now = opened(), 70_000
    assert machine.lease("lost", now)
    assert not machine.lease("other", now + POLICY.lease_ms - 1)
    now += POLICY.lease_ms
    assert machine.lease("other", now)
    machine.settle("lost", ok=False, now=now)
    assert machine.state(now) is State.HALF_OPEN
    machine.settle("other", ok=True, now=now)
    assert machine.free(now) == POLICY.probes[1]


def test_once_closed_the_failures_of_before_are_forgotten() -> None:
    machine, now = opened(), 70_000
    for token in "abcdef":
        assert machine.lease(token, now)
        machine.settle(token, ok=True, now=now)
    machine.count(0, POLICY.threshold - 1, now)
    assert machine.state(now) is State.CLOSED
