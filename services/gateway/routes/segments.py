"""Segments: filters over contacts, saved or tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson
from aiohttp import web

from services.gateway import segments
from services.gateway.payloads.groups import (
    ChangeSegment,
    CreateSegment,
    PreviewSegment,
    SegmentCount,
    SegmentPage,
    SegmentView,
)
from services.gateway.payloads.pages import PageQuery
from services.gateway.store import segments as store
from shared.bus.outbox import Outbox, Unit
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http.problem import Problem
from shared.http.requests import read_body, read_query, validate
from shared.http.responses import json_bytes, json_response
from shared.http.routes import TENANT_ID, Route
from shared.idempotency import once
from shared.ids import TenantId, is_id

TAG: Final = "Segments"
BODY_LIMIT: Final = 64 * 1024
_ID: Final = "{segment_id:seg_[0-9a-v]{26}}"
_EXAMPLE: Final[dict[str, Any]] = {
    "all": [
        {"field": "attribute.city", "operator": "is", "value": "Berlin"},
        {"field": "consent", "operator": "is", "value": "opted_in"},
        {"not": {"field": "attribute.orders", "operator": "less_than", "value": 3}},
    ]
}


class SegmentRoutes:
    """The handlers, with what they need."""

    def __init__(self, outbox: Outbox, pool: Pool) -> None:
        self._outbox = outbox
        self._pool = pool

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "POST",
                "/api/segments",
                self.create,
                "Save a filter over contacts",
                TAG,
                request=CreateSegment,
                responses={201: SegmentView, 409: Problem},
                body_limit_bytes=BODY_LIMIT,
                idempotent=True,
                request_examples={"attributes": {"name": "Good customers in Berlin", "filter": _EXAMPLE}},
            ),
            Route(
                "POST",
                "/api/segments/preview",
                self.preview,
                "Try a filter",
                TAG,
                request=PreviewSegment,
                responses={200: SegmentCount, 409: Problem},
                body_limit_bytes=BODY_LIMIT,
                idempotent=True,
                request_examples={"attributes": {"filter": _EXAMPLE}},
            ),
            Route(
                "GET",
                "/api/segments",
                self.list,
                "List segments, oldest first",
                TAG,
                query=PageQuery,
                responses={200: SegmentPage},
            ),
            Route("GET", f"/api/segments/{_ID}", self.get, "One segment", TAG, responses={200: SegmentView, 404: Problem}),
            Route(
                "GET",
                f"/api/segments/{_ID}/count",
                self.count,
                "How many contacts a segment has now",
                TAG,
                responses={200: SegmentCount, 404: Problem},
            ),
            Route(
                "PATCH",
                f"/api/segments/{_ID}",
                self.change,
                "Change a segment",
                TAG,
                request=ChangeSegment,
                responses={200: SegmentView, 404: Problem, 409: Problem},
                body_limit_bytes=BODY_LIMIT,
                idempotent=True,
            ),
            Route(
                "DELETE",
                f"/api/segments/{_ID}",
                self.delete,
                "Delete a segment",
                TAG,
                responses={204: None, 404: Problem},
                description="What is to be sent to it later finds no audience and says so.",
            ),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(CreateSegment, data)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            return 201, json_bytes(await segments.create(unit.connection, _tenant(request), body))

        return await once(self._outbox, request, data, effect)

    async def preview(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(PreviewSegment, data)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            return 200, json_bytes(await segments.preview(unit.connection, _tenant(request), body.filter))

        return await once(self._outbox, request, data, effect)

    async def change(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(ChangeSegment, data)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            return 200, json_bytes(await segments.change(unit.connection, _tenant(request), _segment(request), body))

        return await once(self._outbox, request, data, effect)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        await read_body(request, ())
        async with self._outbox.transaction() as unit:
            if not await store.delete(unit.connection, _tenant(request), _segment(request)):
                raise segments.unknown()
        return web.Response(status=204)

    async def list(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, PageQuery)
        if query.cursor is not None and not is_id(query.cursor, "seg"):
            raise Rejected("cursor.invalid", "The cursor is not one that this list has given.", 400)
        rows = await store.page(self._pool, _tenant(request), after=query.cursor, limit=query.limit + 1)
        page = rows[: query.limit]
        more = page[-1]["id"] if len(rows) > query.limit else None
        return json_response(SegmentPage(data=[segments.view(row) for row in page], next_cursor=more))

    async def get(self, request: web.Request) -> web.StreamResponse:
        row = await store.find(self._pool, _tenant(request), _segment(request))
        if row is None:
            raise segments.unknown()
        return json_response(segments.view(row))

    async def count(self, request: web.Request) -> web.StreamResponse:
        row = await store.find(self._pool, _tenant(request), _segment(request))
        if row is None:
            raise segments.unknown()
        return json_response(await segments.preview(self._pool, _tenant(request), orjson.loads(row["filter"])))


def _tenant(request: web.Request) -> TenantId:
    return TenantId(request[TENANT_ID])


def _segment(request: web.Request) -> str:
    return request.match_info["segment_id"]
