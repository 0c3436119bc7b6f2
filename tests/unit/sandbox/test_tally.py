"""Counts per tenth of a second against a plain model, and the ledger's columns."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.sandbox.ledger import Ledger
from services.sandbox.tally import TICKS_KEPT, TICKS_PER_SECOND, Tally, Ticks

START = 1_800_000_000


@given(st.lists(st.integers(0, 400), max_size=80))
def test_ticks_count_what_came_when(offsets: list[int]) -> None:
    ticks = Ticks()
    for offset in sorted(offsets):
        ticks.count(START + (offset + 0.5) / TICKS_PER_SECOND)
    first = START * TICKS_PER_SECOND
    expected = Counter(offsets)
    assert list(ticks.between(first - 5, first + 405)) == [expected[offset] for offset in range(-5, 405)]
    assert ticks.total == len(offsets)


def test_an_hour_is_kept() -> None:
    ticks = Ticks()
    for second in range(3 * TICKS_KEPT // TICKS_PER_SECOND):
        ticks.count(START + second + 0.05)
    kept = ticks.kept
    assert kept is not None
    assert TICKS_KEPT <= kept[1] - kept[0] <= TICKS_KEPT + 61 * TICKS_PER_SECOND
    assert list(ticks.between(kept[1] - 11, kept[1])) == [1] + [0] * 9 + [1]
    ticks.count(START + 10 * TICKS_KEPT)
    assert ticks.kept == ((START + 10 * TICKS_KEPT) * TICKS_PER_SECOND,) * 1 + (
        (START + 10 * TICKS_KEPT) * TICKS_PER_SECOND + 1,
    )


def test_a_clock_set_back_loses_nothing() -> None:
    ticks = Ticks()
    ticks.count(START)
    ticks.count(START - 100)
    assert ticks.total == 2


@given(st.lists(st.integers(0, 60), min_size=1, max_size=100))
def test_the_greatest_second_of_both_directions_is_found(offsets: list[int]) -> None:
    tally = Tally("1", 0)
    for place, offset in enumerate(sorted(offsets)):
        (tally.inbound if place % 3 == 0 else tally.accepted).count(START + (offset + 0.5) / TICKS_PER_SECOND)
    counts = Counter(offsets)
    most = max(sum(counts[at] for at in range(start, start + TICKS_PER_SECOND)) for start in range(-10, 61))
    told = tally.rates(600)
    assert told["greatest_second"]["count"] == most
    at = round((told["greatest_second"]["at"] - START) * TICKS_PER_SECOND)
    assert sum(counts[tick] for tick in range(at, at + TICKS_PER_SECOND)) == most
    assert sum(told["per_second"]["accepted"]) + sum(told["per_second"]["inbound"]) == len(offsets)


def test_only_the_last_seconds_are_told() -> None:
    tally = Tally("1", 0)
    for second in range(10):
        tally.accepted.count(START + second)
        tally.refused.count(START + second)
    told = tally.rates(3)["per_second"]
    assert told == {"start": START + 7, "accepted": [1, 1, 1], "inbound": [0, 0, 0], "refused": [1, 1, 1]}


def test_a_record_keeps_any_recipient_and_the_last_number() -> None:
    ledger = Ledger(10)
    for recipient in ("0049151", "US.13491208655302741918", "15551234567"):
        ledger.accept("m", recipient, bytes(9), 5.0, f"n{recipient[:2]}")
        record = ledger.find("m")
        assert record is not None
        assert (record["to"], record["phone_number_id"]) == (recipient, f"n{recipient[:2]}")
    assert (record["count"], ledger.duplicates) == (3, 2)
    assert [tally.totals()["accepted"] for tally in ledger.tallies()] == [1, 1, 1]
