"""Files of contacts: durable before the 202, then processed some hundred records a transaction, each file in its order.

A crash costs nothing: what a transaction has not finished is still there. A record whose fault is ours is said to be so in the
import's errors, and costs itself and its neighbours of one transaction only.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, NamedTuple

import asyncpg
import structlog
from pydantic import ValidationError

from services.gateway import contacts, groups
from services.gateway.contacts import Channel, Done, Outcome
from services.gateway.domain.contact import Change
from services.gateway.domain.contact_csv import Layout, Record, Row, Splitter
from services.gateway.groups import Groups
from services.gateway.payloads.contacts import GivenContact
from services.gateway.store import contact_imports as store
from shared.bus.outbox import Outbox, Unit
from shared.clock import Clock
from shared.db.pool import Pool
from shared.errors import FieldError, Rejected
from shared.http.faults import faults_of
from shared.ids import TenantId, new_id
from shared.unavailable import is_unavailable

log = structlog.get_logger(__name__)

CHUNK: Final = 500
"""Records a transaction: about 50 ms of work, which others on the loop can bear."""
MOST_FAULTS: Final = 100
"""Of one line, which is what is kept of them."""


class Received(NamedTuple):
    """A file whose records are durable; nothing is done with them before `start`."""

    import_id: str
    rows: int
    digest: bytes
    """SHA-256 of the file."""


class Imports:
    """Takes files in, and works through them."""

    def __init__(self, outbox: Outbox, pool: Pool, clock: Clock, groups: Groups) -> None:
        self._outbox = outbox
        self._pool = pool
        self._clock = clock
        self._groups = groups

    async def receive(
        self, tenant_id: TenantId, parts: AsyncIterator[bytes], *, region: str | None, encoding: str | None
    ) -> Received:
        """Make a file's records durable as they come. Raises `Rejected` 422 for a header that cannot be, or a file without records;
        then, and where `parts` raises, nothing is left behind."""
        import_id = new_id("imp")
        try:
            return await self._receive(tenant_id, import_id, parts, region, encoding)
        except BaseException:  # a client that went away too: half a file is none
            await store.discard(self._pool, tenant_id, import_id)
            raise

    async def _receive(
        self, tenant_id: TenantId, import_id: str, parts: AsyncIterator[bytes], region: str | None, encoding: str | None
    ) -> Received:
        splitter, digest = Splitter(encoding), hashlib.sha256()
        header: Record | None = None
        waiting: list[Record] = []
        rows = chunks = 0
        async for records in _records(parts, splitter, digest.update):
            for record in records:
                if header is None:
                    header = record
                    layout = Layout.of(header, splitter.delimiter or ",")
                    if isinstance(layout, list):
                        raise contacts.rejected(layout)
                    await store.insert(self._pool, tenant_id, import_id, header.text, layout, region)
                    continue
                waiting.append(record)
                if len(waiting) == CHUNK:
                    await store.insert_chunk(self._pool, tenant_id, import_id, chunks, waiting)
                    rows, chunks, waiting = rows + len(waiting), chunks + 1, []
        if waiting:
            await store.insert_chunk(self._pool, tenant_id, import_id, chunks, waiting)
        if not rows + len(waiting):
            raise Rejected("import.empty", "The file holds a header at most, and no contacts.", 422)
        return Received(import_id, rows + len(waiting), digest.digest())

    async def start(self, unit: Unit, tenant_id: TenantId, received: Received) -> asyncpg.Record:
        """Let what was received be processed."""
        return await store.start(unit.connection, tenant_id, received.import_id, received.rows)

    async def discard(self, tenant_id: TenantId, received: Received) -> None:
        """Forget what was received, unless it was started."""
        await store.discard(self._pool, tenant_id, received.import_id)

    async def cancel(self, unit: Unit, tenant_id: TenantId, import_id: str) -> asyncpg.Record | None:
        """End it where it is; what was processed stays. Twice is safe. None where there is none; raises `Rejected` 409 where it is
        completed."""
        found = await store.lock(unit.connection, tenant_id, import_id)
        if found is None or found["state"] == "canceled":
            return found
        if found["state"] == "completed":
            raise Rejected("import.completed", "The import has been completed.", 409)
        await store.end(unit.connection, tenant_id, import_id, "canceled")
        return await store.find(unit.connection, tenant_id, import_id)

    async def work(self) -> bool:
        """Process some records of one import; True where there may be more."""
        row = chunk = None
        joined: Sequence[str] = ()
        try:
            async with self._outbox.transaction() as unit:
                row = await store.lock_open(unit.connection)
                if row is None:
                    return False
                chunk = await store.take_chunk(unit.connection, row["id"])
                if chunk is None:
                    await store.end(unit.connection, TenantId(row["tenant_id"]), row["id"], "completed")
                else:
                    joined = await self._process(unit, row, chunk.records)
        except asyncpg.ForeignKeyViolationError:
            return True  # a group was deleted since we looked; the next look makes another
        except Exception as error:
            if row is None or chunk is None or is_unavailable(error):
                raise
            log.error("import.unreadable", import_id=row["id"], chunk=chunk.number, exc_info=error)
            await self._set_aside(row, chunk.number)
        finally:
            if row is not None and joined:
                await self._groups.forget(TenantId(row["tenant_id"]), *joined)
        return True

    async def _process(self, unit: Unit, row: asyncpg.Record, records: Sequence[Record]) -> Sequence[str]:
        """Returns the groups that contacts were put into."""
        tenant_id, import_id = TenantId(row["tenant_id"]), row["id"]
        layout = Layout.of(Record(1, row["header"]), row["delimiter"])
        assert isinstance(layout, Layout)
        now = self._clock.now()

        def change_of(given: Row) -> Change | list[FieldError]:
            if given.faults:
                return given.faults
            try:
                return GivenContact.model_validate(given.contact).change(Channel.IMPORT.value, now)
            except ValidationError as error:
                return faults_of(error, given.contact)

        rows = [layout.row(record, row["region"]) for record in records]
        items = [change_of(one) for one in rows]
        results = await contacts.upsert(unit, tenant_id, items, channel=Channel.IMPORT, now=now)
        counts = Counter(result.outcome if isinstance(result, Done) else "rejected" for result in results)
        faults = [
            fault
            for record, result in zip(records, results, strict=True)
            if isinstance(result, list)
            for fault in _line_faults(record, result)
        ]
        done = (counts[Outcome.CREATED], counts[Outcome.UPDATED], counts[Outcome.UNCHANGED], counts["rejected"])
        await store.count(unit.connection, tenant_id, import_id, done, faults)
        joining = {
            (name, result.contact_id)
            for one, result in zip(rows, results, strict=True)
            if isinstance(result, Done)
            for name in one.groups
        }
        return await groups.join(unit.connection, tenant_id, joining) if joining else ()

    async def _set_aside(self, row: asyncpg.Record, number: int) -> None:
        """Say of a chunk's records that we cannot process them: they would fail again for ever."""
        tenant_id, import_id = TenantId(row["tenant_id"]), row["id"]
        async with self._outbox.transaction() as unit:
            await store.lock(unit.connection, tenant_id, import_id)
            chunk = await store.take_chunk(unit.connection, import_id, number)
            if chunk is None:  # canceled, or another replica was quicker
                return
            fault = FieldError("", "internal", "could not be processed, which is our fault; try it again")
            faults = [line for record in chunk.records for line in _line_faults(record, [fault])]
            await store.count(unit.connection, tenant_id, import_id, (0, 0, 0, len(chunk.records)), faults)


async def _records(
    parts: AsyncIterator[bytes], splitter: Splitter, update: Callable[[bytes], None]
) -> AsyncIterator[Sequence[Record]]:
    async for part in parts:
        update(part)
        yield list(splitter.feed(part))
    yield list(splitter.end())


def _line_faults(record: Record, faults: Sequence[FieldError]) -> list[store.LineFault]:
    return [
        (record.line, position, Layout.column_at(fault.pointer), fault.code, fault.detail)
        for position, fault in enumerate(faults[:MOST_FAULTS])
    ]
