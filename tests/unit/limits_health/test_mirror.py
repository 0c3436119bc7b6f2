"""A circuit as its processes see it: several of them around one shared circuit, which comes and goes."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.limits.breaker import BreakerPolicy, Machine, Report, State
from shared.limits.breaker_mirror import FULL_MS, Mirror
from tests.support.circuits import exchange

POLICY = BreakerPolicy()
NOW = 1_000_000


class Replica:
    def __init__(self, name: str) -> None:
        self.name = name
        self.mirror = Mirror(POLICY)
        self.tokens = 0
        self.probing = 0

    def sync(self, shared: Machine | None, now: int) -> None:
        report = self.mirror.take_report()
        if shared is None:
            self.mirror.lose_fleet(now)
        else:
            self.mirror.learn(exchange(shared, report, now), now)

    def admit(self, shared: Machine | None, now: int) -> bool:
        """As `Breakers.admit` does it."""
        state = self.mirror.state(now)
        if state is not State.HALF_OPEN:
            return state is State.CLOSED
        self.tokens += 1
        token = f"{self.name}{self.tokens}"
        if not self.mirror.lease(token, now):
            return False
        if self.mirror.needs_leave(now):
            if shared is None:
                self.mirror.lose_fleet(now)
                self.mirror.give_back(token)
                given = self.mirror.lease(token, now)
            else:
                view = exchange(shared, Report(wanted=token), now)
                self.mirror.learn(view, now)
                given = view.given
            if not given:
                self.mirror.give_back(token)
                return self.mirror.is_closed
        self.mirror.hold(token, now)
        self.probing += 1
        return True

    def note(self, *, ok: bool, now: int) -> None:
        self.mirror.note(ok=ok, now=now)
        self.probing = max(0, self.probing - 1)


class Fleet(RuleBasedStateMachine):
    """Three processes. Redis may be away from one of them, or lose its memory."""

    @initialize()
    def begin(self) -> None:
        self.now = NOW
        self.shared = Machine(POLICY)
        self.replicas = [Replica(name) for name in "abc"]
        self.away: set[str] = set()
        self.was_away = False
        self.failed_lately = 0

    def reach(self, replica: Replica) -> Machine | None:
        return None if replica.name in self.away else self.shared

    @rule(ms=st.sampled_from([50, 200, 1_000, 9_000, 15_000, 60_000]))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule(which=st.integers(0, 2))
    def one_syncs(self, which: int) -> None:
        replica = self.replicas[which]
        replica.sync(self.reach(replica), self.now)
        if replica.name not in self.away:
            assert replica.mirror.state(self.now) is not State.CLOSED or self.shared.state(self.now) is State.CLOSED
            if self.shared.state(self.now) is State.OPEN:
                assert replica.mirror.wait_ms(self.now) == self.shared.half_open_at - self.now

    @rule(which=st.integers(0, 2), ok=st.booleans(), count=st.integers(1, 8))
    def calls_end(self, which: int, ok: bool, count: int) -> None:
        replica = self.replicas[which]
        for _ in range(count):
            if replica.mirror.state(self.now) is State.CLOSED:
                replica.note(ok=ok, now=self.now)
                self.failed_lately += not ok

    @rule(which=st.integers(0, 2))
    def a_call_is_wanted(self, which: int) -> None:
        replica = self.replicas[which]
        free, before = self.shared.free(self.now), self.shared.state(self.now)
        if replica.admit(self.reach(replica), self.now) and not self.away and not self.was_away and before is State.HALF_OPEN:
            stale = replica.mirror.is_closed  # it has not heard of the opening yet
            assert stale or free > 0, "a probe more than the fleet has"

    @rule(which=st.integers(0, 2), ok=st.booleans())
    def a_probe_ends(self, which: int, ok: bool) -> None:
        replica = self.replicas[which]
        if replica.probing:
            replica.note(ok=ok, now=self.now)
            self.failed_lately += not ok

    @rule(which=st.integers(0, 2))
    def a_probe_is_not_made(self, which: int) -> None:
        replica = self.replicas[which]
        if replica.probing:
            replica.probing -= 1
            replica.mirror.give_up()

    @rule(which=st.sampled_from("abc"))
    def redis_goes_away_from_one(self, which: str) -> None:
        self.away.add(which)
        self.was_away = True

    @rule()
    def redis_comes_back(self) -> None:
        self.away.clear()

    @rule()
    def redis_loses_its_memory(self) -> None:
        waits = [replica.mirror.wait_ms(self.now) for replica in self.replicas]
        fresh = any(replica.mirror._report.failed for replica in self.replicas)
        self.shared = Machine(POLICY)
        self.was_away = True
        for replica in self.replicas:
            replica.sync(self.reach(replica), self.now)
        if not fresh:
            for replica, wait in zip(self.replicas, waits, strict=True):
                now_waits = replica.mirror.wait_ms(self.now)
                assert now_waits == wait or {now_waits, wait} <= {0, FULL_MS}, "it neither opened nor closed"

    @precondition(lambda self: self.failed_lately < POLICY.threshold)
    @invariant()
    def nothing_opens_without_failures(self) -> None:
        assert all(replica.mirror.is_closed for replica in self.replicas)


TestFleet = Fleet.TestCase
TestFleet.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def fail(mirror: Mirror, times: int = POLICY.threshold, now: int = NOW) -> None:
    for _ in range(times):
        mirror.note(ok=False, now=now)


def test_its_own_evidence_stops_a_process_at_once() -> None:
    mirror = Mirror(POLICY)
    fail(mirror)
    assert mirror.wait_ms(NOW) == POLICY.open_ms
    assert mirror.has_news


def test_where_only_one_process_fails_only_that_one_stops() -> None:
    shared, healthy, broken = Machine(POLICY), Mirror(POLICY), Mirror(POLICY)
    for _ in range(100):
        healthy.note(ok=True, now=NOW)
    fail(broken)
    for mirror in (healthy, broken):
        mirror.learn(exchange(shared, mirror.take_report(), NOW), NOW)
    assert healthy.wait_ms(NOW) == 0
    assert broken.wait_ms(NOW) == POLICY.open_ms
    later = NOW + POLICY.open_ms
    for n in range(sum(POLICY.probes)):
        assert broken.wait_ms(later) == 0
        assert broken.lease(f"t{n}", later)
        assert not broken.needs_leave(later)
        broken.hold(f"t{n}", later)
        broken.note(ok=True, now=later)
    assert broken.is_closed
    exchange(shared, broken.take_report(), later)
    assert shared.ok == sum(POLICY.probes), "for the others its probes are calls like any"


def test_with_the_fleets_leave_one_round_of_probes_is_enough() -> None:
    shared, mirror = Machine(POLICY), Mirror(POLICY)
    fail(mirror)
    mirror.learn(exchange(shared, mirror.take_report(), NOW + 100), NOW + 100)
    later = NOW + 100 + POLICY.open_ms
    assert shared.state(later) is State.HALF_OPEN
    assert mirror.needs_leave(later)
    for n in range(sum(POLICY.probes)):
        assert mirror.lease(f"t{n}", later)
        view = exchange(shared, Report(wanted=f"t{n}"), later)
        assert view.given
        mirror.hold(f"t{n}", later)
        mirror.note(ok=True, now=later)
        mirror.learn(exchange(shared, mirror.take_report(), later), later)
    assert mirror.is_closed, "no second round of probes"


def test_probes_of_others_spare_a_process_its_own() -> None:
    shared, mirror = Machine(POLICY), Mirror(POLICY)
    fail(mirror)
    mirror.learn(exchange(shared, mirror.take_report(), NOW), NOW)
    shared.close(NOW + POLICY.open_ms)
    mirror.learn(exchange(shared, Report(), NOW + POLICY.open_ms), NOW + POLICY.open_ms)
    assert mirror.is_closed


def test_a_process_that_opened_first_counts_probes_with_the_others() -> None:
    shared, mirror, later = Machine(POLICY), Mirror(POLICY), NOW + POLICY.open_ms
    fail(mirror)
    mirror.learn(exchange(shared, mirror.take_report(), NOW), NOW)
    assert shared.lease("elsewhere", later)
    shared.settle("elsewhere", ok=True, now=later)
    mirror.learn(exchange(shared, Report(), later), later)
    assert all(mirror.lease(token, later) for token in "abcde"), "the first probe was made for all"


def test_who_has_answered_past_an_open_circuit_is_probed_at_once() -> None:
    shared, mirror, other = Machine(POLICY), Mirror(POLICY), Mirror(POLICY)
    fail(mirror)
    for one in (mirror, other):
        one.learn(exchange(shared, one.take_report(), NOW), NOW)
    assert other.wait_ms(NOW) == POLICY.open_ms
    mirror.release(NOW + 1)
    assert mirror.has_news
    for one in (mirror, other):
        one.learn(exchange(shared, one.take_report(), NOW + 1), NOW + 1)
        assert one.state(NOW + 1) is State.HALF_OPEN
    calm = Mirror(POLICY)
    calm.release(NOW)
    assert calm.is_closed


def test_calls_from_before_the_opening_say_nothing() -> None:
    shared, mirror = Machine(POLICY), Mirror(POLICY)
    shared.count(0, POLICY.threshold, NOW)
    mirror.learn(exchange(shared, Report(), NOW), NOW)
    fail(mirror, now=NOW + POLICY.open_ms)
    assert mirror.take_report() == Report()
    assert mirror.wait_ms(NOW + POLICY.open_ms) == 0, "its probes may begin"


def test_where_all_probes_are_under_way_others_stay_away() -> None:
    shared, mirror = Machine(POLICY), Mirror(POLICY)
    shared.count(0, POLICY.threshold, NOW)
    later = NOW + POLICY.open_ms
    mirror.learn(exchange(shared, Report(), later), later)
    assert mirror.wait_ms(later) == 0
    mirror.learn(exchange(shared, Report(wanted="elsewhere"), later), later)
    assert mirror.wait_ms(later) == FULL_MS


def test_a_recovery_seen_by_others_ends_what_was_adopted_while_redis_was_away() -> None:
    shared, mirror = Machine(POLICY), Mirror(POLICY)
    shared.count(0, POLICY.threshold, NOW)
    mirror.learn(exchange(shared, Report(), NOW), NOW)
    mirror.lose_fleet(NOW + 1_000)
    assert mirror.wait_ms(NOW + 1_000) == POLICY.open_ms - 1_000
    shared.close(NOW + 2_000)
    mirror.learn(exchange(shared, Report(), NOW + 3_000), NOW + 3_000)
    assert mirror.is_closed
