"""The tenants' files: taken in as they come, kept once, told to the sender, given out and removed.

An object is written before anything names it. Until then it is a leftover that is due in an hour, so that a crash at any moment
leaves nothing behind for ever; the transaction that names it takes it off that list.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, NamedTuple

import structlog

from services.gateway.domain.media import (
    HEAD_BYTES,
    LARGEST_BYTES,
    BadFile,
    MediaRecord,
    Nature,
    check_size,
    clean_name,
    nature_of,
    nature_of_received,
)
from services.gateway.store import media as store
from services.gateway.store.media import Bytes, Origin
from shared.bus.outbox import Unit
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.events.catalogue import MediaDeleted, MediaStored
from shared.http.codes import Code
from shared.ids import TenantId, is_id, new_id
from shared.objects.store import ObjectsAway, ObjectStore
from shared.telemetry.tracing import current_traceparent

log = structlog.get_logger(__name__)

UNNAMED_KEPT: Final = timedelta(hours=1)
"""Longer than any file takes to come."""
REMOVAL_LEASE: Final = timedelta(minutes=5)
REMOVED_AT_ONCE: Final = 100
FAILED_AT_ONCE: Final = 3
SMALLEST_WIRE_ID: Final = 10**15
WIRE_IDS: Final = 2**53 - SMALLEST_WIRE_ID
"""Sixteen digits, as the provider's, and below 2^53: some clients read numbers into doubles."""
LONGEST_WIRE_ID: Final = 20
UPLOADS_AT_ONCE: Final = 32
"""Per process: each has some 15 MB in memory at most."""
UPLOADS_OF_TENANT: Final = 8
"""Of these."""
BUSY_SECONDS: Final = 2


class Taken(NamedTuple):
    """A file whose bytes are durable and that nothing names yet."""

    media_id: str
    nature: Nature
    what: Bytes
    file_name: str | None


@dataclass(frozen=True, slots=True)
class Media:
    """The files of all tenants."""

    pool: Pool
    objects: ObjectStore
    coming: Counter[TenantId] = field(default_factory=Counter)
    """Uploads that are being taken."""

    async def known(self, tenant_id: TenantId, ids: Sequence[str]) -> dict[str, MediaRecord]:
        """The tenant's files with these ids (`med_…`), one query for all; those that there are not are left out."""
        wanted = [media_id for media_id in ids if is_id(media_id, "med")]
        return await store.known(self.pool, tenant_id, wanted) if wanted else {}

    async def of_wire(self, tenant_id: TenantId, digits: str) -> MediaRecord | None:
        """The file that a client of the Cloud API calls so: by our digits, or of an inbound file by the provider's."""
        if not digits.isdecimal() or not digits.isascii() or len(digits) > LONGEST_WIRE_ID:
            return None
        wire_id = int(digits)
        return await store.of_wire(self.pool, tenant_id, wire_id if wire_id < 2**53 else None, digits)

    async def take(
        self,
        tenant_id: TenantId,
        parts: AsyncIterator[bytes],
        *,
        claimed: str | None,
        file_name: str | None,
        is_received: bool = False,
    ) -> Taken:
        """Make a file's bytes durable as they come; `name` must follow, or they are removed within the hour.

        Raises `BadFile` for what is not of the type it claims to be, or is larger than its class may be; with `is_received`, for
        what others sent, only where it is larger than any may be. Raises `ObjectsAway`, and passes on what `parts` raise. Raises
        `Rejected` beyond the number of uploads at once; not so for what others sent, whose reader has its own bound.
        """
        if is_received:
            return await self._take(tenant_id, parts, claimed, file_name, is_received=True)
        with self._turn(tenant_id):
            return await self._take(tenant_id, parts, claimed, file_name, is_received=False)

    @contextmanager
    def _turn(self, tenant_id: TenantId) -> Iterator[None]:
        if self.coming[tenant_id] >= UPLOADS_OF_TENANT:
            detail = f"{UPLOADS_OF_TENANT} files are being uploaded at once; send this one when one of them is there."
            raise Rejected("media.too_many_uploads", detail, status=429, retry_after_seconds=BUSY_SECONDS)
        if self.coming.total() >= UPLOADS_AT_ONCE:
            raise Rejected(Code.UNAVAILABLE, Code.UNAVAILABLE.sentence, status=503, retry_after_seconds=BUSY_SECONDS)
        self.coming[tenant_id] += 1
        try:
            yield
        finally:
            self.coming[tenant_id] -= 1
            if not self.coming[tenant_id]:
                del self.coming[tenant_id]

    async def _take(
        self, tenant_id: TenantId, parts: AsyncIterator[bytes], claimed: str | None, file_name: str | None, *, is_received: bool
    ) -> Taken:
        media_id = new_id("med")
        object_key = f"media/{tenant_id}/{media_id}"
        checked = _Checked(parts, claimed, is_received=is_received)
        first = await checked.first()
        await store.begin_object(self.pool, object_key, within=UNNAMED_KEPT)
        written = await self.objects.put(object_key, checked.all(first))
        what = Bytes(object_key, written.size_bytes, bytes.fromhex(written.sha256))
        return Taken(media_id, checked.nature, what, clean_name(file_name))

    async def name(self, unit: Unit, tenant_id: TenantId, taken: Taken, origin: Origin | None = None) -> MediaRecord | None:
        """Let these bytes be a file of the tenant's, and tell of it. None: the inbound message they came with has it already."""
        wire_id = SMALLEST_WIRE_ID + secrets.randbelow(WIRE_IDS)
        record = await store.insert(
            unit.connection, tenant_id, taken.media_id, wire_id, taken.nature, taken.what, taken.file_name, origin
        )
        if record is not None:
            unit.emit(stored(tenant_id, record))
        return record

    async def read(self, record: MediaRecord, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The file's bytes, or a part of them. Raises `NoObject`, `ObjectsAway`."""
        return await self.objects.get(record.object_key, start, end)

    async def delete(self, unit: Unit, tenant_id: TenantId, media_id: str) -> bool:
        """Forget a file, and tell of it; its bytes go with it where no other has the same. False where there is none. What was sent
        with it stays sent; what is still to be sent with it fails."""
        if not await store.delete(unit.connection, tenant_id, media_id):
            return False
        unit.emit(MediaDeleted(tenant_id=tenant_id, traceparent=current_traceparent(), media_id=media_id))
        return True

    async def remove_leftovers(self) -> bool:
        """Remove objects that nothing names; True where there may be more."""
        keys = await store.claim_leftovers(self.pool, limit=REMOVED_AT_ONCE, lease=REMOVAL_LEASE)
        removed, failed = [], 0
        for key in keys:
            try:
                await self.objects.delete(key)
            except ObjectsAway as error:
                failed += 1
                log.warning("media.not_removed", error=str(error))
                if failed == FAILED_AT_ONCE:  # the store is away, rather than one object in a bad state
                    break
            else:
                removed.append(key)
        if removed:
            await store.forget_leftovers(self.pool, removed)
        return len(removed) == REMOVED_AT_ONCE


class _Checked:
    """The parts of a file on their way, stopped where they turn out not to be what they may be."""

    def __init__(self, parts: AsyncIterator[bytes], claimed: str | None, *, is_received: bool) -> None:
        self._parts = parts
        self._claimed = claimed
        self._is_received = is_received
        self.nature: Nature

    async def first(self) -> bytes:
        """Enough to tell what it is."""
        head = bytearray()
        while len(head) < HEAD_BYTES and (part := await anext(self._parts, None)) is not None:
            head += part
        data = bytes(head)
        self.nature = (nature_of_received if self._is_received else nature_of)(data[:HEAD_BYTES], self._claimed)
        return data

    async def all(self, first: bytes) -> AsyncIterator[bytes]:
        size = len(first)
        self._check(size)
        yield first
        async for part in self._parts:
            size += len(part)
            self._check(size)
            yield part

    def _check(self, size: int) -> None:
        if not self._is_received:
            check_size(self.nature, size)
        elif size > LARGEST_BYTES:
            raise BadFile("media.too_large", f"A file has {LARGEST_BYTES} bytes at most.")


def stored(tenant_id: TenantId, record: MediaRecord) -> MediaStored:
    """What is told of a file that is there."""
    return MediaStored(
        tenant_id=tenant_id,
        media_id=record.id,
        object_key=record.object_key,
        mime_type=record.mime_type,
        size_bytes=record.size_bytes,
        sha256=record.sha256,
        file_name=record.file_name,
        number_id=record.number_id,
        wamid=record.wamid,
    )
