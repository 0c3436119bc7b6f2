"""Recurrence against the obvious: walk minute by minute and ask of each whether the rule names it."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.scheduler.domain import recurrence, zones
from services.scheduler.domain.recurrence import NeverAgainError, RuleError, read_cron, read_rule, rule_moments, rule_walls

MINUTE = timedelta(minutes=1)
NAMES = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
ZONES = ("UTC", "Europe/Madrid", "Australia/Lord_Howe", "Asia/Beirut", "America/Santiago", "Pacific/Apia")
CHANGES = ("2026-03-28", "2026-10-24", "2026-10-03", "2026-04-04", "2026-09-05", "2011-12-29", "2028-02-27", "2026-12-30")
Parts = dict[str, str]


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def numbers(parts: Parts, name: str, default: int | None = None) -> list[int]:
    if name in parts:
        return [int(item) for item in parts[name].split(",")]
    return [] if default is None else [default]


def period(parts: Parts, at: datetime) -> int:
    """The number of the period of the rule that a wall time lies in."""
    first = NAMES.index(parts.get("WKST", "MO"))
    return {
        "YEARLY": at.year,
        "MONTHLY": at.year * 12 + at.month,
        "WEEKLY": (at.toordinal() - 1 - first) // 7,
        "DAILY": at.toordinal(),
        "HOURLY": at.toordinal() * 24 + at.hour,
        "MINUTELY": (at.toordinal() * 24 + at.hour) * 60 + at.minute,
    }[parts["FREQ"]]


def names_day(parts: Parts, start: datetime, day: date) -> bool:
    frequency, last = parts["FREQ"], calendar.monthrange(day.year, day.month)[1]
    if "BYMONTH" in parts and day.month not in numbers(parts, "BYMONTH"):
        return False
    if "BYMONTHDAY" in parts and not {day.day, day.day - last - 1} & set(numbers(parts, "BYMONTHDAY")):
        return False
    if "BYDAY" in parts:
        name = NAMES[day.weekday()]
        ordinals = (f"{(day.day - 1) // 7 + 1}{name}", f"-{(last - day.day) // 7 + 1}{name}")
        if not {name, *ordinals, f"+{ordinals[0]}"} & set(parts["BYDAY"].split(",")):
            return False
    if "BYMONTHDAY" not in parts and "BYDAY" not in parts:
        if frequency == "WEEKLY":
            return day.weekday() == start.weekday()
        if frequency in {"MONTHLY", "YEARLY"} and day.day != start.day:
            return False
        if frequency == "YEARLY" and "BYMONTH" not in parts:
            return day.month == start.month
    return True


def names_time(parts: Parts, start: datetime, at: datetime) -> bool:
    is_slow = parts["FREQ"] not in {"HOURLY", "MINUTELY"}
    hours = numbers(parts, "BYHOUR", start.hour if is_slow else None)
    minutes = numbers(parts, "BYMINUTE", start.minute if parts["FREQ"] != "MINUTELY" else None)
    return (not hours or at.hour in hours) and (not minutes or at.minute in minutes)


def walked(parts: Parts, start: datetime, days: int) -> Iterator[datetime]:
    """Every wall time that the rule names, by looking at every minute of every day that it names, whole periods of them."""
    midnights = (start.replace(hour=0, minute=0) + timedelta(days=n) for n in range(-31, days + 31))
    named_days = (midnight for midnight in midnights if names_day(parts, start, midnight.date()))
    by_period: dict[int, list[datetime]] = {}
    for at in (midnight + n * MINUTE for midnight in named_days for n in range(24 * 60)):
        if names_time(parts, start, at) and (period(parts, at) - period(parts, start)) % int(parts["INTERVAL"]) == 0:
            by_period.setdefault(period(parts, at), []).append(at)
    for named in by_period.values():
        positions = numbers(parts, "BYSETPOS")
        chosen = {named[p - 1 if p > 0 else p] for p in positions if abs(p) <= len(named)} if positions else set(named)
        yield from (at for at in sorted(chosen) if start <= at < start + timedelta(days=days))


def listed(values: st.SearchStrategy[int], most: int = 3) -> st.SearchStrategy[str]:
    return st.sets(values, min_size=1, max_size=most).map(lambda some: ",".join(str(one) for one in sorted(some)))


@st.composite
def rules(draw: st.DrawFn) -> Parts:
    frequency = draw(st.sampled_from(["MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY"]))
    parts = {"FREQ": frequency, "INTERVAL": str(draw(st.sampled_from([1, 1, 2, 3, 5, 7, 11, 90])))}
    optional: dict[str, st.SearchStrategy[str]] = {
        "BYMONTH": listed(st.integers(1, 12), 8),
        "BYHOUR": listed(st.integers(0, 23), 5),
        "BYMINUTE": listed(st.integers(0, 59)),
        "WKST": st.sampled_from(NAMES),
        "BYDAY": st.sets(st.sampled_from(NAMES), min_size=1, max_size=4).map(",".join),
    }
    if frequency == "MONTHLY":
        ordinals = st.builds(lambda n, name: f"{n}{name}", st.sampled_from([1, 2, 5, -1, -2]), st.sampled_from(NAMES))
        optional["BYDAY"] = st.one_of(optional["BYDAY"], ordinals)
    if frequency != "WEEKLY":
        optional["BYMONTHDAY"] = listed(st.sampled_from([1, 5, 13, 28, 29, 30, 31, -1, -3, -31]), 5)
    for name, values in optional.items():
        if draw(st.booleans()):
            parts[name] = draw(values)
    if {"BYHOUR", "BYDAY", "BYMONTHDAY"} & parts.keys() and draw(st.integers(0, 3)) == 0:
        parts["BYSETPOS"] = draw(listed(st.sampled_from([1, 2, 3, -1, -2]), 2))
    return parts


def spelt(parts: Parts) -> str:
    return ";".join(f"{name}={value}" for name, value in parts.items())


starts = st.builds(
    lambda day, minutes: wall(day) + minutes * MINUTE, st.sampled_from(CHANGES), st.integers(-2 * 24 * 60, 3 * 24 * 60)
)


@settings(deadline=None, max_examples=60)
@given(rules(), starts)
def test_a_rule_names_the_wall_times_that_walking_finds(parts: Parts, start: datetime) -> None:
    assume(
        len([part for part in parts.get("BYDAY", "").split(",") if part[:1] in "+-12345" and part]) == 0
        or "BYMONTHDAY" not in parts
    )
    rule, end = read_rule(spelt(parts)), start + timedelta(days=10)
    expected = list(walked(parts, start, 10))
    try:
        found = list(takewhile(lambda at: at < end, rule_walls(rule, start, start - MINUTE)))
    except NeverAgainError:
        found = []
    assert found == expected


@settings(deadline=None, max_examples=50)
@given(rules(), starts, st.integers(0, 20 * 24 * 60))
def test_a_search_that_begins_later_finds_the_same(parts: Parts, start: datetime, minutes: int) -> None:
    try:
        rule = read_rule(spelt(parts))
        after = start + minutes * MINUTE
        every = [
            at
            for at in takewhile(lambda at: at < start + timedelta(days=30), rule_walls(rule, start, start - MINUTE))
            if at > after
        ]
        later = list(takewhile(lambda at: at < start + timedelta(days=30), rule_walls(rule, start, after)))
    except (RuleError, NeverAgainError):
        assume(False)
    else:
        assert later == every


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from(
        ["FREQ=HOURLY", "FREQ=MINUTELY;INTERVAL=15", "FREQ=HOURLY;BYHOUR=1,2,3", "FREQ=MINUTELY;INTERVAL=20;BYHOUR=0,2,23"]
    ),
    st.sampled_from(ZONES),
    starts,
    st.integers(0, 24 * 60),
)
def test_a_rule_by_the_hour_or_minute_comes_at_every_reading_of_the_clock(
    text: str, zone: str, start: datetime, minutes: int
) -> None:
    rule = read_rule(text)
    after = zones.resolve(start, zone) + minutes * MINUTE
    named = set(takewhile(lambda at: at < start + timedelta(days=6), rule_walls(rule, start, start - MINUTE)))
    place = ZoneInfo(zone)
    stop = after + timedelta(days=2)
    walk = (after + n * MINUTE for n in range(1, 2 * 24 * 60))
    first = zones.earliest(start, zone)
    expected = [at for at in walk if at >= first and at.astimezone(place).replace(tzinfo=None) in named]
    assert list(takewhile(lambda at: at < stop, rule_moments(rule, zone, start, after))) == expected


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from(
        ["FREQ=DAILY;BYHOUR=0,1,2,3,23;BYMINUTE=0,15,30", "FREQ=WEEKLY;BYDAY=SA,SU;BYHOUR=0,2", "FREQ=DAILY;INTERVAL=2"]
    ),
    st.sampled_from(ZONES),
    starts,
    st.integers(0, 3 * 24 * 60),
)
def test_a_rule_by_the_day_comes_once_for_each_wall_time(text: str, zone: str, start: datetime, minutes: int) -> None:
    rule = read_rule(text)
    after = zones.resolve(start, zone) + minutes * MINUTE
    named = takewhile(lambda at: at < start + timedelta(days=12), rule_walls(rule, start, start - MINUTE))
    stop = after + timedelta(days=7)
    expected = sorted({at for at in (zones.resolve(each, zone) for each in named) if after < at < stop})
    assert list(takewhile(lambda at: at < stop, rule_moments(rule, zone, start, after))) == expected


@pytest.mark.parametrize(
    ("text", "zone", "after", "found"),
    [
        ("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "Europe/Madrid", "2026-03-28T12:00", ["2026-03-29T01:30", "2026-03-30T00:30"]),
        ("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "Europe/Madrid", "2026-10-24T12:00", ["2026-10-25T00:30", "2026-10-26T01:30"]),
        ("FREQ=DAILY;BYHOUR=10;BYMINUTE=0", "Pacific/Apia", "2011-12-29T12:00", ["2011-12-29T20:00", "2011-12-30T20:00"]),
        ("FREQ=HOURLY", "Europe/Madrid", "2026-10-24T23:30", ["2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T02:00"]),
        ("FREQ=DAILY;BYHOUR=0;BYMINUTE=0", "Asia/Beirut", "2026-03-28T12:00", ["2026-03-28T22:00", "2026-03-29T21:00"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31", "UTC", "2026-01-31T10:00", ["2026-03-31T09:00", "2026-05-31T09:00"]),
        ("RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "UTC", "2026-01-01T00:00", ["2028-02-29T09:00"]),
        ("FREQ=YEARLY;BYDAY=20MO", "UTC", "2026-01-01T00:00", ["2026-05-18T09:00"]),
        ("FREQ=YEARLY;BYWEEKNO=20", "UTC", "2026-01-01T00:00", ["2026-05-14T09:00"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "UTC", "2026-01-02T00:00", ["2026-01-30T09:00", "2026-02-27T09:00"]),
    ],
)
def test_known_rules(text: str, zone: str, after: str, found: list[str]) -> None:
    start = wall("2009-01-01T09:00")
    assert list(islice(rule_moments(read_rule(text), zone, start, moment(after)), len(found))) == [moment(at) for at in found]


@pytest.mark.parametrize(
    ("text", "zone", "after", "found"),
    [
        ("30 9 * * 1-5", "Europe/Madrid", "2026-06-05T08:00", ["2026-06-08T07:30", "2026-06-09T07:30"]),
        ("30 2 * * *", "Europe/Madrid", "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-30T00:30"]),  # right after the gap
        ("0,30 2 * * *", "Europe/Madrid", "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-30T00:00"]),  # and once
        ("30 2 * * *", "Europe/Madrid", "2026-10-24T12:00", ["2026-10-25T00:30", "2026-10-26T01:30"]),
        ("30 2 * * *", "Europe/Madrid", "2026-10-25T01:10", ["2026-10-26T01:30"]),  # the clock shows 02:10 again
        ("*/30 * * * *", "Europe/Madrid", "2026-10-25T00:00", ["2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30"]),
        ("*/30 * * * *", "Europe/Madrid", "2026-03-29T00:30", ["2026-03-29T01:00", "2026-03-29T01:30"]),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00", ["2028-02-29T00:00"]),
        ("0 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", ["2026-10-03T15:30", "2026-10-04T15:00"]),
    ],
)
def test_known_cron_expressions(text: str, zone: str, after: str, found: list[str]) -> None:
    ticks = recurrence.cron_moments(read_cron(text), zone, moment(after))
    assert list(islice(ticks, len(found))) == [moment(at) for at in found]


@settings(deadline=None, max_examples=50)
@given(
    listed(st.integers(0, 59)), listed(st.integers(0, 23)), listed(st.integers(1, 31), 6), listed(st.integers(1, 12), 6), starts
)
def test_a_cron_expression_names_what_walking_finds(minute: str, hour: str, day: str, month: str, start: datetime) -> None:
    def fits(at: datetime) -> bool:
        pairs = ((at.minute, minute), (at.hour, hour), (at.day, day), (at.month, month))
        return all(str(part) in field.split(",") for part, field in pairs)

    try:
        cron = read_cron(f"{minute} {hour} {day} {month} *")
    except RuleError:  # it names days that no month of its has
        assume(False)
    walk = (start + n * MINUTE for n in range(1, 20 * 24 * 60))
    end = start + timedelta(days=20)
    assert list(takewhile(lambda at: at < end, recurrence.cron_walls(cron, start))) == [at for at in walk if fits(at)]


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MINUTELY;BYHOUR=3;BYMONTH=4,6,9,11;BYMONTHDAY=31",
        "FREQ=MINUTELY;INTERVAL=60;BYMINUTE=30",
        "FREQ=MINUTELY;INTERVAL=1440;BYHOUR=3",
        "FREQ=MINUTELY;BYSETPOS=2;BYMINUTE=1",
        "FREQ=HOURLY;INTERVAL=24;BYHOUR=3",
        "FREQ=HOURLY;BYSETPOS=5;BYMINUTE=1",
        "FREQ=DAILY;BYSETPOS=9;BYHOUR=1",
        "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=3",
        "FREQ=MONTHLY;BYMONTHDAY=31;BYMONTH=2,4,6",
        "FREQ=YEARLY;BYDAY=1MO;BYSETPOS=366",
        "FREQ=YEARLY;BYWEEKNO=20;BYYEARDAY=1",
        "FREQ=YEARLY;BYYEARDAY=366;BYMONTH=1",
    ],
)
def test_a_rule_that_never_comes_is_given_up(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within what a search may cost. That it is counted at all shows with an allowance of a few steps: dateutil would go on to the
    year 9999."""
    rule, start = read_rule(text), wall("2026-01-01T00:10")
    for allowance in (300_000, 1_000):
        monkeypatch.setattr(recurrence, "_SEARCH", allowance)
        try:
            assert next(rule_walls(rule, start, start), None) is None
        except NeverAgainError:
            pass


def test_a_list_of_many_costs_little_more_than_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a 29th of February that is a Monday, by the day: each is a search of its own."""
    taken: list[int] = []
    take = recurrence._Budget.take

    def counted(budget: recurrence._Budget, cost: int) -> None:
        taken.append(cost)
        take(budget, cost)

    monkeypatch.setattr(recurrence._Budget, "take", counted)
    rule, start = read_rule("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO;BYHOUR=3"), wall("2026-01-01T00:00")
    walls = rule_walls(rule, start, start)
    assert next(walls) == wall("2044-02-29T03:00")
    with pytest.raises(NeverAgainError):
        list(islice(walls, 1_000))
    assert sum(taken) < 2_000_000


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("FREQ=MINUTELY;BYHOUR=23;BYMONTH=1", "2027-01-01T23:00"),
        ("FREQ=MINUTELY;BYHOUR=23;BYMONTH=2;BYMONTHDAY=29", "2028-02-29T23:00"),
        ("FREQ=MINUTELY;INTERVAL=10000;BYMONTH=1;BYHOUR=18", "2036-01-01T18:40"),
        ("FREQ=HOURLY;BYHOUR=23;BYMONTH=2;BYMONTHDAY=29", "2028-02-29T23:00"),
    ],
)
def test_a_fine_rule_does_not_pay_for_the_days_that_it_leaves_out(text: str, found: str) -> None:
    assert next(rule_walls(read_rule(text), wall("2026-01-01T00:00"), wall("2026-03-01T00:00"))) == wall(found)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("frequency", ["YEARLY", "HOURLY"])
def test_a_rule_ends_with_the_calendar(zone: str, frequency: str) -> None:
    hourly = {"YEARLY": ";INTERVAL=7973;BYHOUR=23;BYMINUTE=59;BYMONTH=12;BYMONTHDAY=31", "HOURLY": ""}
    start = wall("2026-12-31T00:00") if frequency == "YEARLY" else wall("9999-12-31T20:00")
    after = zones.resolve(start, "UTC") - timedelta(days=1)
    found = list(islice(rule_moments(read_rule(f"FREQ={frequency}{hourly[frequency]}"), zone, start, after), 10))
    assert found == sorted(found)
    assert len(found) < 10


@pytest.mark.parametrize(
    "text", ["FREQ=MINUTELY", "FREQ=HOURLY;INTERVAL=5", "FREQ=DAILY", "FREQ=WEEKLY;INTERVAL=3", "FREQ=MONTHLY"]
)
def test_a_search_long_after_the_start_does_not_walk_there(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recurrence, "_SEARCH", 2_000)
    start, after = wall("1971-01-01T00:00"), wall("2026-01-05T11:59:30")
    found = next(rule_walls(read_rule(text), start, after))
    assert after < found < after + timedelta(days=31)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "DAILY",
        "FREQ=SECONDLY",
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=FORTNIGHTLY",
        "FREQ=DAILY;FREQ=DAILY",
        "FREQ=DAILY;COUNT=2;UNTIL=20270101",
        "FREQ=DAILY;COUNT=99999999999999999999",
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=-1",
        "FREQ=DAILY;INTERVAL=٣",
        "FREQ=DAILY;BYHOUR=24",
        "FREQ=DAILY;BYHOUR=",
        "FREQ=DAILY;BYSECOND=0,30",
        "FREQ=DAILY;BYDAY=1MO",
        "FREQ=MONTHLY;BYDAY=MO,1MO",
        "FREQ=YEARLY;BYDAY=MO,-1TU",
        "FREQ=MONTHLY;BYDAY=0MO",
        "FREQ=MONTHLY;BYDAY=99MO",
        "FREQ=MONTHLY;BYDAY=1MO;BYMONTHDAY=1",
        "FREQ=WEEKLY;BYMONTHDAY=1",
        "FREQ=MONTHLY;BYWEEKNO=1",
        "FREQ=DAILY;BYYEARDAY=1",
        "FREQ=DAILY;BYEASTER=1",
        "FREQ=DAILY;BYSETPOS=1",
        "FREQ=DAILY;UNTIL=tomorrow",
        "FREQ=DAILY;UNTIL=20270230",
        "FREQ=DAILY;UNTIL=00010101T000000Z",
        "FREQ=DAILY;WKST=XX",
        "FREQ=DAILY;X=1",
        "FREQ=DAILY\nDTSTART:20260101",
        "FREQ=YEARLY;BYHOUR=1,2,3,4,5,6,7,8,9;BYMINUTE=1,2,3,4,5,6",
        "FREQ=DAILY;BYMONTHDAY=" + ",".join(["1"] * 300),
    ],
)
def test_rules_that_are_refused(text: str) -> None:
    with pytest.raises(RuleError):
        read_rule(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "@daily",
        "0 0 31 2 *",
        "a b c d e",
        "* * * * 1#2/3",
        "*/0 * * * *",
        "5-1 * * * *",
        "* * * * MON#9",
    ],
)
def test_cron_expressions_that_are_refused(text: str) -> None:
    with pytest.raises(RuleError):
        read_cron(text)


@given(st.text(max_size=60))
def test_no_text_is_more_than_refused(text: str) -> None:
    for read in (read_rule, read_cron):
        try:
            read(text)
        except RuleError:
            pass


def test_what_ends_a_rule() -> None:
    assert read_rule("FREQ=DAILY;COUNT=3").count == 3
    assert read_rule("FREQ=DAILY;UNTIL=20270101T120000Z").until == moment("2027-01-01T12:00")
    assert read_rule("freq=daily;until=20270101").until == wall("2027-01-01T23:59:59")
    assert read_rule("FREQ=DAILY;UNTIL=99991231T235959Z").until is None
