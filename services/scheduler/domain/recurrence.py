"""Recurrence: RFC 5545 rules (by dateutil) and cron expressions (by cronsim), in the local time of a zone.

When clocks are changed:

- a rule by the day or slower (YEARLY, MONTHLY, WEEKLY, DAILY) means wall times, as `zones.resolve` reads them: what lies in a gap
  comes as far after it, what lies in an overlap comes once, the first time. Two that fall on one moment are one;
- a rule by the hour or the minute means every reading of the clock: nothing in a gap, twice in an overlap, so the pace is kept;
- cron does as Debian's: a fixed time in a gap comes right after it, one in an overlap once; with a star for minute or hour it keeps
  the pace.

Rules are written by tenants, and dateutil looks for the next match until the year 9999: hours for one that has none. So a search
may cost only so much; a rule that finds nothing within it is refused when it is given and ends when it was running.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from dateutil import rrule

from services.scheduler.domain import zones

LONGEST: Final = 500
"""Characters of a rule."""
LARGEST_COUNT: Final = 1_000_000
_SEARCH: Final = 300_000
"""What one search may cost, in steps of a third of a microsecond: a tenth of a second, and 80 years by the day."""
_FOUND: Final = 1_000
"""What each one that is found adds again, so that a list of many costs little more than a search."""
_DAY_COST: Final = 10
_PERIOD_DAYS: Final = {rrule.YEARLY: 366, rrule.MONTHLY: 31, rrule.WEEKLY: 7, rrule.DAILY: 1}
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9_000
_TIMES_A_DAY: Final = 48
"""Of a rule slower than DAILY: a search begins with its period, and a year of minutes is half a million times."""

_FREQUENCIES: Final = {
    "YEARLY": rrule.YEARLY,
    "MONTHLY": rrule.MONTHLY,
    "WEEKLY": rrule.WEEKLY,
    "DAILY": rrule.DAILY,
    "HOURLY": rrule.HOURLY,
    "MINUTELY": rrule.MINUTELY,
}
_WEEKDAYS: Final = {str(day): day for day in (rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR, rrule.SA, rrule.SU)}
_LISTS: Final = {
    "BYMONTH": (1, 12, False),
    "BYWEEKNO": (1, 53, True),
    "BYYEARDAY": (1, 366, True),
    "BYMONTHDAY": (1, 31, True),
    "BYHOUR": (0, 23, False),
    "BYMINUTE": (0, 59, False),
    "BYSECOND": (0, 59, False),
    "BYSETPOS": (1, 366, True),
}
"""Smallest and largest value, and whether it may be negative: counted from the end."""
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,6}", re.ASCII)
_DAY: Final = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_UNTIL: Final = re.compile(r"([0-9]{8})(?:T([0-9]{6})(Z?))?", re.ASCII)
_CRON: Final = re.compile(r"[0-9A-Za-z*,/#-]+(?:[ \t]+[0-9A-Za-z*,/#-]+){4}", re.ASCII)


class RuleError(ValueError):
    """A rule that cannot be taken; the text says why, in words for its writer."""


class NeverAgainError(Exception):
    """The search for the next occurrence has cost all that it may."""


@dataclass(frozen=True)
class Rule:
    """A recurrence rule, read and checked. What ends it, `count` and `until`, is the schedule's to watch, not the search's."""

    frequency: int
    interval: int = 1
    lists: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """By name: the values of all but BYDAY."""
    days: tuple[rrule.weekday, ...] = ()
    week_start: str = "MO"
    count: int | None = None
    until: datetime | None = None
    """The last moment: aware where the rule names UTC, else a wall time."""

    @property
    def is_fine(self) -> bool:
        """By the hour or the minute."""
        return self.frequency > rrule.DAILY


def read_rule(text: str) -> Rule:
    """The rule of an RRULE's text, with or without `RRULE:` before it. Raises `RuleError`."""
    if len(text) > LONGEST:
        raise RuleError(f"has at most {LONGEST} characters")
    parts = _parts(text.strip().upper().removeprefix("RRULE:"))
    if "FREQ" not in parts:
        raise RuleError("needs FREQ")
    if parts["FREQ"] not in _FREQUENCIES:
        raise RuleError(f"FREQ is one of {', '.join(_FREQUENCIES)}; nothing recurs by the second")
    if "COUNT" in parts and "UNTIL" in parts:
        raise RuleError("has COUNT or UNTIL, not both")
    week_start = parts.get("WKST", "MO")
    if week_start not in _WEEKDAYS:
        raise RuleError("WKST is a weekday: MO, TU, …")
    rule = Rule(
        frequency=_FREQUENCIES[parts["FREQ"]],
        interval=_number("INTERVAL", parts.get("INTERVAL", "1"), 1, 10_000),
        lists={name: _numbers(name, parts[name]) for name in _LISTS if name in parts},
        days=tuple(_weekday(item) for item in parts["BYDAY"].split(",")) if "BYDAY" in parts else (),
        week_start=week_start,
        count=_number("COUNT", parts["COUNT"], 1, LARGEST_COUNT) if "COUNT" in parts else None,
        until=_until(parts["UNTIL"]) if "UNTIL" in parts else None,
    )
    _check_together(rule)
    return rule


def read_cron(text: str) -> str:
    """The expression, if it is one of five fields. Raises `RuleError`."""
    if len(text) > LONGEST or not _CRON.fullmatch(text.strip()):
        raise RuleError("has five fields: minute, hour, day of the month, month, day of the week")
    try:
        CronSim(text.strip(), datetime(2024, 1, 1))  # noqa: DTZ001  # any moment; it is read before it is used
    except (CronSimError, ValueError, AssertionError) as error:
        raise RuleError(
            f"is no cron expression: {error}" if isinstance(error, CronSimError) else "is no cron expression"
        ) from None
    return text.strip()


def rule_walls(rule: Rule, start: datetime, after: datetime) -> Iterator[datetime]:
    """The rule's wall times from `start` on and later than `after`, all naive, in order. `start` is DTSTART: the interval counts
    from it, and it stands for what the rule leaves out; it is an occurrence only if it matches.

    Raises `NeverAgainError` where the next one is too hard to find.
    """
    budget = _Budget()
    try:
        for wall in _series(rule, start, max(start, after), budget):
            if wall >= start and wall > after:
                budget.left = min(_SEARCH, budget.left + _FOUND)
                yield wall
    except (ValueError, OverflowError):  # dateutil: an interval that never meets its BYHOUR; past the year 9999
        return


def rule_moments(rule: Rule, zone: str, start: datetime, after: datetime) -> Iterator[datetime]:
    """The rule's moments (UTC) later than `after` (aware), in order, each once, by the clocks of `zone`; `start` is naive. Raises
    `NeverAgainError`."""
    # A clock that is put back shows wall times again that came before `after`.
    walls = rule_walls(rule, start, zones.wall_of(after, zone) - timedelta(days=1, hours=1))
    waiting: list[datetime] = []
    last = after
    try:
        for wall in walls:
            bound = zones.earliest(wall, zone)  # of all that is still to come
            while waiting and waiting[0] < bound:
                moment = heapq.heappop(waiting)
                if moment > last:
                    last = moment
                    yield moment
            for moment in zones.readings(wall, zone) if rule.is_fine else (zones.resolve(wall, zone),):
                heapq.heappush(waiting, moment)
    except OverflowError:  # in UTC past the year 9999
        pass
    while waiting:
        moment = heapq.heappop(waiting)
        if moment > last:
            last = moment
            yield moment


def cron_walls(cron: str, after: datetime) -> Iterator[datetime]:
    """The expression's wall times after `after`, naive."""
    yield from _ticks(cron, after, lambda tick: tick)


def cron_moments(cron: str, zone: str, after: datetime) -> Iterator[datetime]:
    """The expression's moments (UTC) after `after` (aware), each once, by the clocks of `zone`."""
    yield from _ticks(cron, after.astimezone(ZoneInfo(zone)), lambda tick: tick.astimezone(UTC))


def _ticks(cron: str, after: datetime, read: Callable[[datetime], datetime]) -> Iterator[datetime]:
    last = read(after)
    try:
        for tick in CronSim(cron, after):  # gives up after 50 years without a match
            moment = read(tick)
            if moment > last:
                last = moment
                yield moment
    except (ValueError, OverflowError):  # past the year 9999
        return


@dataclass(slots=True)
class _Budget:
    left: int = _SEARCH

    def take(self, cost: int) -> None:
        self.left -= cost
        if self.left < 0:
            raise NeverAgainError


@dataclass(frozen=True, slots=True)
class _Counted:
    """Values that are paid for when they are asked: the one thing that dateutil does at every step of its search."""

    values: Sequence[int]
    budget: _Budget
    cost: int

    def __contains__(self, item: object) -> bool:
        self.budget.take(self.cost)
        return item in self.values

    def __iter__(self) -> Iterator[int]:
        self.budget.take(self.cost)
        return iter(self.values)


def _series(rule: Rule, start: datetime, after: datetime, budget: _Budget) -> Iterator[datetime]:
    """All wall times of a rule that needs its start for nothing but the interval, begun shortly before `after`."""
    lists, days = _completed(rule, start)
    if rule.is_fine:
        return _fine_series(rule, lists, start, after, budget)
    return _dates(rule.frequency, rule, lists, days, _anchor(rule, start, after), budget)


def _dates(
    frequency: int,
    rule: Rule,
    lists: Mapping[str, Sequence[int]],
    days: Sequence[rrule.weekday],
    begin: datetime,
    budget: _Budget,
) -> Iterator[datetime]:
    parts: dict[str, Any] = {name.lower(): values for name, values in lists.items()}
    series: Any = rrule.rrule(
        frequency,  # type: ignore[arg-type]  # the stub wants a literal
        dtstart=begin,
        interval=1 if rule.is_fine else rule.interval,
        wkst=_WEEKDAYS[rule.week_start],
        byweekday=days or None,
        **parts,
    )
    # Its own fields, read when an iteration starts; the tests of hopeless rules notice if that changes.
    is_by_year_ordinal = frequency == rrule.YEARLY and any(day.n for day in days) and "BYMONTH" not in lists
    if not is_by_year_ordinal:  # there the absence of months has a meaning
        series._bymonth = _Counted(lists.get("BYMONTH", range(1, 13)), budget, _DAY_COST)  # noqa: SLF001  # counts what a search costs
    if "BYSETPOS" in lists:
        cost = _PERIOD_DAYS[frequency] * len(lists["BYSETPOS"])
        series._bysetpos = _Counted(lists["BYSETPOS"], budget, cost)  # noqa: SLF001  # the same
    return iter(series)


def _fine_series(
    rule: Rule, lists: Mapping[str, tuple[int, ...]], start: datetime, after: datetime, budget: _Budget
) -> Iterator[datetime]:
    """By the hour or minute: of each day that matches the times that the interval meets; dateutil walks through other days too."""
    is_hourly = rule.frequency == rrule.HOURLY
    origin = start.replace(minute=0 if is_hourly else start.minute, second=0, microsecond=0)
    hours, minutes = lists.get("BYHOUR", range(24)), lists.get("BYMINUTE", range(60))
    positions = lists.get("BYSETPOS")
    if positions is not None and is_hourly:
        chosen = {minutes[place - (place > 0)] for place in positions if abs(place) <= len(minutes)}
        minutes = tuple(sorted(chosen))
    elif positions is not None and not {1, -1} & set(positions):  # a minute has one time
        minutes = ()
    of_days = {name: lists[name] for name in ("BYMONTH", "BYMONTHDAY", "BYYEARDAY") if name in lists}
    midnight = after.replace(hour=0, minute=0, second=0, microsecond=0)
    for day in _dates(rrule.DAILY, rule, of_days, rule.days, midnight, budget):
        past = int((day - origin).total_seconds()) // 60
        for hour in hours:
            budget.take(1 if is_hourly else len(minutes) + 1)
            if is_hourly and (past // 60 + hour) % rule.interval:
                continue
            for minute in minutes:
                if is_hourly or (past + hour * 60 + minute) % rule.interval == 0:
                    yield day.replace(hour=hour, minute=minute, second=lists["BYSECOND"][0])


def _completed(rule: Rule, start: datetime) -> tuple[dict[str, tuple[int, ...]], tuple[rrule.weekday, ...]]:
    """The rule's parts with those that it takes from its start (RFC 5545 §3.3.10)."""
    lists, days = dict(rule.lists), rule.days
    names_day = bool(days) or any(name in lists for name in ("BYYEARDAY", "BYMONTHDAY"))
    weekday = (tuple(_WEEKDAYS.values())[start.weekday()],)
    if rule.frequency == rrule.WEEKLY and not names_day:
        days = weekday
    elif rule.frequency == rrule.YEARLY and "BYWEEKNO" in lists:
        days = days if names_day else weekday
    elif rule.frequency in {rrule.YEARLY, rrule.MONTHLY} and not names_day:
        lists["BYMONTHDAY"] = (start.day,)
        if rule.frequency == rrule.YEARLY:
            lists.setdefault("BYMONTH", (start.month,))
    lists.setdefault("BYSECOND", (start.second,))
    if rule.frequency < rrule.MINUTELY:
        lists.setdefault("BYMINUTE", (start.minute,))
    if rule.frequency < rrule.HOURLY:
        lists.setdefault("BYHOUR", (start.hour,))
    return lists, days


def _anchor(rule: Rule, start: datetime, after: datetime) -> datetime:
    """The beginning of the last period of the rule that starts at or before `after`: years of days are not walked through."""
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    if rule.frequency == rrule.YEARLY:
        years = (after.year - start.year) // rule.interval * rule.interval
        return midnight.replace(year=start.year + years, month=1, day=1)
    if rule.frequency == rrule.MONTHLY:
        first = start.year * 12 + start.month - 1
        month = first + (after.year * 12 + after.month - 1 - first) // rule.interval * rule.interval
        return midnight.replace(year=month // 12, month=month % 12 + 1, day=1)
    if rule.frequency == rrule.WEEKLY:
        week_start = tuple(_WEEKDAYS).index(rule.week_start)
        origin, unit = midnight - timedelta(days=(start.weekday() - week_start) % 7), timedelta(weeks=1)
    else:
        origin, unit = midnight, timedelta(days=1)
    step = unit * rule.interval
    return origin + (after - origin) // step * step


def _parts(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    known = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *_LISTS}
    for part in text.removesuffix(";").split(";"):
        name, equals, value = part.partition("=")
        if not equals or name not in known:
            raise RuleError("is a recurrence rule such as FREQ=WEEKLY;BYDAY=MO,TH;BYHOUR=9, of the parts that RFC 5545 knows")
        if name in parts:
            raise RuleError(f"names {name} twice")
        parts[name] = value
    return parts


def _number(name: str, text: str, low: int, high: int, *, or_negative: bool = False) -> int:
    number = int(text) if _NUMBER.fullmatch(text) else 0
    if not _NUMBER.fullmatch(text) or not low <= (abs(number) if or_negative else number) <= high:
        raise RuleError(f"{name} is {low} to {high}" + (", or negative" if or_negative else ""))
    return number


def _numbers(name: str, text: str) -> tuple[int, ...]:
    low, high, or_negative = _LISTS[name]
    return tuple(sorted({_number(name, item, low, high, or_negative=or_negative) for item in text.split(",")}))


def _weekday(text: str) -> rrule.weekday:
    match = _DAY.fullmatch(text)
    ordinal = int(match[1]) if match and match[1] else None
    if match is None or ordinal == 0 or abs(ordinal or 1) > 53:
        raise RuleError("BYDAY is a list of weekdays, such as MO, or 2MO and -1FR by the month or the year")
    weekday = _WEEKDAYS[match[2]]
    return weekday if ordinal is None else weekday(ordinal)


def _until(text: str) -> datetime | None:
    match = _UNTIL.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        until = datetime.strptime(match[1] + (match[2] or "235959"), "%Y%m%d%H%M%S")  # noqa: DTZ007  # a wall time, if not UTC
    except ValueError:
        raise RuleError("UNTIL is a date or a time such as 20271231T235959Z") from None
    if until.year <= _FIRST_YEAR:
        raise RuleError(f"UNTIL lies after the year {_FIRST_YEAR}")
    if until.year >= _LAST_YEAR:  # the usual ways to write "for ever"
        return None
    return until.replace(tzinfo=UTC) if match[3] else until


def _check_together(rule: Rule) -> None:
    """What RFC 5545 §3.3.10 does not let stand together."""
    frequency, lists = rule.frequency, rule.lists
    if any(day.n for day in rule.days) and (frequency > rrule.MONTHLY or "BYWEEKNO" in lists):
        raise RuleError("a number before a weekday goes with FREQ=MONTHLY or YEARLY, and not with BYWEEKNO")
    if "BYWEEKNO" in lists and frequency != rrule.YEARLY:
        raise RuleError("BYWEEKNO goes with FREQ=YEARLY")
    if "BYYEARDAY" in lists and frequency in {rrule.MONTHLY, rrule.WEEKLY, rrule.DAILY}:
        raise RuleError("BYYEARDAY does not go with FREQ=MONTHLY, WEEKLY or DAILY")
    if "BYMONTHDAY" in lists and frequency == rrule.WEEKLY:
        raise RuleError("BYMONTHDAY does not go with FREQ=WEEKLY")
    if len(lists.get("BYSECOND", ())) > 1:
        raise RuleError("BYSECOND has one value: nothing recurs by the second")
    if "BYSETPOS" in lists and not rule.days and len(lists) == 1:
        raise RuleError("BYSETPOS needs another BY… to choose from")
    if frequency < rrule.DAILY and len(lists.get("BYHOUR", " ")) * len(lists.get("BYMINUTE", " ")) > _TIMES_A_DAY:
        raise RuleError(f"more than {_TIMES_A_DAY} times a day go with FREQ=DAILY or faster")
    if len({day.n is None for day in rule.days}) > 1:  # dateutil would take those alone that are meant by both
        raise RuleError("BYDAY has weekdays with a number or without, not both")
    if any(day.n for day in rule.days) and lists.keys() & {"BYMONTHDAY", "BYYEARDAY"}:
        raise RuleError("a number before a weekday does not go with BYMONTHDAY or BYYEARDAY")
