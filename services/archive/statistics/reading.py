"""What the counters say of a conversation or of all that a tenant has, over days of a time zone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from services.archive.domain import statistics as domain
from services.archive.domain.statistics import Answers, Delivery, Streak
from services.archive.store import statistics as store
from services.archive.store.statistics import Brief, LocalCount, Mood, Named, Terms
from shared.db.pool import Connection, Pool

TOP: Final = 50
SIDES: Final = frozenset({"contact", "business"})
NO_ANSWERS: Final = Answers(0, None, None)
NO_DELIVERY: Final = Delivery(0, 0, 0, 0)
NO_TERMS: Final = Terms({}, {})


@dataclass(frozen=True, slots=True)
class Asked:
    """Local days, both included; None: from the first one or up to the last one there is."""

    zone: ZoneInfo
    first_day: date | None = None
    last_day: date | None = None


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote how much: a participant, or a side of a conversation of two. Participants may be gone since they were counted."""

    key: str
    messages: int
    characters: int
    participant: Named | None


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything that is said of a subject. `days` and `hours` hold (incoming, outgoing); `hours` begin with Monday's midnight."""

    first_day: date | None
    last_day: date | None
    counted_at: datetime | None
    days: dict[date, tuple[int, int]] = field(default_factory=dict)
    hours: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)] * 168)
    notices: int = 0
    texts: int = 0
    characters: int = 0
    types: dict[str, int] = field(default_factory=dict)
    languages: dict[str, int] = field(default_factory=dict)
    moods: dict[str, int] = field(default_factory=dict)
    moods_by_day: list[Mood] = field(default_factory=list)
    authors: list[Author] = field(default_factory=list)
    of_contact: Answers = NO_ANSWERS
    of_business: Answers = NO_ANSWERS
    delivery: Delivery = NO_DELIVERY
    terms: Terms = NO_TERMS
    streak: Streak | None = None
    silence: tuple[datetime, datetime] | None = None
    all_time: Brief | None = None
    busiest: list[tuple[str, Brief]] = field(default_factory=list)

    @property
    def messages(self) -> int:
        return sum(incoming + outgoing for incoming, outgoing in self.days.values())


async def conversation_analysis(pool: Pool, conversation_no: int, asked: Asked) -> Analysis:
    """Of one conversation."""
    return await _analysis(pool, conversation_no, asked)


async def tenant_analysis(pool: Pool, tenant_no: int, asked: Asked) -> Analysis:
    """Of all that a tenant has: without authors and silences, with the conversations that have most messages of all time."""
    return await _analysis(pool, -tenant_no, asked)


async def _analysis(pool: Pool, subject: int, asked: Asked) -> Analysis:
    """On one connection, one statement after the other: readers that come together share the pool."""
    async with pool.acquire() as connection:
        known_first, known_last, counted_at = await store.day_bounds(connection, subject)
        if known_first is None or known_last is None:
            return Analysis(asked.first_day, asked.last_day, counted_at)
        first_known, last_known = _local(known_first, asked.zone, at_end=False), _local(known_last, asked.zone, at_end=True)
        first_day = first_known if asked.first_day is None else max(asked.first_day, first_known)
        last_day = last_known if asked.last_day is None else min(asked.last_day, last_known)
        if first_day > last_day:
            return Analysis(asked.first_day, asked.last_day, counted_at)
        first_utc, last_utc = domain.utc_days(first_day, last_day)
        zone = domain.zone_days(asked.zone, max(first_utc, known_first), min(last_utc, known_last))
        local = await store.local_counts(connection, subject, first_day, last_day, zone)
        counts = await store.total_counts(connection, subject, first_day, last_day)
        days = {row.day: (row.incoming, row.outgoing) for row in local if row.day is not None}
        ordered = sorted(days)
        return Analysis(
            first_day=asked.first_day or (ordered[0] if ordered else None),
            last_day=asked.last_day or (ordered[-1] if ordered else None),
            counted_at=counted_at,
            days={day: days[day] for day in ordered},
            hours=_hours(local),
            notices=counts.get("n", 0),
            texts=counts.get("x", 0),
            characters=counts.get("c", 0),
            types=domain.counts_of(counts, "t"),
            languages=domain.counts_of(counts, "l"),
            moods=domain.counts_of(counts, "m"),
            moods_by_day=await store.moods_by_day(connection, subject, first_day, last_day),
            authors=await _authors(connection, counts),
            of_contact=domain.answers(counts, "contact"),
            of_business=domain.answers(counts, "business"),
            delivery=domain.delivery(counts),
            terms=await store.top_words(connection, subject, first_day.replace(day=1), last_day, TOP),
            streak=domain.longest_streak(ordered),
            silence=await store.longest_silence(connection, subject, first_day, last_day) if subject > 0 else None,
            all_time=await store.conversation_stats(connection, subject) if subject > 0 else None,
            busiest=await store.busiest_conversations(connection, -subject, TOP) if subject < 0 else [],
        )


async def _authors(connection: Connection, counts: domain.Counts) -> list[Author]:
    messages, characters = domain.counts_of(counts, "a"), domain.counts_of(counts, "b")
    named = await store.participants_named(connection, [int(key) for key in messages if key not in SIDES])
    return [
        Author(key, number, characters.get(key, 0), None if key in SIDES else named.get(int(key)))
        for key, number in messages.items()
    ]


def _hours(local: list[LocalCount]) -> list[tuple[int, int]]:
    hours = [(0, 0)] * 168
    for row in local:
        if row.weekday is not None and row.hour is not None:
            hours[(row.weekday - 1) * 24 + row.hour] = (row.incoming, row.outgoing)
    return hours


def _local(day: date, zone: ZoneInfo, *, at_end: bool) -> date:
    """The local day of the beginning or the end of a day of UTC."""
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if at_end:
        moment += timedelta(days=1) - timedelta(microseconds=1)
    return moment.astimezone(zone).date()
