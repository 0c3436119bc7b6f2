"""Count days and words anew where entries came, went or changed.

Whoever changes entries marks their days (`stale_days`); for new entries the follower does. A mark is due after a delay, so that
a busy conversation is counted once for many messages, and whatever is due is counted from the entries themselves: nothing is added
up that could drift. Days whose messages may still be delivered or read come back later and later, for a week.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import structlog

from services.archive.cache import Changes
from services.archive.domain.statistics import islands
from services.archive.domain.stop_words import is_emoji, is_telling
from services.archive.follow import STEP_SECONDS, Follower, Span
from services.archive.store import follow
from services.archive.store import statistics as store
from services.archive.store.statistics import Subjects, Terms
from shared.db.pool import Connection, Pool

log = structlog.get_logger(__name__)

FOLLOWER: Final = "statistics"
MARKED_AT_ONCE: Final = 100_000
"""Entries whose days are marked in one step."""
DAYS_AT_ONCE: Final = 5_000
ENTRIES_AT_ONCE: Final = 100_000
"""Of these days. What a step cannot do within `STEP_SECONDS` the next one could not either, and nobody's days would be counted."""
MONTHS_AT_ONCE: Final = 10
TENANTS_AT_ONCE: Final = 10
"""The same of words: a month's entries are bounded in store/words.sql."""
TERMS_LOOKED_AT: Final = 1_000
WORDS_KEPT: Final = 200
EMOJI_KEPT: Final = 50


@dataclass(frozen=True, slots=True)
class Delays:
    """How old a mark has to be, in seconds."""

    days: float
    words: float


AT_ONCE: Final = Delays(days=-600, words=0)
"""Marks of large days lie ahead: `mark_days` in store/statistics.sql says how far at most."""


def follower(pool: Pool) -> Follower:
    """Marks the days of what was stored."""

    async def mark(connection: Connection, span: Span) -> None:
        await store.mark_days(connection, span.low, span.high)

    return Follower(pool, FOLLOWER, mark, rows=MARKED_AT_ONCE)


async def count_days(pool: Pool, delays: Delays, changes: Changes | None = None) -> bool:
    """Count days that are due, and tell whose analytics are others then; True where there may be more."""
    counted = _Counted()

    async def count(connection: Connection) -> bool:
        await store.mark_days_to_recheck(connection, DAYS_AT_ONCE)
        days = await store.take_stale_days(connection, delays.days, DAYS_AT_ONCE, ENTRIES_AT_ONCE)
        if not days:
            return False
        conversations = {stale.conversation_no for stale in days}
        tenants = await store.recount_days(connection, islands((stale.conversation_no, stale.day) for stale in days))
        await store.refresh_conversation_stats(connection, conversations)
        months = {(stale.conversation_no, stale.day.replace(day=1)): False for stale in days}
        months |= {(stale.conversation_no, stale.day.replace(day=1)): True for stale in days if stale.is_hastened}
        await store.mark_months(connection, months)
        await store.mark_tenants(connection, tenants, at_once=any(months.values()))
        await counted.note(connection, conversations, tenants)
        log.debug("statistics.days_counted", days=len(days), conversations=len(conversations))
        return True

    has_more = await _alone(pool, "statistics.days", count)
    await counted.tell(changes)
    return has_more


async def count_words(pool: Pool, delays: Delays, changes: Changes | None = None) -> bool:
    """Count the words of months that are due, and of their tenants, and tell it; True where there may be more."""
    counted = _Counted()

    async def count(connection: Connection) -> bool:
        if months := await store.take_stale_months(connection, delays.words, MONTHS_AT_ONCE):
            found = await store.count_terms(connection, months, TERMS_LOOKED_AT)
            await store.store_words(connection, {month: _terms(terms) for month, terms in found.items()})
        tenants = await store.take_stale_tenants(connection, delays.words, TENANTS_AT_ONCE)
        for tenant_no in tenants:
            terms = await store.tenant_terms(connection, tenant_no, TERMS_LOOKED_AT)
            await store.store_tenant_words(connection, tenant_no, _terms(terms))
        await counted.note(connection, {conversation_no for conversation_no, _ in months}, tenants)
        return bool(months or tenants)

    has_more = await _alone(pool, "statistics.words", count)
    await counted.tell(changes)
    return has_more


async def catch_up(pool: Pool) -> None:
    """Count everything that is stored by now, whatever the delays, unless another process is about it."""
    await follower(pool).catch_up()
    while await count_days(pool, AT_ONCE):
        pass
    while await count_words(pool, AT_ONCE):
        pass


class _Counted:
    """Whose analytics a transaction makes others: noted within it, told after its commit."""

    def __init__(self) -> None:
        self._subjects = Subjects((), ())

    async def note(self, connection: Connection, conversation_nos: Collection[int], tenant_nos: Collection[int]) -> None:
        self._subjects = await store.subjects_named(connection, conversation_nos, tenant_nos)

    async def tell(self, changes: Changes | None) -> None:
        if changes is not None:
            await changes.counted(*self._subjects)


async def _alone(pool: Pool, name: str, count: Callable[[Connection], Awaitable[bool]]) -> bool:
    """In one transaction that sees one state of the tables, if no other process is at the same."""
    async with pool.acquire() as connection:
        try:
            async with connection.transaction(isolation="repeatable_read"):
                await follow.allow_seconds(connection, STEP_SECONDS)
                return await follow.claim(connection, name) is not None and await count(connection)
        except asyncpg.SerializationError:
            return False  # what it took has been changed meanwhile: later


def _terms(terms: Sequence[tuple[str, int]]) -> Terms:
    words = [(term, number) for term, number in terms if is_telling(term)]
    emoji = [(term, number) for term, number in terms if is_emoji(term)]
    return Terms(dict(words[:WORDS_KEPT]), dict(emoji[:EMOJI_KEPT]))
