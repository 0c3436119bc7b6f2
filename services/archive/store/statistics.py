"""Counting days and months anew, and reading what was counted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from services.archive.domain.statistics import Island, ZoneDay
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("statistics.sql"))
of_words = Queries(Path(__file__).with_name("words.sql"))
MARK_DAYS: Final = sql["mark_days"]
MARK_ENTRIES: Final = sql["mark_entries"]
HASTEN: Final = sql["hasten"]
MARK_DAYS_TO_RECHECK: Final = sql["mark_days_to_recheck"]
TAKE_STALE_DAYS: Final = sql["take_stale_days"]
RECOUNT_DAYS: Final = sql["recount_days"]
REFRESH_CONVERSATION_STATS: Final = sql["refresh_conversation_stats"]
MARK_MONTHS: Final = of_words["mark_months"]
TAKE_STALE_MONTHS: Final = of_words["take_stale_months"]
COUNT_TERMS: Final = of_words["count_terms"]
STORE_WORDS: Final = of_words["store_words"]
MARK_TENANTS: Final = of_words["mark_tenants"]
TAKE_STALE_TENANTS: Final = of_words["take_stale_tenants"]
TENANT_TERMS: Final = of_words["tenant_terms"]
STORE_TENANT_WORDS: Final = of_words["store_tenant_words"]
SUBJECTS_NAMED: Final = sql["subjects_named"]
SUBJECT_OF_CONVERSATION: Final = sql["subject_of_conversation"]
DAY_BOUNDS: Final = sql["day_bounds"]
TOTAL_COUNTS: Final = sql["total_counts"]
LOCAL_COUNTS: Final = sql["local_counts"]
MOODS_BY_DAY: Final = sql["moods_by_day"]
LONGEST_SILENCE: Final = sql["longest_silence"]
TOP_WORDS: Final = of_words["top_words"]
TOP_TENANT_WORDS: Final = of_words["top_tenant_words"]
PARTICIPANTS_NAMED: Final = sql["participants_named"]
CONVERSATION_STATS: Final = sql["conversation_stats"]
BUSIEST_CONVERSATIONS: Final = sql["busiest_conversations"]

SLOW_SECONDS: Final = 60.0
"""What counts may take so long; the callers have allowed it on the server too (`follow.allow_seconds`)."""

Month = tuple[int, date]
"""A conversation's number and the first day of a month."""


class StaleDay(NamedTuple):
    """A day to be counted anew; hastened: its words too, at once."""

    conversation_no: int
    day: date
    is_hastened: bool


class Terms(NamedTuple):
    """Words and emoji with the number of entries that hold them."""

    words: Mapping[str, int]
    emoji: Mapping[str, int]


class Bounds(NamedTuple):
    """The days that were counted, and when the last time was; of a tenant that is not known."""

    first_day: date | None
    last_day: date | None
    counted_at: datetime | None


class Subjects(NamedTuple):
    """What statistics are kept of, by their ids."""

    conversation_ids: Collection[str]
    tenant_ids: Collection[str]


class LocalCount(NamedTuple):
    """Messages of a local day, or of an hour of an ISO weekday on all days."""

    day: date | None
    weekday: int | None
    hour: int | None
    incoming: int
    outgoing: int


class Mood(NamedTuple):
    day: date
    positive: int
    neutral: int
    negative: int


class Named(NamedTuple):
    """A participant of a conversation."""

    id: str
    name: str | None
    address: str | None
    is_business: bool


class Brief(NamedTuple):
    """All days of a conversation."""

    message_count: int
    participant_count: int
    first_at: datetime | None
    last_at: datetime | None
    avg_message_length: float | None


async def mark_days(connection: Connection, low: int, high: int) -> None:
    """Mark the days that transactions from `low`, up to `high`, stored entries of."""
    await connection.execute(MARK_DAYS, low, high, timeout=SLOW_SECONDS)


async def mark_entries(connection: Connection | Pool, entries: Sequence[tuple[int, datetime]]) -> None:
    """Mark the days of entries, by conversation and moment."""
    await connection.execute(MARK_ENTRIES, [number for number, _ in entries], [moment for _, moment in entries])


async def hasten(connection: Connection | Pool, conversation_nos: Collection[int]) -> None:
    """What is marked of these conversations is counted in the next step, whatever the delay."""
    await connection.execute(HASTEN, list(conversation_nos))


async def mark_days_to_recheck(connection: Connection, limit: int) -> None:
    """Mark days whose messages may have been delivered or read since they were counted."""
    await connection.execute(MARK_DAYS_TO_RECHECK, limit)


async def take_stale_days(connection: Connection, older_seconds: float, limit: int, entries: int) -> list[StaleDay]:
    """Days to be counted anew, which have about so many entries at most."""
    rows = await connection.fetch(TAKE_STALE_DAYS, older_seconds, limit, entries, timeout=SLOW_SECONDS)
    return [StaleDay(*row) for row in rows]


async def recount_days(connection: Connection, islands: Sequence[Island]) -> set[int]:
    """Count these days anew, and add the difference to the days of the tenants, whose numbers are returned."""
    numbers, firsts, lasts = zip(*islands, strict=True)
    rows = await connection.fetch(RECOUNT_DAYS, numbers, firsts, lasts, timeout=SLOW_SECONDS)
    return {row["tenant_no"] for row in rows}


async def refresh_conversation_stats(connection: Connection, conversation_nos: Collection[int]) -> None:
    """Sum the days of these conversations up."""
    await connection.execute(REFRESH_CONVERSATION_STATS, list(conversation_nos), timeout=SLOW_SECONDS)


async def subjects_named(connection: Connection, conversation_nos: Collection[int], tenant_nos: Collection[int]) -> Subjects:
    """The ids of those that are still there."""
    rows = await connection.fetch(SUBJECTS_NAMED, list(conversation_nos), list(tenant_nos))
    return Subjects(
        [row["conversation_id"] for row in rows if row["conversation_id"] is not None],
        [row["tenant_id"] for row in rows if row["tenant_id"] is not None],
    )


async def mark_months(connection: Connection, months: Mapping[Month, bool]) -> None:
    """The words of these months are to be counted anew; at once where the value says so."""
    numbers, firsts = [number for number, _ in months], [month for _, month in months]
    await connection.execute(MARK_MONTHS, numbers, firsts, list(months.values()))


async def take_stale_months(connection: Connection, older_seconds: float, limit: int) -> list[Month]:
    """Months whose words are to be counted anew."""
    return [(row["conversation_no"], row["month"]) for row in await connection.fetch(TAKE_STALE_MONTHS, older_seconds, limit)]


async def count_terms(connection: Connection, months: Sequence[Month], limit: int) -> dict[Month, list[tuple[str, int]]]:
    """The most frequent terms of these months, and in how many entries each of them is."""
    found: dict[Month, list[tuple[str, int]]] = {month: [] for month in months}
    numbers, firsts = [number for number, _ in months], [month for _, month in months]
    for row in await connection.fetch(COUNT_TERMS, numbers, firsts, limit, timeout=SLOW_SECONDS):
        found[row["conversation_no"], row["month"]].append((row["term"], row["entries"]))
    return found


async def store_words(connection: Connection, months: Mapping[Month, Terms]) -> None:
    """Keep the words of these months in place of what was kept."""
    await connection.execute(
        STORE_WORDS,
        [number for number, _ in months],
        [month for _, month in months],
        [_json(terms.words) for terms in months.values()],
        [_json(terms.emoji) for terms in months.values()],
    )


async def mark_tenants(connection: Connection, tenant_nos: Collection[int], *, at_once: bool) -> None:
    """The words of these tenants are to be counted anew."""
    await connection.execute(MARK_TENANTS, sorted(tenant_nos), at_once)


async def take_stale_tenants(connection: Connection, older_seconds: float, limit: int) -> list[int]:
    """Tenants whose words are to be counted anew."""
    return [row["tenant_no"] for row in await connection.fetch(TAKE_STALE_TENANTS, older_seconds, limit)]


async def tenant_terms(connection: Connection, tenant_no: int, limit: int) -> list[tuple[str, int]]:
    """The most frequent terms of a tenant, by the lexicon."""
    rows = await connection.fetch(TENANT_TERMS, tenant_no, limit, timeout=SLOW_SECONDS)
    return [(row["term"], row["entries"]) for row in rows]


async def store_tenant_words(connection: Connection, tenant_no: int, terms: Terms) -> None:
    """Keep a tenant's words in place of what was kept."""
    await connection.execute(STORE_TENANT_WORDS, tenant_no, _json(terms.words), _json(terms.emoji))


async def conversation_no(connection: Connection | Pool, tenant: TenantId, conversation_id: str) -> int | None:
    """The conversation's number; None where the tenant has no such one."""
    found: int | None = await connection.fetchval(SUBJECT_OF_CONVERSATION, tenant, conversation_id)
    return found


async def day_bounds(connection: Connection | Pool, subject: int) -> Bounds:
    """What was counted of a subject."""
    row = await connection.fetchrow(DAY_BOUNDS, subject)
    assert row is not None
    return Bounds(row["first_day"], row["last_day"], row["counted_at"])


async def total_counts(connection: Connection | Pool, subject: int, first_day: date, last_day: date) -> dict[str, int]:
    """The counters of these days of UTC, but those of single quarters of an hour."""
    rows = await connection.fetch(TOTAL_COUNTS, subject, first_day, last_day)
    return {row["counter"]: row["number"] for row in rows}


async def local_counts(
    connection: Connection | Pool, subject: int, first_day: date, last_day: date, zone: Sequence[ZoneDay]
) -> list[LocalCount]:
    """Messages by local day, and by hour and weekday."""
    columns = [list(column) for column in zip(*zone, strict=True)]
    rows = await connection.fetch(LOCAL_COUNTS, subject, first_day, last_day, *columns)
    return [LocalCount(row["day"], row["weekday"], row["hour"], row["incoming"] or 0, row["outgoing"] or 0) for row in rows]


async def moods_by_day(connection: Connection | Pool, subject: int, first_day: date, last_day: date) -> list[Mood]:
    """Days of UTC with messages whose mood is known."""
    return [Mood(*row) for row in await connection.fetch(MOODS_BY_DAY, subject, first_day, last_day)]


async def longest_silence(
    connection: Connection | Pool, conversation_no: int, first_day: date, last_day: date
) -> tuple[datetime, datetime] | None:
    """The ends of the longest time without a message between two days with some."""
    row = await connection.fetchrow(LONGEST_SILENCE, conversation_no, first_day, last_day)
    return (row["from_at"], row["until_at"]) if row else None


async def top_words(connection: Connection | Pool, subject: int, first_month: date, last_month: date, limit: int) -> Terms:
    """The words and emoji of a conversation's months, or of all that a tenant has."""
    if subject < 0:
        rows = await connection.fetch(TOP_TENANT_WORDS, -subject, limit)
    else:
        rows = await connection.fetch(TOP_WORDS, subject, first_month, last_month, limit)
    words, emoji = ({row["term"]: row["entries"] for row in rows if row["is_emoji"] is kind} for kind in (False, True))
    return Terms(words, emoji)


async def participants_named(connection: Connection | Pool, participant_nos: Collection[int]) -> dict[int, Named]:
    """Who they are; those that were erased are left out."""
    rows = await connection.fetch(PARTICIPANTS_NAMED, list(participant_nos))
    return {row["participant_no"]: Named(row["id"], row["name"], row["address"], row["is_business"]) for row in rows}


async def conversation_stats(connection: Connection | Pool, conversation_no: int) -> Brief | None:
    """All days of a conversation; None before it was counted."""
    row = await connection.fetchrow(CONVERSATION_STATS, conversation_no)
    return Brief(*tuple(row)[:5]) if row else None


async def busiest_conversations(connection: Connection | Pool, tenant_no: int, limit: int) -> list[tuple[str, Brief]]:
    """The conversations with most messages, by id."""
    rows = await connection.fetch(BUSIEST_CONVERSATIONS, tenant_no, limit)
    return [(row["id"], Brief(*tuple(row)[1:6])) for row in rows]


def _json(counts: Mapping[str, int]) -> str:
    return orjson.dumps(counts).decode()
