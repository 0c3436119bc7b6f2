"""What the counters of days say."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.archive.domain.statistics import (
    SLOT,
    SLOTS,
    Delivery,
    Streak,
    answers,
    counts_of,
    delivery,
    longest_streak,
    seconds_of,
    zone_days,
)
from services.archive.domain.stop_words import is_emoji, is_telling

DAY = date(2026, 3, 28)


@given(st.floats(0, 7 * 86_400))
def test_a_bucket_tells_seconds_within_five_percent(seconds: float) -> None:
    bucket = math.floor(math.log(1 + seconds) / math.log(1.1))  # as the statement does
    assert abs(seconds_of(bucket) - seconds) <= 0.05 * (1 + seconds)


def test_a_median_is_the_time_of_the_answer_in_the_middle() -> None:
    counts = {"r:contact:10": 3, "r:contact:20": 1, "r:contact:30": 6, "r:business:5": 1}
    found = answers(counts, "contact")
    assert found.count == 10
    assert found.median_seconds == seconds_of(30)
    assert answers(counts, "business").p90_seconds == seconds_of(5)
    assert answers({}, "contact").median_seconds is None


def test_what_was_read_was_delivered_and_sent() -> None:
    found = delivery({"s:sent": 1, "s:delivered": 2, "s:read": 3, "s:failed": 4, "s:expired": 1, "s:queued": 9})
    assert found == Delivery(sent=6, delivered=5, read=3, failed=5)
    assert found.read_rate == 0.5
    assert delivery({}).delivered_rate is None


def test_a_family_is_in_the_order_of_its_numbers() -> None:
    assert list(counts_of({"t:text": 1, "t:image": 5, "t:a:b": 1, "n": 7, "t:gone": 0}, "t").items()) == [
        ("image", 5),
        ("a:b", 1),
        ("text", 1),
    ]


@pytest.mark.parametrize(
    "name", ["UTC", "Europe/Madrid", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Africa/Cairo"]
)
def test_a_day_of_utc_has_the_clocks_of_the_zone_at_every_quarter(name: str) -> None:
    zone = ZoneInfo(name)
    for row in zone_days(zone, date(2026, 1, 1), date(2026, 12, 31)):
        for slot in range(SLOTS):
            moment = datetime(row.day.year, row.day.month, row.day.day, tzinfo=UTC) + slot * SLOT
            minutes = row.minutes if slot < row.change_slot else row.minutes_after
            assert moment.astimezone(zone).utcoffset() == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("days", "streak"),
    [([], None), ([0], (1, 0, 0)), ([0, 1, 3, 4], (2, 3, 4)), ([0, 1, 2, 5, 6], (3, 0, 2))],
)
def test_the_longest_streak(days: list[int], streak: tuple[int, int, int] | None) -> None:
    expected = None
    if streak is not None:
        expected = Streak(streak[0], DAY + timedelta(days=streak[1]), DAY + timedelta(days=streak[2]))
    assert longest_streak([DAY + timedelta(days=day) for day in days]) == expected


@pytest.mark.parametrize(
    ("term", "tells"),
    [
        ("parcel", True),
        ("the", False),
        ("esta", False),
        ("dont", False),
        ("12345", False),
        ("go", False),
        ("早上", True),
        ("😀", False),
    ],
)
def test_particles_numbers_and_emoji_are_no_telling_words(term: str, tells: bool) -> None:
    assert is_telling(term) is tells


def test_an_emoji_is_told_from_a_word() -> None:
    assert is_emoji("😀")
    assert is_emoji("🇵🇪")
    assert not is_emoji("parcel")
    assert not is_emoji("早")
