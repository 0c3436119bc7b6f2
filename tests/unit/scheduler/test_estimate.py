"""How long a campaign will take, against a slow and obvious count second by second."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.domain.estimate import Pace, Plan
from shared.events.values import DailySpan, Hours

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
NIGHT = Hours(zone="UTC", quiet=[DailySpan(start="21:00", end="08:00")])


def plan(waiting: Mapping[str, int], pace: Pace, **rest: Any) -> Plan:
    return Plan(waiting=waiting, ready={}, started=NOON, pace=pace, **rest)


paces = st.builds(
    Pace,
    number=st.integers(1, 200).map(float),
    limit=st.none() | st.floats(0.1, 300),
    ramp_from=st.none() | st.floats(0.1, 300),
    ramp_seconds=st.integers(0, 3_600).map(float),
)


@given(paces, st.integers(0, 5_000))
def test_what_has_left_is_the_sum_of_the_rates(pace: Pace, seconds: int) -> None:
    by_the_second = sum((pace.rate(second) + pace.rate(second + 1)) / 2 for second in range(seconds))
    assert pace.sent_after(seconds) == pytest.approx(by_the_second, rel=0.01, abs=pace.top)


@given(paces, st.floats(0, 1e6))
def test_when_so_many_have_left_is_the_inverse(pace: Pace, messages: float) -> None:
    assert pace.sent_after(pace.seconds_for(messages)) == pytest.approx(messages, rel=1e-6, abs=1e-3)


@pytest.mark.parametrize("ramp_from", [None, 5.0, 50.0])
def test_no_pace_is_faster_than_its_number(ramp_from: float | None) -> None:
    pace = Pace(10.0, 20.0, ramp_from, 600.0)
    assert max(pace.rate(second) for second in range(2_000)) == 10.0
    assert pace.rate(10_000) == 10.0


def test_without_limits_the_number_decides() -> None:
    assert plan({"UTC": 80_000}, Pace(80.0)).end(NOON) == NOON + timedelta(seconds=1_000)
    assert plan({}, Pace(80.0)).end(NOON) == NOON


def test_a_ramp_makes_it_longer() -> None:
    pace = Pace(80.0, limit=10.0, ramp_from=0.0001, ramp_seconds=600.0)
    end = plan({"UTC": 3_000 + 6_000}, pace).end(NOON)
    assert end is not None
    assert (end - NOON).total_seconds() == pytest.approx(1_200, abs=1)


def test_quiet_hours_are_waited_for_in_each_zone() -> None:
    # Noon is 13:00 in Madrid: eight hours are left there, and twelve in Chicago, where it is 6:00 and opens at eight.
    pace = Pace(1.0)
    assert plan({"Europe/Madrid": 8 * 3_600}, pace, hours=NIGHT).end(NOON) == NOON + timedelta(hours=8)
    assert plan({"Europe/Madrid": 8 * 3_600 + 60}, pace, hours=NIGHT).end(NOON) == NOON + timedelta(hours=19, minutes=1)
    assert plan({"America/Chicago": 60}, pace, hours=NIGHT).end(NOON) == NOON + timedelta(hours=2, minutes=1)
    both = {"Europe/Madrid": 60, "America/Chicago": 60}
    assert plan(both, pace, hours=NIGHT).end(NOON) == NOON + timedelta(hours=2, minutes=1)


def test_each_zone_has_a_start_of_its_own() -> None:
    later = Plan(
        waiting={"UTC": 10, "Asia/Tokyo": 10},
        ready={"Asia/Tokyo": NOON + timedelta(hours=1)},
        started=NOON,
        pace=Pace(1.0),
    )
    assert later.end(NOON) == NOON + timedelta(hours=1, seconds=10)


def test_no_more_users_a_day_than_the_portfolio_may_write_to() -> None:
    end = plan({"UTC": 2_500}, Pace(100.0), per_day=1_000).end(NOON)
    assert end == NOON + timedelta(days=2, seconds=5)


def test_what_takes_longer_than_half_a_year_has_no_end() -> None:
    assert plan({"UTC": 10**9}, Pace(1.0)).end(NOON) is None
    assert plan({"UTC": 10**6}, Pace(80.0), per_day=10).end(NOON) is None


def test_hundreds_of_zones_and_weeks_are_estimated() -> None:
    waiting = dict.fromkeys(("Europe/Madrid", "America/Chicago", "Asia/Tokyo", "Australia/Lord_Howe"), 50_000)
    waiting |= {f"Etc/GMT+{hour}": 10 for hour in range(1, 13)} | {f"Etc/GMT-{hour}": 10 for hour in range(1, 15)}
    end = plan(waiting, Pace(0.2), hours=NIGHT).end(NOON)
    assert end is not None
    assert timedelta(days=10) < end - NOON < timedelta(days=25)


@given(
    st.dictionaries(st.sampled_from(["UTC", "Asia/Tokyo", "America/Chicago"]), st.integers(1, 400), min_size=1),
    st.integers(1, 20),
    st.integers(1, 600),
)
def test_it_agrees_with_a_count_second_by_second(waiting: dict[str, int], rate: int, minutes: int) -> None:
    """Openings of a made-up day: two of the zones open later, at known moments."""
    ready = {"Asia/Tokyo": NOON + timedelta(minutes=minutes), "America/Chicago": NOON + timedelta(seconds=minutes)}
    left, second, done = dict(waiting), 0, NOON
    while any(left.values()):
        room = rate
        for zone, waiting_there in left.items():
            if ready.get(zone, NOON) <= NOON + timedelta(seconds=second):
                taken = min(room, waiting_there)
                left[zone] -= taken
                room -= taken
        second += 1
        done = NOON + timedelta(seconds=second)
    end = Plan(waiting=waiting, ready=ready, started=NOON, pace=Pace(float(rate))).end(NOON)
    assert end is not None
    assert abs((done - end).total_seconds()) <= 4, "two openings and an end, each within a second"
