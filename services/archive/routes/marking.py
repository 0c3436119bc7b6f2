"""POST /api/conversations/{conversation_id}/read."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from services.archive.cache import Changes
from services.archive.operations import marking
from services.archive.payloads.marking import MarkRead, ReadMark
from services.archive.store import marking as store
from shared.bus.outbox import Outbox, Unit
from shared.errors import Rejected
from shared.http.internal import tenant_of
from shared.http.requests import read_body, validate
from shared.http.responses import json_bytes
from shared.http.routes import Access, Route
from shared.idempotency import once


def routes(outbox: Outbox, changes: Changes) -> Sequence[Route]:
    """Marking as read."""

    async def mark_read(request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        asked = validate(MarkRead, data) if data.strip() else MarkRead()
        tenant, conversation_id = tenant_of(request), request.match_info["conversation_id"]

        async def effect(unit: Unit) -> tuple[int, bytes]:
            mark = await store.mark_read(unit.connection, tenant, conversation_id, asked.until)
            if mark is None:
                raise Rejected("conversation.unknown", "No such conversation.", status=404)
            return 200, json_bytes(ReadMark(conversation_id=conversation_id, **mark._asdict()))

        answer = await once(outbox, request, data, effect)
        await changes.changed([conversation_id], [tenant])
        return answer

    return (marking.MARK_READ.served_by(mark_read, Access.INTERNAL),)
