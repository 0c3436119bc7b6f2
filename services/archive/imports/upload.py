"""Take a file in, in parts that are each durable before they are confirmed: a broken upload goes on where it was.

A part is an object of its own. It is kept in mind before it is written, as something to remove; the transaction that puts it behind
the others takes it off that list. So a crash at any moment leaves nothing behind for ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final, NamedTuple

from services.archive.domain.importing import ImportOptions, ImportState
from services.archive.store import imports as store
from services.archive.store.imports import Import, Part
from services.archive.tenants import Tenants
from shared.bus.outbox import Unit
from shared.db.pool import Pool
from shared.errors import FieldError, Rejected
from shared.ids import TenantId, new_id
from shared.objects.store import ObjectStore

PART_BYTES: Final = 8 * 1024 * 1024
"""A part that is sent by itself has so many at most."""
STREAMED_BYTES: Final = 4 * 1024 * 1024
"""Parts that a streamed file is cut into: they go to the store in one request each."""
MOST_OPEN: Final = 50
"""Imports of a tenant that are not done, waiting for their file or start too."""
UNNAMED_KEPT: Final = timedelta(hours=1)
UNKNOWN: Final = Rejected("import.unknown", "There is no such import.", 404)


class Written(NamedTuple):
    """A part whose bytes are durable and that no import has yet."""

    part: Part
    digest: bytes
    """SHA-256."""


class Uploads:
    """Makes imports and takes in their files. `file_bytes` is the most that a file may have."""

    def __init__(self, pool: Pool, objects: ObjectStore, tenants: Tenants, *, file_bytes: int) -> None:
        self.pool = pool
        self.file_bytes = file_bytes
        self._objects = objects
        self._tenants = tenants

    async def begin(
        self, unit: Unit | None, tenant: TenantId, file_name: str, size_bytes: int | None, options: ImportOptions
    ) -> Import:
        """A new import, in a transaction or by itself. Raises `Rejected` 422 where the file is to be too large, 429 where too many
        are not done."""
        if size_bytes is not None and size_bytes > self.file_bytes:
            raise self._too_large()
        number = (await self._tenants.numbered({tenant}))[tenant]
        connection = unit.connection if unit is not None else self.pool
        made = await store.insert(
            connection, tenant, number, new_id("imp"), file_name, size_bytes, options, most_open=MOST_OPEN
        )
        if made is None:
            detail = f"{MOST_OPEN} imports are not done yet; wait for one of them, or cancel it."
            raise Rejected("import.too_many", detail, 429, retry_after_seconds=30)
        return made

    async def write(self, found: Import, start: int, parts: AsyncIterator[bytes]) -> Written | None:
        """Make a part durable; None where there is nothing in it. What `parts` raise passes through."""
        first = await anext(parts, None)
        if first is None:
            return None
        key = f"imports/{found.tenant_id}/{found.id}/{new_id('part')}"
        await store.begin_object(self.pool, key, found.import_no, UNNAMED_KEPT)
        written = await self._objects.put(key, _from(first, parts))
        return Written(Part(key, start, written.size_bytes), bytes.fromhex(written.sha256))

    async def append(
        self, unit: Unit, tenant: TenantId, import_id: str, start: int, written: Written | None, *, is_last: bool
    ) -> Import:
        """Put a part behind the others. Raises `Rejected` 404, 409 where it does not begin where they end, 422 beyond the size."""
        found = await store.lock(unit.connection, tenant, import_id)
        if found is None:
            raise UNKNOWN
        check_place(found, start)
        size = start + (written.part.size if written else 0)
        if size > (self.file_bytes if found.size_bytes is None else found.size_bytes):
            raise self._too_large() if found.size_bytes is None else _beyond(found.size_bytes)
        if is_last and found.size_bytes not in {None, size}:
            detail = f"The file was announced with {found.size_bytes} bytes and would end with {size}."
            raise Rejected("import.incomplete", detail, 422)
        is_all = is_last or size == found.size_bytes
        if is_all and size == 0:
            raise Rejected("import.empty", "The file is empty.", 422)
        return await store.receive(unit.connection, found, written.part if written else None, is_all=is_all)

    async def stream(self, found: Import, parts: AsyncIterator[bytes]) -> tuple[list[Written], bytes]:
        """A whole file, cut into parts, and its SHA-256. Raises `Rejected` 413 where it is too large."""
        pieces: list[Written] = []
        digest = hashlib.sha256()
        place = 0
        async for piece in _pieces(parts):
            written = await self.write(found, place, _from(piece, None))
            assert written is not None  # no piece is empty
            digest.update(piece)
            pieces.append(written)
            place += len(piece)
            if place > self.file_bytes:
                raise self._too_large(413)
        return pieces, digest.digest()

    async def complete(self, unit: Unit, found: Import, pieces: list[Written]) -> Import:
        """Let a streamed file be surveyed. Raises `Rejected` 422 for an empty one."""
        locked = await store.lock(unit.connection, found.tenant_id, found.id)
        if locked is None or locked.state is not ImportState.UPLOADING:
            raise Rejected("import.not_uploading", "The import was ended while its file came.", 409)
        if not pieces:
            raise Rejected("import.empty", "The file is empty.", 422)
        for piece in pieces:
            locked = await store.receive(unit.connection, locked, piece.part, is_all=piece is pieces[-1])
        return locked

    async def discard(self, found: Import) -> None:
        """Forget an import that came to nothing."""
        await store.discard(self.pool, found.import_no)

    def _too_large(self, status: int = 422) -> Rejected:
        detail = f"A file has {self.file_bytes} bytes at most."
        return Rejected("import.too_large", detail, status, errors=(FieldError("/size_bytes", "import.too_large", detail),))


def check_place(found: Import, start: int) -> None:
    """Raises `Rejected` 409 where a part that begins there cannot be taken."""
    if found.state is not ImportState.UPLOADING:
        raise Rejected("import.not_uploading", f"The import is {found.state}: it takes no more of its file.", 409)
    if start != found.received_bytes:
        detail = f"{found.received_bytes} bytes are here: go on with byte {found.received_bytes}."
        raise Rejected("import.wrong_offset", detail, 409, headers={"Upload-Offset": str(found.received_bytes)})


def _beyond(size: int) -> Rejected:
    return Rejected("import.too_long", f"The file was announced with {size} bytes; this part goes beyond.", 422)


async def _from(first: bytes, rest: AsyncIterator[bytes] | None) -> AsyncIterator[bytes]:
    yield first
    if rest is not None:
        async for part in rest:
            yield part


async def _pieces(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of `STREAMED_BYTES`."""
    held = bytearray()
    async for part in parts:
        held += part
        while len(held) >= STREAMED_BYTES:
            yield bytes(held[:STREAMED_BYTES])
            del held[:STREAMED_BYTES]
    if held:
        yield bytes(held)
