"""Which way a search goes, which months it takes, and what it ranks by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.archive.domain.query import parse
from services.archive.domain.relevance import score, weights
from services.archive.domain.routing import (
    DAYS_AT_ONCE,
    POSTING_COST,
    Listed,
    Odds,
    Way,
    day_of,
    first_entries,
    following,
    helpful,
    month_of,
    next_days,
    next_entries,
    next_months,
    previous,
    way,
)

NOW = datetime(2026, 11, 20, tzinfo=UTC)
MONTHS = [(datetime(2026, month, 1, tzinfo=UTC), 1_000) for month in range(10, 0, -1)]


TOTAL = 10_000_000


def odds(*entries: int, share: float | None = None) -> Odds:
    """Of words in so many of ten million entries of ten years."""
    expected = 1.0
    for one in entries:
        expected *= one / TOTAL
    lists = tuple(Listed(one, one * POSTING_COST) for one in sorted(entries))
    return Odds(min(entries), TOTAL, expected if share is None else share, TOTAL, 120, lists)


@pytest.mark.parametrize(
    ("entries", "wanted", "expected"),
    [
        ((0,), 51, Way.ALL),
        ((1_500,), 51, Way.ALL),
        ((7_500,), 51, Way.SPANS),
        ((100_000,), 51, Way.SPANS),
        ((750_000,), 51, Way.WALK),
        ((10_000_000,), 51, Way.WALK),
        ((75_000, 100_000), 51, Way.ALL),  # never together as often as they are frequent
        ((800_000, 2_000_000), 51, Way.WALK),
        ((5_400,), 501, Way.ALL),
        ((750_000,), 501, Way.WALK),
        ((75_000,), 251, Way.SPANS),
    ],
)
def test_the_way_is_the_cheapest(entries: tuple[int, ...], wanted: int, expected: Way) -> None:
    assert way(odds(*entries), wanted) is expected


def test_no_way_collects_or_walks_without_end() -> None:
    assert way(odds(50_000, share=1e-7), 51) is not Way.WALK
    assert way(odds(5_000_000, 5_000_000, share=1e-7), 51) is not Way.ALL


def test_a_long_list_is_not_read_for_few_rows() -> None:
    asked = odds(70_000, 2_000_000)
    assert helpful(asked, 11_000) == (True, False)
    assert helpful(asked, 10_000_000) == (True, True)
    assert helpful(asked, 10) == (False, False)


def test_the_first_span_holds_more_where_the_filters_take_some() -> None:
    assert first_entries(odds(100_000), 51) < first_entries(odds(100_000, share=0.001), 51)


def test_the_next_span_goes_by_what_the_last_one_met() -> None:
    assert 4 * 500 / 47 < next_entries(500, 47, 4) < 500
    assert next_entries(500, 20, 31) > 500
    assert next_entries(500, 1, 50) == next_entries(500, 0, 51) == 6 * 500
    assert next_entries(1, 50, 2) == 2


def test_days_are_taken_where_a_few_of_them_have_enough() -> None:
    newest, since = datetime(2026, 9, 20, 15, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC)
    span = next_days(MONTHS, newest, since, 10_000, 100)  # 33 of them a day
    assert span is not None
    assert (span.newest, span.oldest) == (day_of(newest), day_of(newest) - timedelta(days=2))
    assert (span.is_days, span.is_last, len(span.each())) == (True, False, 3)
    assert next_days(MONTHS, newest, since, 10_000, 34 * DAYS_AT_ONCE) is None
    assert next_days(MONTHS, NOW.replace(year=2027), since, 10_000, 1) is None
    last = next_days(MONTHS, newest, newest - timedelta(hours=30), 10_000, 100)
    assert last is not None
    assert (last.oldest, last.is_last) == (day_of(newest) - timedelta(days=1), True)
    # The days of the newest month that have not come yet have nothing.
    early = next_days(MONTHS, datetime(2026, 10, 2, tzinfo=UTC), since, 10_000, 900)
    assert early is not None
    assert len(early.each()) == 2


@pytest.mark.parametrize(
    ("newest", "oldest", "postings", "expected"),
    [
        (10, 1, 100, (10, 10, False)),
        (10, 1, 101, (10, 9, False)),
        (6, 1, 300, (6, 4, False)),
        (12, 1, 100, (10, 10, False)),
        (10, 1, 100_000, (10, 1, True)),
        (10, 8, 100_000, (10, 8, True)),
    ],
)
def test_months_are_taken_from_the_newest_until_they_have_enough(
    newest: int, oldest: int, postings: int, expected: tuple[int, int, bool]
) -> None:
    ends = datetime(2026, newest, 1, tzinfo=UTC), datetime(2026, oldest, 1, tzinfo=UTC)
    months = next_months(MONTHS, ends[0], ends[1], 1_000, postings)
    assert months is not None
    assert (months.newest.month, months.oldest.month, months.is_last) == expected
    assert [month.month for month in months.each()] == list(range(expected[0], expected[1] - 1, -1))


def test_before_the_first_month_there_is_nothing() -> None:
    assert next_months(MONTHS, datetime(2025, 12, 1, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC), 1, 1) is None
    assert next_months([], NOW, datetime(2000, 1, 1, tzinfo=UTC), 1, 1) is None


@given(st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  # bounds are naive
def test_months_follow_each_other(moment: datetime) -> None:
    month = month_of(moment)
    assert month <= moment < following(month)
    assert previous(following(month)) == month == following(previous(month))


def test_what_says_it_more_closely_oftener_and_later_comes_first() -> None:
    query = parse("house parcel")
    weighed = weights(query, {"house": 5_000, "parcel": 10}, 10_000)
    assert weighed["parcel"] > weighed["house"] > 0

    def of(body: str, days: int = 0) -> int:
        return score(body, NOW - timedelta(days=days), weighed, NOW)

    assert of("the house parcel came") > of("the parcel came to a house")
    assert of("a parcel, a parcel, by house") > of("a parcel, a box, by house")
    assert of("parcel to a house") > of("parcel to a house" + " and so on" * 30)
    assert of("parcel to a house") > of("parcel to a house", days=400)
    assert of("parcel to a house", days=-1) == of("parcel to a house")


def test_a_word_that_nobody_counted_weighs_as_the_rarest() -> None:
    query = parse("new old")
    assert weights(query, {"old": 3}, 100)["new"] > weights(query, {"old": 3}, 100)["old"]
    assert score("new old", NOW, weights(query, {}, 1), NOW) > 0
