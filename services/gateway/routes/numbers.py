"""Business numbers: connect, change, look. Secrets go in and never come out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg
from aiohttp import web

from services.gateway.idempotency import once
from services.gateway.numbers import Connections, NumberDirectory
from services.gateway.payloads import ChangeNumber, ConnectNumber, NumberPage, NumberView, PageQuery
from services.gateway.store import numbers as store
from shared.bus.outbox import Outbox, Unit
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http.problem import Problem
from shared.http.requests import read_body, read_query, validate
from shared.http.responses import json_bytes, json_response
from shared.http.routes import TENANT_ID, Route
from shared.ids import TenantId, is_id

TAG: Final = "Numbers"
_ID: Final = "{number_id:num_[0-9a-v]{26}}"


class NumberRoutes:
    """The handlers, with what they need."""

    def __init__(self, outbox: Outbox, pool: Pool, connections: Connections, directory: NumberDirectory) -> None:
        self._outbox = outbox
        self._pool = pool
        self._connections = connections
        self._directory = directory

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "POST",
                "/api/numbers",
                self.connect,
                "Connect a business number",
                TAG,
                request=ConnectNumber,
                responses={201: NumberView, 409: Problem},
                idempotent=True,
                description="Point the number's webhook at /api/webhooks/whatsapp with the same verify token.",
            ),
            Route("GET", "/api/numbers", self.list, "List numbers", TAG, query=PageQuery, responses={200: NumberPage}),
            Route("GET", f"/api/numbers/{_ID}", self.get, "One number", TAG, responses={200: NumberView, 404: Problem}),
            Route(
                "PATCH",
                f"/api/numbers/{_ID}",
                self.change,
                "Change a number or rotate its secrets",
                TAG,
                request=ChangeNumber,
                responses={200: NumberView, 404: Problem, 409: Problem},
                idempotent=True,
            ),
        ]

    async def connect(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(ConnectNumber, data)
        tenant_id = TenantId(request[TENANT_ID])

        async def effect(unit: Unit) -> tuple[int, bytes]:
            row = await self._connections.connect(unit, tenant_id, body)
            return 201, json_bytes(_view(row))

        response = await once(self._outbox, request, data, effect)
        self._directory.forget(tenant_id, body.phone_number_id)
        return response

    async def change(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(ChangeNumber, data)
        tenant_id = TenantId(request[TENANT_ID])

        async def effect(unit: Unit) -> tuple[int, bytes]:
            row = await self._connections.change(unit, tenant_id, request.match_info["number_id"], body)
            self._directory.forget(tenant_id, row["phone_number_id"])
            return 200, json_bytes(_view(row))

        return await once(self._outbox, request, data, effect)

    async def list(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, PageQuery)
        if query.cursor is not None and not is_id(query.cursor, "num"):
            raise Rejected("cursor.invalid", "The cursor is not one that this list has given.", 400)
        rows = await store.page(self._pool, TenantId(request[TENANT_ID]), after=query.cursor, limit=query.limit + 1)
        page = rows[: query.limit]
        more = page[-1]["id"] if len(rows) > query.limit else None
        return json_response(NumberPage(data=[_view(row) for row in page], next_cursor=more))

    async def get(self, request: web.Request) -> web.StreamResponse:
        row = await store.find(self._pool, TenantId(request[TENANT_ID]), request.match_info["number_id"])
        if row is None:
            raise Rejected("number.unknown", "There is no such number.", 404)
        return json_response(_view(row))


def _view(row: asyncpg.Record) -> NumberView:
    return NumberView(**{name: row[name] for name in NumberView.model_fields})
