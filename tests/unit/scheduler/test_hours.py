"""`open_span` against the obvious: walk minute by minute and look at the clock."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.scheduler.domain.hours import NeverOpenError, has_opening, open_span
from shared.events.values import DailySpan, Hours

MINUTE = timedelta(minutes=1)
ZONES = (
    "UTC",
    "Europe/Madrid",
    "Australia/Lord_Howe",
    "Australia/Adelaide",
    "Asia/Beirut",
    "Africa/Cairo",
    "America/Santiago",
    "Pacific/Apia",
    "Asia/Kathmandu",
)
CHANGES = (
    datetime(2026, 3, 29, tzinfo=UTC),
    datetime(2026, 10, 25, tzinfo=UTC),
    datetime(2026, 10, 3, 15, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime(2026, 3, 28, 22, tzinfo=UTC),
    datetime(2026, 4, 23, 22, tzinfo=UTC),
    datetime(2026, 9, 6, 4, tzinfo=UTC),
    datetime(2026, 4, 5, 3, tzinfo=UTC),
    datetime(2011, 12, 30, 10, tzinfo=UTC),
    datetime(2026, 6, 1, tzinfo=UTC),
)
"""About when clocks are changed somewhere."""


def span(start: str, end: str, *days: int) -> DailySpan:
    return DailySpan(start=start, end=end, days=list(days) or [1, 2, 3, 4, 5, 6, 7])


def holds(span: DailySpan, wall: datetime) -> bool:
    start, end, clock = time.fromisoformat(span.start), time.fromisoformat(span.end), wall.time()
    yesterday = (wall - timedelta(days=1)).isoweekday()
    if start < end:
        return start <= clock < end and wall.isoweekday() in span.days
    return (clock >= start and wall.isoweekday() in span.days) or (clock < end and yesterday in span.days)


def is_open(hours: Hours, zone: str, moment: datetime) -> bool:
    wall = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    if any(holds(quiet, wall) for quiet in hours.quiet):
        return False
    return not hours.allowed or any(holds(allowed, wall) for allowed in hours.allowed)


def walked(hours: Hours, zone: str, at: datetime, minutes: int) -> tuple[datetime | None, datetime | None]:
    """The same by walking; an end that is further away is None."""
    moment, stop = at, at + minutes * MINUTE
    while moment < stop and not is_open(hours, zone, moment):
        moment += MINUTE
    if moment >= stop:
        return None, None
    start = moment
    while moment < stop and is_open(hours, zone, moment):
        moment += MINUTE
    return start, moment if moment < stop else None


clocks = st.builds(lambda hour, quarter: f"{hour:02}:{quarter * 15:02}", st.integers(0, 23), st.integers(0, 3))
spans = st.builds(
    lambda start, end, days: span(start, end, *sorted(days)), clocks, clocks, st.sets(st.integers(1, 7), min_size=1)
)


@settings(deadline=None)
@given(
    st.lists(spans, max_size=2),
    st.lists(spans, max_size=2),
    st.sampled_from(ZONES),
    st.sampled_from(CHANGES),
    st.integers(-36 * 60, 36 * 60),
)
def test_it_is_what_walking_minute_by_minute_finds(
    quiet: list[DailySpan], allowed: list[DailySpan], zone: str, change: datetime, minutes: int
) -> None:
    hours, at = Hours(zone="UTC", quiet=quiet, allowed=allowed), change + minutes * MINUTE
    assume(has_opening(hours))
    start, end = walked(hours, zone, at, 4 * 24 * 60)
    found_start, found_end = open_span(hours, zone, at)
    if start is None:
        assert found_start >= at + timedelta(days=4)
    else:
        assert found_start == start
        assert found_end == end if end is not None else found_end is None or found_end >= at + timedelta(days=4)


@settings(deadline=None, max_examples=50)
@given(st.lists(spans, max_size=3), st.lists(spans, max_size=3))
def test_hours_have_an_opening_if_some_minute_of_a_week_is_open(quiet: list[DailySpan], allowed: list[DailySpan]) -> None:
    hours = Hours(zone="UTC", quiet=quiet, allowed=allowed)
    week = (datetime(2026, 6, 1, tzinfo=UTC) + quarter * 15 * MINUTE for quarter in range(7 * 96))
    assert has_opening(hours) == any(is_open(hours, "UTC", moment) for moment in week)


def test_a_moment_within_an_opening_is_kept_to_the_microsecond() -> None:
    at = datetime(2026, 6, 1, 10, 0, 3, 7, tzinfo=UTC)
    assert open_span(Hours(zone="UTC", allowed=[span("09:00", "17:00")]), "UTC", at) == (
        at,
        at.replace(hour=17, second=0, microsecond=0),
    )


def test_without_hours_it_is_always_open() -> None:
    at = datetime(2026, 6, 1, tzinfo=UTC)
    assert open_span(Hours(zone="UTC"), "UTC", at) == (at, None)
    assert open_span(Hours(zone="UTC", allowed=[span("00:00", "00:00")]), "UTC", at) == (at, None)


def test_a_window_that_a_clock_change_swallows_comes_a_week_later() -> None:
    hours = Hours(zone="UTC", allowed=[span("02:00", "03:00", 7)])
    start, end = open_span(hours, "Europe/Madrid", datetime(2026, 3, 28, tzinfo=UTC))
    assert (start, end) == (datetime(2026, 4, 5, tzinfo=UTC), datetime(2026, 4, 5, 1, tzinfo=UTC))


def test_a_day_that_is_left_out_has_no_window() -> None:
    fridays = Hours(zone="UTC", allowed=[span("00:00", "00:00", 5)])
    start, _ = open_span(fridays, "Pacific/Apia", datetime(2011, 12, 29, 12, tzinfo=UTC))  # Thursday the 29th, then Saturday
    assert start == datetime(2012, 1, 5, 10, tzinfo=UTC)


def test_hours_that_never_open_are_known_for_it() -> None:
    hours = Hours(zone="UTC", quiet=[span("08:00", "08:00")])
    assert not has_opening(hours)
    with pytest.raises(NeverOpenError):
        open_span(hours, "UTC", datetime(2026, 6, 1, tzinfo=UTC))
