"""What is counted of a day, and what the counters of many days say.

A day's counters are a flat mapping of names to numbers, so that days, conversations and tenants add up by name:

    i:37 o:37       messages in and out in a quarter of an hour of the day, UTC: 0 to 95
    n               notices of WhatsApp, which are no messages
    x  c            messages with text, and the characters of all their texts
    t:image         messages of a type
    a:12  b:12      messages and characters of a participant, or of `contact` and `business` in conversations of two; not of tenants
    r:contact:57    answers of a side, by how long they took: `seconds_of` a bucket
    s:read          outgoing messages by how far they got
    l:es            messages in a language
    m:positive      messages by their mood: positive, neutral, negative

An answer is the first message after the other side has spoken. It took as long as the other side waited: from the first of that
side's messages in a row. A silence of more than three days ends a conversation, so what comes next answers nothing; nor does what
took more than seven days. So no day's answers depend on messages more than ten days older (`recount_days` in store/statistics.sql).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

Counts = Mapping[str, int]

SLOTS: Final = 96
SLOT: Final = timedelta(minutes=15)
BUCKET_RATIO: Final = 1.1
"""A bucket ends at so many times the seconds it begins at: what is read from it is at most 5 % away."""
LOOK_BACK_DAYS: Final = 10
LOOK_AHEAD_DAYS: Final = 7
"""So many days after a day that changed have answers which may count otherwise now."""
MEDIA_TYPES: Final = frozenset({"image", "video", "audio", "voice", "document", "sticker", "media"})
_FAILED: Final = frozenset({"failed", "expired", "canceled"})


class Island(NamedTuple):
    """Days of a conversation without a gap, the last one included."""

    conversation_no: int
    first_day: date
    last_day: date


@dataclass(frozen=True, slots=True)
class Answers:
    """How long a side took to answer."""

    count: int
    median_seconds: float | None
    p90_seconds: float | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far outgoing messages got. Each count includes the ones beyond it: what was read was delivered too."""

    sent: int
    delivered: int
    read: int
    failed: int

    @property
    def delivered_rate(self) -> float | None:
        return self.delivered / self.sent if self.sent else None

    @property
    def read_rate(self) -> float | None:
        return self.read / self.sent if self.sent else None


class Streak(NamedTuple):
    """Days in a row with messages."""

    days: int
    first_day: date
    last_day: date


class ZoneDay(NamedTuple):
    """A day of UTC in a time zone: minutes to add before and from the slot at which the clocks change (96: they do not)."""

    day: date
    minutes: int
    minutes_after: int
    change_slot: int


def islands(days: Iterable[tuple[int, date]]) -> list[Island]:
    """What has to be counted again when these days of conversations have changed, in order, without overlaps."""
    found: list[Island] = []
    for conversation_no, day in sorted(days):
        last_day = day + timedelta(days=LOOK_AHEAD_DAYS)
        if found and found[-1].conversation_no == conversation_no and day <= found[-1].last_day + timedelta(days=1):
            found[-1] = found[-1]._replace(last_day=last_day)
        else:
            found.append(Island(conversation_no, day, last_day))
    return found


def zone_days(zone: ZoneInfo, first_day: date, last_day: date) -> list[ZoneDay]:
    """The days of UTC as clocks of a zone show them. No zone has changed its clocks twice on a day since 1970 (tz database)."""
    found = []
    for number in range((last_day - first_day).days + 1):
        day = first_day + timedelta(days=number)
        minutes, minutes_after = _minutes(zone, day, 0), _minutes(zone, day, SLOTS - 1)
        change = SLOTS
        if minutes != minutes_after:
            change = next(slot for slot in range(SLOTS) if _minutes(zone, day, slot) != minutes)
        found.append(ZoneDay(day, minutes, minutes_after, change))
    return found


def seconds_of(bucket: int) -> float:
    """The middle of a bucket; `recount_days` puts an answer of s seconds into bucket floor(ln(1 + s) / ln(1.1))."""
    return float(BUCKET_RATIO ** (bucket + 0.5) - 1)


def counts_of(counts: Counts, family: str) -> dict[str, int]:
    """The counters of a family by the rest of their names, the highest first: `t` gives types."""
    found = ((name[len(family) + 1 :], number) for name, number in counts.items() if name.startswith(family + ":"))
    return dict(sorted(((name, number) for name, number in found if number > 0), key=lambda item: (-item[1], item[0])))


def answers(counts: Counts, side: str) -> Answers:
    """Of `contact` or `business`."""
    buckets = sorted((int(bucket), number) for bucket, number in counts_of(counts, f"r:{side}").items())
    total = sum(number for _, number in buckets)
    return Answers(total, _percentile(buckets, total, 0.5), _percentile(buckets, total, 0.9))


def delivery(counts: Counts) -> Delivery:
    """Of outgoing messages whose fate is known."""
    statuses = counts_of(counts, "s")
    read = statuses.get("read", 0)
    delivered = read + statuses.get("delivered", 0)
    return Delivery(
        sent=delivered + statuses.get("sent", 0),
        delivered=delivered,
        read=read,
        failed=sum(statuses.get(status, 0) for status in _FAILED),
    )


def longest_streak(days: Sequence[date]) -> Streak | None:
    """The longest run of days, of equal ones the latest. `days` rise."""
    longest: Streak | None = None
    first = last = None
    for day in days:
        first = day if first is None or last is None or day != last + timedelta(days=1) else first
        last = day
        length = (last - first).days + 1
        if longest is None or length >= longest.days:
            longest = Streak(length, first, last)
    return longest


def utc_days(first_day: date, last_day: date) -> tuple[date, date]:
    """The days of UTC that local days lie in, wherever on earth."""
    return _shifted(first_day, -1), _shifted(last_day, 1)


def _shifted(day: date, days: int) -> date:
    try:
        return day + timedelta(days=days)
    except OverflowError:  # the first or the last day there is
        return day


def _minutes(zone: ZoneInfo, day: date, slot: int) -> int:
    offset = (datetime.combine(day, time(), UTC) + slot * SLOT).astimezone(zone).utcoffset()
    assert offset is not None
    return round(offset / timedelta(minutes=1))


def _percentile(buckets: Sequence[tuple[int, int]], total: int, share: float) -> float | None:
    """The least value that at least this share does not exceed."""
    below = 0
    for bucket, number in buckets:
        below += number
        if below >= share * total:
            return seconds_of(bucket)
    return None
