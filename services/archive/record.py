"""Keep what happened: messages in and out become entries, outcomes and reports their progress.

Everything adds up by natural keys - message id, or number and wamid - so events may come twice, in any order, several at once.
One statement a batch, whole in itself; another one before it for the first entry of a month or a tenant. What amends entries
(edits, revocations, files, reactions) is kept by a statement of its own and put into them by a third one: it may come before its
entry, and waits. Readers are told of all that once, at the end.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import asyncpg
import structlog

from services.archive.cache import Changes
from services.archive.domain.amendment import Amendment, Remark, amendment_of, reaction_of
from services.archive.domain.entry import (
    Direction,
    Entry,
    echoed_entry,
    incoming_entry,
    month_of,
    months_of,
    next_month,
    outgoing_entry,
)
from services.archive.domain.progress import Progress, add_up, progress_of
from services.archive.store import amend as amendments
from services.archive.store import record as store
from services.archive.tenants import Tenants
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
AMENDMENT: Final = "amendment"
REMARKS: Final = (MessageEdited, MessageRevoked, MediaStored, MediaLost)


class Recorder:
    """Records batches. It remembers which months exist, so that a batch asks for a new one only, and tells readers what changed."""

    def __init__(self, pool: Pool, tenants: Tenants, changes: Changes | None = None) -> None:
        self._pool = pool
        self._tenants = tenants
        self._changes = changes or Changes()
        self._months: set[datetime] = set()

    async def record(self, events: Sequence[Event]) -> Counter[str]:
        """Record events of the subscription `archive.record`; safe to repeat. Tells how many entries of each kind they were, those
        that were there already included."""
        kinds: defaultdict[type[Event], list[Any]] = defaultdict(list)
        for event in events:
            kinds[type(event)].append(event)
        received = kinds.pop(MessageReceived, [])
        echoed = kinds.pop(MessageEchoed, [])
        entries, amended = _said(kinds.get(MessageReleased, ()), received, echoed)
        remarks: list[Remark] = [event for kind in REMARKS for event in kinds.pop(kind, ())]
        amended += [fact for fact in map(amendment_of, remarks) if fact is not None]
        changed = _Changed()
        try:
            if entries or kinds:
                facts = add_up(progress_of(event) for told in kinds.values() for event in told)
                await self._record(facts, entries, changed)
            if amended:
                await self._amend(amended, changed)
        finally:
            await self._tell(changed)
        return Counter({AMENDMENT: len(amended)}) + Counter(map(_kind, entries))

    async def amend(self) -> bool:
        """Put amendments that are due into their entries; True where there may be more."""
        changed = _Changed()
        there_may_be_more = await self._amend_due(changed)
        await self._tell(changed)
        return there_may_be_more

    async def _record(self, facts: Sequence[Progress], entries: Sequence[Entry], changed: _Changed) -> None:
        months = months_of([entry.sent_at for entry in entries])
        await self.ensure_months(months)
        tenants = {entry.tenant_id for entry in entries}
        numbers = await self._tenants.numbered(tenants)
        try:
            stored = await store.record(self._pool, facts, entries, numbers)
        except asyncpg.CheckViolationError:
            # Retention has taken one away that had no entries yet; not again before these are in it.
            self._months.clear()
            async with self._pool.acquire() as connection, connection.transaction():
                for month in sorted(months):
                    await store.ensure_month(connection, month)
                stored = await store.record(connection, facts, entries, numbers)
        changed.tenants |= tenants
        changed.conversations.update(stored.conversation_ids)
        if stored.stored < len(entries):  # who stored the others may have died before he told anybody
            changed.conversations.update(await store.conversations_of(self._pool, entries))
        changed.messages.update(fact.message_id for fact in facts)
        changed.messages -= {entry.message_id for entry in entries if entry.message_id}  # told by their conversations

    async def _amend(self, facts: Sequence[Amendment], changed: _Changed) -> None:
        await amendments.note(self._pool, facts, await self._tenants.numbered({fact.tenant_id for fact in facts}))
        while await self._amend_due(changed):
            pass

    async def _amend_due(self, changed: _Changed) -> bool:
        looked_at, conversations, tenants = await amendments.amend(self._pool, limit=AMEND_LIMIT)
        changed.conversations.update(conversations)
        changed.tenants.update(tenants)
        return looked_at >= AMEND_LIMIT

    async def _tell(self, changed: _Changed) -> None:
        if changed.conversations or changed.tenants or changed.messages:
            await self._changes.changed(changed.conversations, changed.tenants, changed.messages)

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
    forgotten = await store.forget_without_entry(pool, days=FORGET_DAYS), await amendments.forget(pool, days=FORGET_DAYS)
    return max(forgotten) >= 10_000


def _said(
    released: Iterable[MessageReleased], received: Iterable[MessageReceived], echoed: Iterable[MessageEchoed]
) -> tuple[list[Entry], list[Amendment]]:
    """The entries that messages become, one a key, and the reactions, which become none."""
    entries: dict[tuple[str, str], Entry] = {}
    reactions: list[Amendment] = []
    for out in released:
        if (reaction := reaction_of(out)) is not None:
            reactions.append(reaction)
        elif (key := (out.tenant_id, out.message_id)) not in entries:
            entries[key] = outgoing_entry(_new_entry_id(), out)
    for heard in received:
        if (reaction := reaction_of(heard)) is not None:
            reactions.append(reaction)
        elif (place := (heard.number_id, heard.wamid)) not in entries:
            entries[place] = incoming_entry(_new_entry_id(), heard)
    for echo in echoed:
        if (reaction := reaction_of(echo)) is not None:
            reactions.append(reaction)
        elif (place := (echo.number_id, echo.wamid)) not in entries:
            entries[place] = echoed_entry(_new_entry_id(), echo)
    return list(entries.values()), reactions


@dataclass(slots=True)
class _Changed:
    """What readers have to be told once a batch is in. `messages` are those that got further, and had their entries before."""

    conversations: set[str] = field(default_factory=set)
    tenants: set[str] = field(default_factory=set)
    messages: set[str] = field(default_factory=set)


def _kind(entry: Entry) -> str:
    """As metrics call it: what was sent through the platform has a message's id, what was sent from a phone has none."""
    if entry.message_id is not None:
        return "outgoing"
    return "incoming" if entry.direction is Direction.INCOMING else "echoed"


def _new_entry_id() -> EntryId:
    return EntryId(new_id("ent"))
