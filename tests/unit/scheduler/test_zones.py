from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.scheduler.domain.zones import is_zone, readings, resolve


@pytest.mark.parametrize(
    ("wall", "zone", "moment"),
    [
        ("2026-06-01T10:00", "Europe/Madrid", "2026-06-01T08:00"),
        ("2026-03-29T02:30", "Europe/Madrid", "2026-03-29T01:30"),  # gap: half an hour into it is half an hour after it
        ("2026-10-25T02:30", "Europe/Madrid", "2026-10-25T00:30"),  # overlap: the first
        ("2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-03T15:45"),  # a gap of half an hour
        ("2026-04-05T01:45", "Australia/Lord_Howe", "2026-04-04T14:45"),  # an overlap of half an hour
        ("2026-10-04T02:30", "Australia/Adelaide", "2026-10-03T17:00"),
        ("2026-03-29T00:00", "Asia/Beirut", "2026-03-28T22:00"),  # midnight is left out: 00:00 is 01:00
        ("2026-04-24T00:30", "Africa/Cairo", "2026-04-23T22:30"),
        ("2026-09-06T00:00", "America/Santiago", "2026-09-06T04:00"),
        ("2011-12-30T10:00", "Pacific/Apia", "2011-12-30T20:00"),  # the day is left out: the 31st, 10:00
        ("2011-12-31T10:00", "Pacific/Apia", "2011-12-30T20:00"),
        ("2026-01-01T00:00", "Pacific/Kiritimati", "2025-12-31T10:00"),
    ],
)
def test_a_wall_time_means_one_moment(wall: str, zone: str, moment: str) -> None:
    assert resolve(datetime.fromisoformat(wall), zone) == datetime.fromisoformat(moment).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("wall", "zone", "hours"),
    [
        ("2026-03-29T02:30", "Europe/Madrid", []),
        ("2026-10-25T02:30", "Europe/Madrid", [0, 1]),
        ("2026-06-01T02:30", "Europe/Madrid", [0]),
        ("2011-12-30T12:00", "Pacific/Apia", []),
    ],
)
def test_clocks_show_a_time_of_a_gap_never_and_one_of_an_overlap_twice(wall: str, zone: str, hours: list[int]) -> None:
    assert [moment.hour for moment in readings(datetime.fromisoformat(wall), zone)] == hours


@pytest.mark.parametrize("name", ["UTC", "Europe/Madrid", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "Asia/Kathmandu"])
def test_names_of_zones(name: str) -> None:
    assert is_zone(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "recipient",
        "Mars/Base",
        "europe/madrid ",
        "../../../etc/passwd",
        "/etc/localtime",
        "America",
        "localtime",
        "posixrules",
        "right/UTC",
        "posix/UTC",
        "A\0",
        "A" * 300,
        "Europe/Mad\udc00rid",
        "zone.tab",
        "tzdata.zi",
    ],
)
def test_what_is_no_zone(name: str) -> None:
    assert not is_zone(name)
