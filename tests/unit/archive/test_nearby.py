"""What a process keeps near by: bounded, and nothing of before a change."""

from __future__ import annotations

import pytest

from services.archive.nearby import LARGEST_SHARE, MOST_FIELDS, Kept, Nearby


def keep(nearby: Nearby, group: str, field: str = "f", body: bytes = b"{}") -> None:
    with nearby.reading(group) as reading:
        nearby.keep(group, field, Kept("e", body), reading)


@pytest.fixture
def nearby() -> Nearby:
    nearby = Nearby(10_000, 60)
    nearby.hear(is_heard=True)
    return nearby


def test_what_was_read_is_found_again_until_its_group_changes(nearby: Nearby) -> None:
    for group in ("a", "b"):
        keep(nearby, group)
        keep(nearby, group, "g")
    assert nearby.find("a", "f") == Kept("e", b"{}")
    assert nearby.find("a", "h") is None
    nearby.drop(["a", "never kept"])
    assert [nearby.find("a", "f"), nearby.find("a", "g")] == [None, None]
    assert nearby.find("b", "f") is not None
    assert (nearby.hits, nearby.misses) == (2, 3)


def test_what_was_read_before_a_change_is_not_kept_after_it(nearby: Nearby) -> None:
    with nearby.reading("a") as early, nearby.reading("b") as other:
        nearby.drop(["a"])
        with nearby.reading("a") as late:
            nearby.keep("a", "early", Kept("1", b""), early)
            nearby.keep("a", "late", Kept("2", b""), late)
            nearby.keep("b", "f", Kept("3", b""), other)
    assert nearby.find("a", "early") is None
    assert nearby.find("a", "late") == Kept("2", b"")
    assert nearby.find("b", "f") is not None


def test_who_hears_nothing_keeps_nothing(nearby: Nearby) -> None:
    keep(nearby, "a")
    with nearby.reading("a") as reading:
        nearby.hear(is_heard=False)
        keep(nearby, "b")
        nearby.hear(is_heard=True)
        nearby.keep("a", "f", Kept("e", b""), reading)  # may be from before what was not heard
    assert (nearby.find("a", "f"), nearby.find("b", "f"), nearby.size_bytes) == (None, None, 0)
    keep(nearby, "a")
    assert nearby.find("a", "f") is not None


def test_it_stays_within_its_bytes_and_forgets_what_was_not_asked_for_longest(nearby: Nearby) -> None:
    for number in range(10):
        keep(nearby, str(number), body=b"x" * 1_000)
        nearby.find("0", "f")
    assert nearby.size_bytes <= 10_000
    assert nearby.find("0", "f") is not None
    assert nearby.find("1", "f") is None
    size_bytes = nearby.size_bytes
    keep(nearby, "large", body=b"x" * (10_000 // LARGEST_SHARE + 1))
    assert (nearby.find("large", "f"), nearby.size_bytes) == (None, size_bytes)


def test_who_reads_through_one_group_drives_out_no_other() -> None:
    nearby = Nearby(1_000_000, 60)
    nearby.hear(is_heard=True)
    keep(nearby, "other")
    for number in range(MOST_FIELDS + 5):
        keep(nearby, "long", str(number), body=b"x" * 10_000)
        keep(nearby, "long", str(number), body=b"x" * 12_000)
    assert nearby.find("other", "f") is not None
    assert nearby.find("long", "4") is None
    assert nearby.find("long", "5") is not None
    nearby.drop(["other"])
    assert nearby.size_bytes == MOST_FIELDS * (12_000 + 200)
    nearby.drop(["long"])
    assert nearby.size_bytes == 0


def test_an_answer_is_kept_for_its_time() -> None:
    nearby = Nearby(10_000, -1)
    nearby.hear(is_heard=True)
    keep(nearby, "a")
    assert nearby.find("a", "f") is None
