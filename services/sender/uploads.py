"""Files on their way to the provider: each once per number, by one process at a time, beside the messages and not among them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import aiohttp
import structlog

from services.sender.domain.outcome import PauseNumber, Rejected
from services.sender.numbers import Number, Numbers
from services.sender.provider.upload import File, Uploaded, upload
from services.sender.store import media as store
from services.sender.store.media import Job
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.events.catalogue import MediaDeleted, MediaStored, NumberPaused
from shared.every import Every
from shared.objects.store import NoObject, ObjectsAway, ObjectStore
from shared.unavailable import is_unavailable

log = structlog.get_logger(__name__)

WORKERS: Final = 8
"""Files at once, per process."""
PER_NUMBER: Final = 4
"""Of these, in all processes: one number, slow or busy, does not take all."""
LOOK_SECONDS: Final = 1.0
UPLOAD_SECONDS: Final = 240.0
SHORTEST_SECONDS: Final = 30.0
BYTES_PER_SECOND: Final = 500_000.0
"""What comes slower than this, after `SHORTEST_SECONDS`, is given up: the largest file has `UPLOAD_SECONDS`."""
LEASE: Final = timedelta(seconds=SHORTEST_SECONDS + 60)
"""Beside the time that its bytes take."""
GOOD_FOR: Final = timedelta(days=29)
"""Of the 30 days that the provider keeps what is uploaded; messages wait in queues."""
MOST_TRIES: Final = 5
"""That count: the provider was there and did not take it. One that cannot be reached is tried for as long as anybody waits."""
LONGEST_WAIT_SECONDS: Final = 60.0
UNREADY_SECONDS: Final = 5.0
"""Until a number that is not known yet, or paused, is looked at again; its messages wait too."""


async def know(outbox: Outbox, events: Sequence[MediaStored | MediaDeleted]) -> None:
    """Keep the record of the tenants' files. One that was deleted never comes back, in whatever order that is told."""
    stored = [event for event in events if isinstance(event, MediaStored)]
    deleted = [event for event in events if isinstance(event, MediaDeleted)]
    async with outbox.transaction() as unit:
        if stored:
            await store.know(unit.connection, stored)
        if deleted:
            await store.drop(unit.connection, deleted)


class Uploads:
    """Uploads what is wanted; `workers` are the components that do so. The session must bear that a file takes `UPLOAD_SECONDS`."""

    def __init__(
        self, outbox: Outbox, pool: Pool, session: aiohttp.ClientSession, objects: ObjectStore, numbers: Numbers
    ) -> None:
        self.workers = [Every(f"sender.upload_media.{n}", LOOK_SECONDS, self.upload_due) for n in range(WORKERS)]
        self._outbox = outbox
        self._pool = pool
        self._session = session
        self._objects = objects
        self._numbers = numbers

    def wake(self) -> None:
        """There is work now."""
        for worker in self.workers:
            worker.wake()

    async def upload_due(self) -> bool:
        """Upload the file that is due first; True where there may be more."""
        job = await store.claim(self._pool, lease=LEASE, bytes_per_second=BYTES_PER_SECOND, per_number=PER_NUMBER)
        if job is None:
            return False
        number = (await self._numbers.of([job.number_id])).get(job.number_id)
        if number is None or self._numbers.paused(number) is not None:
            await store.put_off(self._pool, job, max(UNREADY_SECONDS, _wait(job.tries)), counted=False)
            return True
        try:
            async with asyncio.timeout(min(UPLOAD_SECONDS, SHORTEST_SECONDS + job.size_bytes / BYTES_PER_SECOND)):
                await self._upload(job, number)
        except NoObject:
            await self._refuse(job, "media.deleted", "The file was deleted before the provider had it.")
        except (ObjectsAway, aiohttp.ClientError, OSError) as error:  # TimeoutError too
            log.warning("media.not_uploaded", number_id=job.number_id, code=f"connection.{type(error).__name__}")
            await store.put_off(self._pool, job, _wait(job.tries), counted=False)
        except Exception as error:  # our bug: said here, and it stops neither the other files nor, again and again, the process
            if is_unavailable(error):
                raise
            log.exception("media.upload_failed", number_id=job.number_id)
            if job.faults + 1 >= MOST_TRIES:
                await self._refuse(job, "internal", "The file could not be brought to the provider.")
            else:
                await store.put_off(self._pool, job, _wait(job.tries), counted=True)
        return True

    async def _upload(self, job: Job, number: Number) -> None:
        if number.files is None:
            await self._refuse(job, "media.unsupported_by_provider", "The number's provider takes files by link only.")
            return
        parts = await self._objects.get(job.object_key)
        file = File(job.mime_type, job.size_bytes, job.file_name)
        outcome = await upload(self._session, number.files, file, parts)
        if isinstance(outcome, Uploaded):
            await store.uploaded(self._pool, job, outcome.handle, good_for=GOOD_FOR)
            log.info("media.uploaded", number_id=number.number_id, size_bytes=job.size_bytes)
        elif isinstance(outcome, Rejected):
            await self._refuse(job, outcome.code, outcome.detail)
        elif isinstance(outcome, PauseNumber):
            await self._pause(job, number, outcome)
        elif job.faults + 1 >= MOST_TRIES:
            await self._refuse(job, outcome.code, "The provider did not take the file.")
        else:
            log.warning("media.not_uploaded", number_id=number.number_id, code=outcome.code, faults=job.faults + 1)
            after = getattr(outcome, "after", None) or _wait(job.tries)
            await store.put_off(self._pool, job, after, counted=True)

    async def _pause(self, job: Job, number: Number, outcome: PauseNumber) -> None:
        """Nothing can go from the number: its messages wait for whoever repairs it, and the file with them."""
        self._numbers.pause(number, outcome.code)
        async with self._outbox.transaction() as unit:
            await store.put_off(unit.connection, job, UNREADY_SECONDS, counted=False)
            unit.emit(
                NumberPaused(
                    tenant_id=number.tenant_id,
                    number_id=number.number_id,
                    revision=number.revision,
                    code=outcome.code,
                    detail=outcome.detail,
                )
            )

    async def _refuse(self, job: Job, code: str, detail: str) -> None:
        log.warning("media.refused", number_id=job.number_id, code=code)
        await store.refused(self._pool, job, code, detail)


def _wait(tries: int) -> float:
    return min(LONGEST_WAIT_SECONDS, 2.0 ** min(tries, 10))
