"""The lines: slots belong to numbers, the most urgent job takes the next, and nothing leaves without one."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sender.lines import LATE_SECONDS, Lines
from shared.limits.limiter import Line
from shared.limits.rate import Rate

A = Line("pn:1", Rate(100, 1))
B = Line("pn:2", Rate(100, 1))


def lines(*, per_number: int = 10, in_all: int = 20) -> Lines[str]:
    return Lines(per_number=per_number, in_all=in_all)


def drain(there: Lines[str], now: float) -> list[str]:
    taken = []
    while (job := there.take(now)) is not None:
        taken.append(job)
    return taken


def test_a_job_leaves_when_its_number_has_a_slot() -> None:
    there = lines()
    there.add(A, 2, "one", 0.0)
    assert there.take(0.0) is None
    assert there.wanting(0.0) == {A: 1}
    there.add_slots(A, [0.05], asked=1)
    assert there.take(0.0) is None
    assert there.next_moment() == pytest.approx(0.05)
    assert there.take(0.05) == "one"


def test_the_most_urgent_takes_the_next_slot_though_it_came_last() -> None:
    there = lines()
    for n in range(3):
        there.add(A, 3, f"low {n}", 0.0)
    there.add_slots(A, [0.0, 0.01, 0.02])
    assert there.take(0.0) == "low 0"
    there.add(A, 0, "critical", 0.005)
    assert there.take(0.005) is None
    assert there.take(0.01) == "critical"
    assert there.take(0.02) == "low 1"


def test_urgent_jobs_of_one_number_go_before_the_lesser_of_another() -> None:
    there = lines()
    there.add(A, 3, "low", 0.0)
    there.add_slots(A, [0.0])
    there.add(B, 0, "critical", 0.0)
    there.add_slots(B, [0.0])
    assert drain(there, 0.0) == ["critical", "low"]


def test_numbers_take_turns() -> None:
    there = lines()
    for n in range(3):
        there.add(A, 2, f"a{n}", 0.0)
        there.add(B, 2, f"b{n}", 0.0)
    for line in (A, B):
        there.add_slots(line, [0.0, 0.01, 0.02])
    order = [there.take(t / 200) for t in range(8)]
    assert [job for job in order if job is not None] == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_a_number_has_so_many_calls_at_once_and_no_more() -> None:
    there = lines(per_number=2)
    fast = Line("pn:1", Rate(1_000_000, 100))
    for n in range(5):
        there.add(fast, 2, str(n), 0.0)
    there.add_slots(fast, [0.0] * 5)
    assert drain(there, 0.0) == ["0", "1"]
    there.done(fast)
    assert drain(there, 0.01) == ["2"]


def test_so_many_calls_in_all_and_no_more() -> None:
    there = lines(in_all=1)
    there.add(A, 2, "a", 0.0)
    there.add(B, 2, "b", 0.0)
    there.add_slots(A, [0.0])
    there.add_slots(B, [0.0])
    assert drain(there, 0.0) == ["a"]
    there.done(A)
    assert drain(there, 0.0) == ["b"]


def test_a_late_slot_is_dropped_and_asked_for_anew() -> None:
    there = lines()
    there.add(A, 2, "one", 0.0)
    there.add_slots(A, [0.0])
    late = LATE_SECONDS + 0.01
    assert there.take(late) is None
    assert there.wanting(late) == {A: 1}
    assert there.wanting(late) == {}, "what was asked for is not asked for again"
    there.add_slots(A, [late], asked=1)
    assert there.take(late) == "one"


def test_nothing_is_asked_before_the_moment_that_was_told() -> None:
    there = lines()
    there.add(A, 2, "one", 0.0)
    assert there.wanting(0.0) == {A: 1}
    there.add_slots(A, [], asked=1, ask_again_at=3.0)
    assert there.wanting(2.9) == {}
    assert there.wanting(3.0) == {A: 1}


def test_no_more_is_asked_for_than_there_is_room_for_in_calls_and_numbers_take_turns() -> None:
    there = lines(in_all=6)
    for n in range(10):
        there.add(A, 2, f"a{n}", 0.0)
        there.add(B, 2, f"b{n}", 0.0)
    favoured = set()
    for second in range(2):
        wanted = there.wanting(float(second))
        assert sum(wanted.values()) == 6
        favoured.add(max(wanted, key=lambda line: wanted[line]))
        for line, count in wanted.items():
            there.add_slots(line, [float(second)] * count, asked=count)
    assert favoured == {A, B}
    assert there.wanting(1.0) == {}, "so many as are due already"


def test_what_waited_too_long_is_given_back_once() -> None:
    there = lines()
    there.add(A, 2, "old", 0.0)
    there.add(A, 2, "new", 4.0)
    assert there.overdue(1.0) == ["old"]
    assert there.overdue(1.0) == []
    assert there.waiting == 1
    there.add_slots(A, [5.0])
    assert there.take(5.0) == "new"


def test_clearing_gives_back_all_that_was_not_taken() -> None:
    there = lines()
    for n in range(3):
        there.add(A, n, str(n), 0.0)
    there.add_slots(A, [0.0])
    assert there.take(0.0) == "0"
    assert sorted(there.clear()) == ["1", "2"]
    assert there.waiting == 0
    assert drain(there, 1.0) == []
    there.done(A)


def test_an_idle_number_is_forgotten() -> None:
    there = lines()
    there.add(A, 2, "one", 0.0)
    there.add_slots(A, [0.0, 0.01])
    assert there.take(0.0) == "one"
    there.done(A)
    there.wanting(1.0)
    assert there.loads() == {}


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.floats(0, 2)),  # number, tier, when it comes
        min_size=1,
        max_size=60,
    ),
    st.randoms(use_true_random=False),
)
def test_every_job_leaves_once_at_the_pace_and_within_its_caps(jobs: list[tuple[int, int, float]], chance: object) -> None:
    """A small world: slots are granted at the pace as asked, calls take a while; until all have left."""
    rates = [Rate(50, 1), Rate(20, 2), Rate(200, 4), Rate(10, 1)]
    numbers = [Line(f"pn:{n}", rate) for n, rate in enumerate(rates)]
    there: Lines[tuple[int, int]] = Lines(per_number=3, in_all=5)
    coming = sorted((at, index, number, tier) for index, (number, tier, at) in enumerate(jobs))
    next_slot = [0.0] * len(numbers)
    calls: list[tuple[float, int]] = []
    left: Counter[int] = Counter()
    departures: dict[int, list[float]] = {n: [] for n in range(len(numbers))}
    now = 0.0
    for _ in range(20_000):
        while coming and coming[0][0] <= now:
            _, index, number, tier = coming.pop(0)
            there.add(numbers[number], tier, (number, index), now)
        for line, count in there.wanting(now).items():
            n = int(line.group[3:])
            moments = []
            for _ in range(count):
                next_slot[n] = max(next_slot[n], now) + 1 / rates[n].per_second
                moments.append(next_slot[n])
            there.add_slots(line, moments, asked=count)
        for ends, n in [call for call in calls if call[0] <= now]:
            calls.remove((ends, n))
            there.done(numbers[n])
        while (job := there.take(now)) is not None:
            number, index = job
            left[index] += 1
            departures[number].append(now)
            calls.append((now + chance.uniform(0.001, 0.3), number))  # type: ignore[attr-defined]  # a random.Random
            assert there.in_call <= 5
            assert sum(n == number for _, n in calls) <= 3
        if not coming and not there.waiting and not calls:
            break
        now += 0.004
    assert left == Counter(dict.fromkeys(range(len(jobs)), 1))
    for n, moments in departures.items():
        step, burst = 1 / rates[n].per_second, rates[n].burst
        for at, begin in enumerate(moments):
            within = sum(moment < begin + 1 for moment in moments[at:])
            assert within <= 1 / step + burst + 1
