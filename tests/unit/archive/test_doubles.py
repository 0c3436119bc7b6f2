"""A message that was recorded when it was sent is known again in an export, and stands for one record only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.archive.domain.doubles import Said, doubles, spans

NINE = datetime(2026, 5, 21, 9, tzinfo=UTC)


def said(body: str, seconds: float = 0, *, outgoing: bool = False, type_: str = "text") -> Said:
    return Said(NINE + timedelta(seconds=seconds), outgoing, type_, body)


def matched(records: list[Said], entries: list[Said]) -> dict[int, int]:
    return doubles(dict(enumerate(records)), entries)


@pytest.mark.parametrize(
    ("record", "entry"),
    [
        (said("hello"), said("hello", 42.5)),
        (said("hello"), said("hello", 75)),  # the phone's clock, and ours
        (said("hello"), said("hello", -20)),
        (said("two\nlines "), said("two\nlines")),
        (said("cafe\u0301"), said("caf\xe9")),
        (said("Yes"), said("Yes", type_="button")),
        (said("", type_="revoked"), said("", type_="revoked")),
        (said("", type_="media"), said("", type_="image")),
        (said("the harbour\nIMG-20260521-WA0001.jpg", type_="image"), said("the harbour", type_="image")),
        (said("Ana", type_="contacts"), said("Ana\n+15550001", type_="contacts")),
    ],
)
def test_is_the_same(record: Said, entry: Said) -> None:
    assert matched([record], [entry]) == {0: 0}


@pytest.mark.parametrize(
    ("record", "entry"),
    [
        (said("hello"), said("hello", 121)),
        (said("hello"), said("hello", -61)),
        (said("hello"), said("hello", outgoing=True)),
        (said("hello"), said("Hello")),
        (said("", type_="image"), said("", type_="video")),
        (said("", type_="image"), said("the harbour", type_="image")),
        (said("", type_="revoked"), said("", type_="sticker")),
    ],
)
def test_is_another_one(record: Said, entry: Said) -> None:
    assert matched([record], [entry]) == {}


def test_an_entry_stands_for_one_record() -> None:
    assert matched([said("ok"), said("ok"), said("ok")], [said("ok", 5), said("ok", 9)]) == {0: 0, 1: 1}


def test_nobody_takes_the_double_of_another_minute() -> None:
    assert matched([said("ok"), said("ok", 60)], [said("ok", 61)]) == {1: 0}


def test_spans_hold_every_moment_and_are_apart() -> None:
    moments = [NINE, NINE + timedelta(minutes=30), NINE + timedelta(days=1)]
    found = spans(moments[::-1])
    minute = timedelta(minutes=1)
    assert found == [(NINE - minute, moments[1] + 2 * minute), (moments[2] - minute, moments[2] + 2 * minute)]
    assert spans([]) == []
