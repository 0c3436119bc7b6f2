"""Work on imports: claim one, have it read by a process of its own, store what that gives, say how it ended.

A lease keeps others off; it is renewed while the work goes on, and every transaction of the work asks whether it still holds. Who
dies, loses it: another process goes on behind the last block. What was stored is never read twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import structlog

from services.archive.cache import Changes
from services.archive.domain.importing import ImportState
from services.archive.imports.blocks import LeaseLost, resume_of, store_block
from services.archive.imports.frames import Frame
from services.archive.imports.reading import reading
from services.archive.imports.refusal import Refused
from services.archive.imports.target import conversation_of, own_names, speakers
from services.archive.imports.undo import undo
from services.archive.store import blocks
from services.archive.store import imports as store
from services.archive.store.blocks import Conversation
from services.archive.store.imports import Import
from shared.bus.interface import StopSignal
from shared.clock import Clock
from shared.config import ObjectsSettings
from shared.db.pool import Pool
from shared.ids import TenantId, new_id
from shared.objects.store import ObjectsAway
from shared.run import Stage
from shared.telemetry.catalogue import ENTRIES_RECORDED_TOTAL, IMPORT_BYTES_TOTAL, IMPORTS_ENDED_TOTAL
from shared.telemetry.metrics import Metrics
from shared.unavailable import is_unavailable

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 1.0
AWAY_SECONDS: Final = 5.0
AGAIN_SECONDS: Final = 10.0
MOST_TRIES: Final = 5
"""Claims without progress: then the fault is the file's or ours, and goes on no more."""
LATEST: Final = timedelta(days=2)
"""Wall times that far ahead are believed: phones are in other zones, and a little wrong."""
LET_GO_SECONDS: Final = 2.0


class ReadingBroke(Exception):
    """The reading process met a fault of ours."""


class ImportWorker:
    """Works on `at_once` imports, each with a process of its own."""

    name: Final = "archive.imports"
    stage: Final = Stage.WORK

    def __init__(  # what the work is done with, all by name
        self,
        pool: Pool,
        objects: ObjectsSettings,
        changes: Changes,
        metrics: Metrics,
        clock: Clock,
        *,
        at_once: int,
        lease_seconds: float,
    ) -> None:
        self._pool = pool
        self._objects = objects
        self._changes = changes
        self._metrics = metrics
        self._clock = clock
        self._at_once = at_once
        self._lease_seconds = lease_seconds
        self._work = asyncio.Event()

    def wake(self) -> None:
        """There is work now."""
        self._work.set()

    async def run(self, stop: StopSignal) -> None:
        """Work until `stop`; what is in hand is let go for others, behind its last block."""
        async with asyncio.TaskGroup() as group:
            hands = [group.create_task(self._hand(stop), name=f"{self.name}.{number}") for number in range(self._at_once)]
            await stop.wait()
            self.wake()
            for hand in hands:
                hand.cancel()

    async def _hand(self, stop: StopSignal) -> None:
        while not stop.is_set():  # what breaks at the same moment may come in a cancellation's place
            self._work.clear()
            try:
                if await self.work_once():
                    continue
                wait = LOOK_SECONDS
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning("import.unavailable", error=type(error).__name__)
                wait = AWAY_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._work.wait()

    async def work_once(self) -> bool:
        """Take one import a stage further; False where there is none. Raises what says that the database is away."""
        lease_id = new_id("lse")
        found = await store.claim(self._pool, lease_id, self._lease_seconds)
        if found is None:
            return False
        if found.tries > MOST_TRIES:
            await self._end(
                found, lease_id, ImportState.FAILED, "import.internal", "It failed again and again, which is our fault."
            )
            return True
        log.info("import.claimed", import_id=found.id, state=found.state.value, tries=found.tries)
        try:
            await self._with_lease(found, lease_id)
        except ExceptionGroup as group:
            await self._settle(found, lease_id, _first(group))
        except asyncio.CancelledError:
            try:
                async with asyncio.timeout(LET_GO_SECONDS):
                    await asyncio.shield(store.put_off(self._pool, found.import_no, lease_id, 0, is_counted=False))
            except Exception as error:  # noqa: BLE001  # its lease runs out; the cancellation goes on
                log.warning("import.not_let_go", import_id=found.id, error=type(error).__name__)
            raise
        return True

    async def _settle(self, found: Import, lease_id: str, error: BaseException) -> None:
        """What went wrong: whose fault it is, and whether it is tried again."""
        if isinstance(error, LeaseLost):
            log.info("import.let_go", import_id=found.id)
        elif isinstance(error, Refused):
            with suppress(LeaseLost):
                await self._end(found, lease_id, ImportState.FAILED, error.code, error.detail)
        elif is_unavailable(error):
            log.warning("import.unavailable", import_id=found.id, error=type(error).__name__)
            await store.put_off(self._pool, found.import_no, lease_id, AWAY_SECONDS, is_counted=False)
        else:
            log.error("import.broke", import_id=found.id, tries=found.tries, exc_info=error)
            await store.put_off(self._pool, found.import_no, lease_id, AGAIN_SECONDS, is_counted=True)

    async def _with_lease(self, found: Import, lease_id: str) -> None:
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(self._keep(found, lease_id), name=f"{self.name}.lease")
            match found.state:
                case ImportState.SURVEYING:
                    await self._survey(found, lease_id)
                case ImportState.IMPORTING:
                    await self._import(found, lease_id)
                case _:
                    await undo(self._pool, found, lease_id, lambda ids: self._changed(found, ids))
                    await self._end(found, lease_id, ImportState.UNDONE)
            keeper.cancel()

    async def _keep(self, found: Import, lease_id: str) -> None:
        while True:
            await asyncio.sleep(self._lease_seconds / 4)
            if not await store.keep_lease(self._pool, found.import_no, lease_id, self._lease_seconds):
                raise LeaseLost

    async def _survey(self, found: Import, lease_id: str) -> None:
        read = 0
        async with reading(await self._job(found, "survey")) as child:
            async for frame in child.frames():
                if frame.kind == "read":
                    self._metrics.count(IMPORT_BYTES_TOTAL, by=frame.header["read"] - read)
                    read = frame.header["read"]
                    await store.note_read(self._pool, found.import_no, lease_id, frame.header["read"], frame.header["of"])
                    continue
                _check(frame, "surveyed")
                survey = {name: frame.header[name] for name in ("survey", "text", "media")}
                state = ImportState.READY if found.options.preview else ImportState.IMPORTING
                size = survey["text"][1]
                if not await store.surveyed(self._pool, found.import_no, lease_id, survey, size, state):
                    raise LeaseLost
                self._metrics.count(IMPORT_BYTES_TOTAL, by=max(0, size - read))
                log.info("import.surveyed", import_id=found.id, records=survey["survey"]["records"], size_bytes=size)
                return

    async def _import(self, found: Import, lease_id: str) -> None:
        assert found.survey is not None  # there is one before this state
        conversation = await conversation_of(self._pool, found)
        if not await blocks.settle(self._pool, found.import_no, lease_id, conversation):
            raise LeaseLost
        own = own_names(found.options, found.survey, conversation)
        doubts = found.doubt_count
        read = found.resume["offset"] if found.resume else 0
        async with reading(await self._job(found, "read", conversation)) as child:
            async for frame in child.frames():
                if frame.kind == "strangers":
                    await child.answer(await speakers(self._pool, found, conversation, frame.header["names"], own))
                elif frame.kind == "media":
                    if not await blocks.expect_media(self._pool, frame.header["object_key"], found.import_no, lease_id):
                        raise LeaseLost
                    await child.answer(True)
                else:
                    _check(frame, "block", "last")
                    doubts += (await self._store(found, lease_id, conversation, doubts, frame)).doubts
                    self._metrics.count(IMPORT_BYTES_TOTAL, by=frame.header["offset"] - read)
                    read = frame.header["offset"]
                    if frame.kind == "last":
                        break
        await self._end(found, lease_id, ImportState.COMPLETED)

    async def _store(self, found: Import, lease_id: str, conversation: Conversation, doubts: int, frame: Frame) -> blocks.Added:
        added = await store_block(self._pool, found, lease_id, conversation, doubts, frame)
        self._metrics.count(ENTRIES_RECORDED_TOTAL, "imported", by=added.entries)
        log.debug("import.stored", import_id=found.id, entries=added.entries, known=added.known)
        if added.entries or added.files:
            await self._changed(found, [conversation.id])
        return added

    async def _changed(self, found: Import, conversation_ids: Sequence[str]) -> None:
        await self._changes.changed(conversation_ids=conversation_ids, tenant_ids=[found.tenant_id])

    async def _end(
        self, found: Import, lease_id: str, state: ImportState, code: str | None = None, detail: str | None = None
    ) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            if not await store.end_leased(connection, found.import_no, lease_id, state, code, detail):
                raise LeaseLost
        self._metrics.count(IMPORTS_ENDED_TOTAL, state.value)
        log.info("import.ended", import_id=found.id, state=state.value, code=code)

    async def _job(self, found: Import, kind: str, conversation: Conversation | None = None) -> Mapping[str, Any]:
        """What the process is told, on a pipe that nobody else reads."""
        options = found.options
        job: dict[str, Any] = {
            "kind": kind,
            "objects": {
                **self._objects.model_dump(exclude={"secret_access_key"}),
                "secret_access_key": self._objects.secret_access_key.get_secret_value(),
            },
            "parts": await store.parts(self._pool, found.import_no),
            "day_order": options.day_order,
            "latest": (self._clock.now() + LATEST).replace(tzinfo=None).isoformat(),
        }
        if conversation is None:
            return job
        assert found.survey is not None
        place = (found.tenant_id, found.tenant_no, conversation.id, conversation.number, found.import_no)
        return {
            **job,
            "survey": found.survey["survey"],
            "text": found.survey["text"],
            "resume": resume_of(found),
            "time_zone": options.time_zone,
            "media_prefix": media_prefix(found.tenant_id, found.id),
            "place": place,
        }


def media_prefix(tenant: TenantId, import_id: str) -> str:
    """What keys of an import's media begin with."""
    return f"imports/{tenant}/{import_id}/media"


def _check(frame: Frame, *kinds: str) -> None:
    """Raises what the process says instead of the kinds that are waited for."""
    if frame.kind in kinds:
        return
    if frame.kind == "refused":
        raise Refused(frame.header["code"], frame.header["detail"])
    if frame.kind == "away":
        raise ObjectsAway("reading process")
    raise ReadingBroke(frame.kind, frame.header.get("error"), frame.header.get("where"))


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    """The first fault of what went wrong at once."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
