"""What the dispatch does with a run, and when it looks at it again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.scheduler.domain.dispatch import CHUNK, LEAD, Standing, cap, lead_of, look_again, step
from services.scheduler.domain.pacing import Allowance
from services.scheduler.domain.run import (
    FailureStop,
    Pacing,
    RecipientState,
    RunCounts,
    RunState,
    RunTerms,
    expiry,
    has_failed_too_often,
)
from shared.ids import NumberId

NOW = datetime(2026, 12, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def standing(**changes: Any) -> Standing:
    given: dict[str, Any] = {
        "state": RunState.RUNNING,
        "since": NOW,
        "is_expanded": True,
        "terms": RunTerms(number_id=NumberId("num_1")),
        "pending": 10_000,
        "requested": 0,
        "tardy": 0,
        "tried": 0,
        "failed": 0,
        "messages_per_second": 80,
        "allowance": Allowance(),
        "paced_at": None,
    }
    return Standing(**{**given, **changes})


def paced(**changes: Any) -> Standing:
    return standing(
        terms=RunTerms(number_id=NumberId("num_1"), pacing=Pacing(messages_per_minute=600)), paced_at=NOW, **changes
    )


@pytest.mark.parametrize(
    ("changes", "quota"),
    [
        ({}, CHUNK),
        ({"pending": 3}, 3),
        ({"requested": 497}, 3),
        ({"requested": 500}, 0),
        ({"requested": 900, "tardy": 600}, 200),
        ({"requested": 499, "messages_per_second": 1_000}, CHUNK),
        ({"messages_per_second": None}, CHUNK),
        ({"state": RunState.PAUSED}, 0),
        ({"state": RunState.CANCELED}, 0),
        ({"state": RunState.FAILED}, 0),
    ],
)
def test_so_many_are_taken(changes: dict[str, Any], quota: int) -> None:
    assert step(standing(**changes), NOW).quota == quota


def test_a_pace_bounds_what_is_taken() -> None:
    assert step(paced(allowance=Allowance(0.0, 60.0)), NOW + SECOND).quota == 10
    assert step(paced(allowance=Allowance(0.0, 60.0)), NOW).quota == 0
    assert lead_of(paced().terms) == timedelta(0)
    assert lead_of(standing().terms) == LEAD


@pytest.mark.parametrize(
    ("changes", "quota"),
    [
        ({"requested": 0}, 15),
        ({"requested": 95}, 5),
        ({"requested": 100}, 0),
        ({"requested": 150, "tardy": 60}, 10),
    ],
)
def test_of_a_paced_run_ten_seconds_worth_is_under_way_at_most(changes: dict[str, Any], quota: int) -> None:
    assert step(paced(allowance=Allowance(15.0, 60.0), **changes), NOW).quota == quota


def test_of_a_slow_run_ten_are_under_way_and_of_a_rising_one_what_its_pace_is_now() -> None:
    assert cap(80, Pacing(messages_per_minute=1), 0) == 10
    assert cap(80, Pacing(messages_per_minute=1_000_000), 0) == 500
    rising = Pacing(messages_per_minute=1_200, ramp_from=120, ramp_minutes=1)
    assert [cap(80, rising, seconds) for seconds in (0, 30, 60)] == [20, 110, 200]


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.PAUSED])
def test_a_run_ends_when_nobody_is_left_and_all_were_found(state: RunState) -> None:
    assert step(standing(state=state, pending=0), NOW).ends
    assert not step(standing(state=state, pending=0, requested=1), NOW).ends
    assert not step(standing(state=state, pending=0, is_expanded=False), NOW).ends
    assert not step(standing(state=RunState.CANCELED, pending=0), NOW).ends


def test_it_is_looked_at_again_when_something_can_have_changed() -> None:
    def again(run: Standing, *, is_more: bool = False, tokens: float = 5.0, at: datetime = NOW) -> tuple[datetime | None, bool]:
        return look_again(run, step(run, at), Allowance(tokens), at, is_more=is_more)

    assert again(standing(), is_more=True) == (NOW, False)
    assert again(standing()) == (None, True)
    assert again(standing(pending=0, requested=5)) == (None, False)
    assert again(standing(requested=500)) == (NOW + SECOND, False)
    moment, _ = again(paced(), is_more=True, tokens=0.0)
    assert moment == NOW + SECOND / 10
    assert again(standing(state=RunState.PAUSED)) == (None, False)
    assert again(standing(state=RunState.CANCELED, requested=5)) == (NOW + SECOND, False)
    assert again(standing(state=RunState.CANCELED, requested=5), at=NOW + timedelta(hours=1)) == (
        NOW + timedelta(hours=1, seconds=30),
        False,
    )


def test_failures_stop_it_once_there_are_enough_to_tell() -> None:
    stop = FailureStop(rate=0.2, after=10)
    assert not has_failed_too_often(None, 100, 100)
    assert not has_failed_too_often(stop, 9, 9)
    assert not has_failed_too_often(stop, 10, 2)
    assert has_failed_too_often(stop, 10, 3)
    terms = RunTerms(number_id=NumberId("num_1"), failure_stop=stop)
    assert step(standing(terms=terms, tried=10, failed=3), NOW).stops
    assert not step(standing(terms=terms, tried=10, failed=3, state=RunState.PAUSED), NOW).stops


def test_the_earlier_of_its_two_ends_counts() -> None:
    number = NumberId("num_1")
    assert expiry(RunTerms(number_id=number), NOW) is None
    assert expiry(RunTerms(number_id=number, ttl_seconds=60), NOW) == NOW + 60 * SECOND
    assert expiry(RunTerms(number_id=number, ttl_seconds=60, expires_at=NOW + SECOND), NOW) == NOW + SECOND


def test_counts_add_up() -> None:
    counts = RunCounts(pending=1, requested=2, sent=3, rejected=4, duplicates=9, delivered=2)
    assert (counts.total, counts.outstanding) == (10, 2)
    assert counts.ended == {"sent": 3, "rejected": 4}
    assert counts.of(RecipientState.SENT) == 3
    assert cap(None) == 500
