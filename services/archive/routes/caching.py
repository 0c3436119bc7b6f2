"""GET /api/archive/cache."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from services.archive.cache import Reads
from services.archive.operations import reading
from shared.http.responses import json_response
from shared.http.routes import Access, Route


def routes(reads: Reads) -> Sequence[Route]:
    """For who runs the archive."""

    async def cache_counts(request: web.Request) -> web.StreamResponse:  # noqa: ARG001  # asks for nothing in particular
        return json_response(reads.counts)

    return (reading.CACHE_COUNTS.served_by(cache_counts, Access.INTERNAL),)
