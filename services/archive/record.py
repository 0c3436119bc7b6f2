"""Keep what happened: messages in and out become entries, outcomes and reports their progress.

Everything adds up by natural keys - message id, or number and wamid - so events may come twice, in any order, several at once.
One statement a batch, whole in itself; another one before it for the first entry of a month. What amends entries (edits,
revocations, files) is kept by a statement of its own and put into them by a third one: it may come before its entry, and waits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import structlog

from services.archive.domain.amendment import Amendment, Remark, amendment_of
from services.archive.domain.entry import Entry, echoed_entry, incoming_entry, month_of, months_of, next_month, outgoing_entry
from services.archive.domain.progress import Progress, add_up, progress_of
from services.archive.store import amend as amendments
from services.archive.store import record as store
from shared.clock import Clock
from shared.db.pool import Pool
from shared.events.catalogue import (
    MediaLost,
    MediaStored,
    MessageEchoed,
    MessageEdited,
    MessageReceived,
    MessageReleased,
    MessageRevoked,
)
from shared.events.event import Event
from shared.ids import EntryId, new_id

log = structlog.get_logger(__name__)

FORGET_DAYS: Final = 7
"""How long a fact waits for its message: far longer than any event can be on its way."""
AMEND_LIMIT: Final = 128
"""Amendments put in by one statement, which compares each of them with each: twice as many take longer than two statements."""
REMARKS: Final = (MessageEdited, MessageRevoked, MediaStored, MediaLost)


class Recorder:
    """Records batches. It remembers which months exist, so that a batch asks for a new one only."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._months: set[datetime] = set()

    async def record(self, events: Sequence[Event]) -> None:
        """Record events of the subscription `archive.record`; safe to repeat."""
        kinds: defaultdict[type[Event], list[Any]] = defaultdict(list)
        for event in events:
            kinds[type(event)].append(event)
        received = kinds.pop(MessageReceived, [])
        echoed = kinds.pop(MessageEchoed, [])
        entries: dict[tuple[str, str], Entry] = {}
        for out in kinds.get(MessageReleased, ()):
            if (key := (out.tenant_id, out.message_id)) not in entries:
                entries[key] = outgoing_entry(_new_entry_id(), out)
        for heard in received:
            if (key := (heard.number_id, heard.wamid)) not in entries:
                entries[key] = incoming_entry(_new_entry_id(), heard)
        for echo in echoed:
            if (key := (echo.number_id, echo.wamid)) not in entries:
                entries[key] = echoed_entry(_new_entry_id(), echo)
        remarks: list[Remark] = [event for kind in REMARKS for event in kinds.pop(kind, ())]
        if entries or kinds:
            await self._record(add_up(progress_of(event) for told in kinds.values() for event in told), list(entries.values()))
        if facts := [fact for fact in map(amendment_of, remarks) if fact is not None]:
            await self._amend(facts)

    async def _record(self, facts: Sequence[Progress], entries: Sequence[Entry]) -> None:
        await self.ensure_months(months_of([entry.sent_at for entry in entries]))
        try:
            await store.record(self._pool, facts, entries)
        except asyncpg.CheckViolationError:
            self._months.clear()  # one may have been taken away since: the next try asks again
            raise

    async def _amend(self, facts: Sequence[Amendment]) -> None:
        await amendments.note(self._pool, facts)
        while await amend(self._pool):
            pass

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


async def amend(pool: Pool) -> bool:
    """Put amendments that are due into their entries; True where there may be more."""
    return await amendments.amend(pool, limit=AMEND_LIMIT) >= AMEND_LIMIT


async def forget_without_entry(pool: Pool) -> bool:
    """Drop facts about messages that never came; True where there may be more."""
    forgotten = await store.forget_without_entry(pool, days=FORGET_DAYS), await amendments.forget(pool, days=FORGET_DAYS)
    return max(forgotten) >= 10_000


def _new_entry_id() -> EntryId:
    return EntryId(new_id("ent"))
