"""Keep what happened: messages in and out become entries, outcomes and reports their progress.

Everything adds up by natural keys - message id, or number and wamid - so events may come twice, in any order, several at once.
Two statements a batch, each whole in itself (a third for the first entry of a month): a failure in between leaves nothing that
the next try would not repair.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg
import structlog

from services.archive.domain.entry import Entry, incoming_entry, month_of, next_month, outgoing_entry
from services.archive.domain.progress import Outcome, Progress, add_up, progress_of
from services.archive.store import record as store
from shared.clock import Clock
from shared.db.pool import Pool
from shared.events.catalogue import MessageReceived, MessageReleased
from shared.events.event import Event
from shared.ids import EntryId, new_id

log = structlog.get_logger(__name__)

FORGET_DAYS: Final = 7
"""How long a fact waits for its message: far longer than any event can be on its way."""


class Recorder:
    """Records batches. It remembers which months exist, so that a batch asks for a new one only."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._months: set[datetime] = set()

    async def record(self, events: Sequence[Event]) -> None:
        """Record events of the subscription `archive.record`; safe to repeat."""
        facts: list[Progress] = []
        entries: dict[tuple[str, str], Entry] = {}
        for event in events:
            if isinstance(event, Outcome):
                facts.append(progress_of(event))
            if isinstance(event, MessageReleased):
                entries.setdefault((event.tenant_id, event.message_id), outgoing_entry(_new_entry_id(), event))
            elif isinstance(event, MessageReceived):
                entries.setdefault((event.number_id, event.wamid), incoming_entry(_new_entry_id(), event))
        found = list(entries.values())
        await self.ensure_months({entry.month for entry in found})
        async with self._pool.acquire() as connection:
            if found:
                await store.open_conversations(connection, found)
            try:
                await store.record(connection, add_up(facts), found)
            except asyncpg.CheckViolationError:
                self._months.clear()  # one may have been taken away since: the next try asks again
                raise

    async def ensure_months(self, months: set[datetime]) -> None:
        """Make the partitions of these months where they are missing."""
        for month in sorted(months - self._months):
            if await store.ensure_month(self._pool, month):
                log.info("archive.month_made", month=month.date().isoformat())
            self._months.add(month)


async def prepare_months(recorder: Recorder, clock: Clock) -> None:
    """Have this month and the next ready before their first entry comes."""
    month = month_of(clock.now())
    await recorder.ensure_months({month, next_month(month)})


async def forget_without_entry(pool: Pool) -> bool:
    """Drop facts about messages that never came; True where there may be more."""
    return await store.forget_without_entry(pool, days=FORGET_DAYS) >= 10_000


def _new_entry_id() -> EntryId:
    return EntryId(new_id("ent"))
