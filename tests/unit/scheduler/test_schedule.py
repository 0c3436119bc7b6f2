from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.domain.schedule import (
    LONGEST_WAITING,
    Occurrence,
    Overlap,
    Timing,
    next_occurrences,
    occurrence_at,
    turn,
)

NOW = datetime(2026, 6, 1, 8, tzinfo=UTC)


def some(count: int, first: int = 0) -> list[Occurrence]:
    return [Occurrence(NOW + timedelta(hours=first + n)) for n in range(count)]


@given(st.sampled_from(Overlap), st.integers(0, 3), st.integers(0, 5), st.booleans())
def test_side_by_side_are_only_those_that_may_be(overlap: Overlap, waiting: int, due: int, is_busy: bool) -> None:
    every = [*some(waiting), *some(due, waiting)]
    taken = turn(overlap, every[:waiting], every[waiting:], is_busy=is_busy)
    if overlap is Overlap.ALLOW_ALL:
        assert list(taken.opens) == every
    else:
        on = len(taken.opens) + (is_busy and not taken.cancels)
        assert on <= 1
        assert on == 1 or not every
    assert [*taken.opens, *taken.waits] == [one for one in every if one in taken.opens or one in taken.waits]
    if overlap is Overlap.BUFFER_ALL:
        assert [*taken.opens, *taken.waits] == every
    if overlap is Overlap.BUFFER_ONE:
        assert len(taken.waits) <= 1


def test_those_that_wait_are_not_without_end() -> None:
    taken = turn(Overlap.BUFFER_ALL, some(LONGEST_WAITING), some(5, LONGEST_WAITING), is_busy=True)
    assert len(taken.waits) == LONGEST_WAITING


def test_the_recipients_own_time_is_due_when_the_first_of_them_has_it() -> None:
    timing = Timing(rule="FREQ=DAILY;BYHOUR=9;BYMINUTE=0", zone="recipient", start=datetime.fromisoformat("2026-06-01T00:00"))
    found = next_occurrences(timing, NOW, 2)
    assert found == [
        Occurrence(datetime(2026, 6, day - 1, 19, tzinfo=UTC), datetime.fromisoformat(f"2026-06-0{day}T09:00"))
        for day in (2, 3)
    ]
    assert [occurrence_at(timing, one.due_at) for one in found] == found


def test_nothing_comes_after_the_end_or_past_the_count() -> None:
    timing = Timing(
        cron="0 * * * *", zone="UTC", start=datetime.fromisoformat("2026-06-01T10:00"), end=NOW + timedelta(hours=5), count=3
    )
    assert [one.due_at.hour for one in next_occurrences(timing, NOW, 10)] == [10, 11, 12]
    assert [one.due_at.hour for one in next_occurrences(timing, NOW, 10, opened=2)] == [10]
    assert [one.due_at.hour for one in next_occurrences(timing.model_copy(update={"count": None}), NOW, 10)] == [10, 11, 12, 13]
