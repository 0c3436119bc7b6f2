"""Whether there are the participants that somebody asks to erase."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from services.archive.operations import participants as operations
from services.archive.payloads.participants import AskedParticipants, UnknownParticipants
from services.archive.store.erasing import unknown_participants
from shared.db.pool import Pool
from shared.http.internal import tenant_of
from shared.http.requests import read_model
from shared.http.responses import json_response
from shared.http.routes import Access, Route


def routes(pool: Pool) -> Sequence[Route]:
    """What the gateway asks before it takes an erasure."""

    async def unknown(request: web.Request) -> web.StreamResponse:
        asked = await read_model(request, AskedParticipants)
        return json_response(
            UnknownParticipants(unknown=await unknown_participants(pool, tenant_of(request), asked.participant_ids))
        )

    return (operations.UNKNOWN_PARTICIPANTS.served_by(unknown, Access.INTERNAL),)
