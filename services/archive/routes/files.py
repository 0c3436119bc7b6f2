"""Media of imported entries."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from aiohttp import web

from services.archive.operations import imports as operations
from services.archive.store import imports as store
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http import downloads
from shared.http.downloads import Download
from shared.http.internal import tenant_of
from shared.http.routes import Access, Route
from shared.objects.store import NoObject, ObjectStore

KEPT_SECONDS: Final = 3_600
"""A file never changes under its id; it may be removed."""
_UNKNOWN: Final = Rejected("file.unknown", "There is no such file.", 404)


def routes(pool: Pool, objects: ObjectStore) -> Sequence[Route]:
    """The files."""

    async def get_file(request: web.Request) -> web.StreamResponse:
        match = request.match_info
        found = await store.file(pool, tenant_of(request), match["conversation_id"], match["file_id"])
        if found is None:
            raise _UNKNOWN

        async def read(start: int, end: int) -> AsyncIterator[bytes]:
            if (start, end) == (0, found.size_bytes):
                return await objects.get(found.object_key)
            return await objects.get(found.object_key, start, end)

        file = Download(found.mime_type, found.size_bytes, found.sha256.hex(), found.file_name, read)
        try:
            return await downloads.send(request, file, cache_seconds=KEPT_SECONDS)
        except NoObject:  # removed meanwhile
            raise _UNKNOWN from None

    return [operations.FILE.served_by(get_file, Access.INTERNAL)]
