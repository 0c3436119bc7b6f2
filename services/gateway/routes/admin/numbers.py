"""Numbers of all tenants, and what operators did."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import asyncpg
import orjson
from aiohttp import web

from services.gateway.connections import Connections
from services.gateway.numbers import NumberDirectory
from services.gateway.operators import note
from services.gateway.payloads.numbers import Pause, PauseNumber
from services.gateway.payloads.operations import AnyNumber, AnyNumberPage, AuditLine, AuditPage
from services.gateway.payloads.pages import PageQuery
from services.gateway.routes.admin.operation import operation
from services.gateway.store import operators as store
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.events.values import Profile, Provider
from shared.http.requests import read_body, read_query, validate
from shared.http.responses import json_response
from shared.http.routes import Route

_ID: Final = "{number_id:num_[0-9a-v]{26}}"
_CURSOR: Final = re.compile(r"(active|paused)\.(num_[0-9a-v]{26})")
_AUDIT: Final = "act_"
_LAST: Final = 2**63 - 1


class AnyNumberRoutes:
    """The handlers, with what they need."""

    def __init__(self, outbox: Outbox, pool: Pool, connections: Connections, directory: NumberDirectory) -> None:
        self._outbox = outbox
        self._pool = pool
        self._connections = connections
        self._directory = directory

    def routes(self) -> Sequence[Route]:
        return [
            operation(
                "GET",
                "/admin/numbers",
                self.list,
                "Numbers of all tenants",
                AnyNumberPage,
                query=PageQuery,
                description="The paused ones first.",
            ),
            operation(
                "POST",
                f"/admin/numbers/{_ID}/pause",
                self.pause,
                "Send nothing from any number",
                AnyNumber,
                404,
                request=PauseNumber,
                is_body_optional=True,
                description="Its tenant cannot resume it. Its messages wait; what comes in is taken. Pausing twice is fine.",
            ),
            operation(
                "POST",
                f"/admin/numbers/{_ID}/resume",
                self.resume,
                "Send from any number again",
                AnyNumber,
                404,
                description="Whoever paused it. Resuming twice is fine.",
            ),
            operation(
                "GET",
                "/admin/audit",
                self.audit,
                "What operators did",
                AuditPage,
                query=PageQuery,
                description="Newest first. Lines are only ever added.",
            ),
        ]

    async def list(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, PageQuery)
        rows = await store.numbers(self._pool, after=_place(query.cursor), limit=query.limit + 1)
        page = rows[: query.limit]
        more = f"{page[-1]['status']}.{page[-1]['id']}" if len(rows) > query.limit else None
        return json_response(AnyNumberPage(data=[_view(row) for row in page], next_cursor=more))

    async def pause(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(PauseNumber, data) if data.strip() else PauseNumber()
        return await self._change(request, reason=body.reason, pause=True)

    async def resume(self, request: web.Request) -> web.StreamResponse:
        await read_body(request, ())
        return await self._change(request, reason=None, pause=False)

    async def audit(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, PageQuery)
        rows = await store.actions(self._pool, before=_before(query.cursor), limit=query.limit + 1)
        page = rows[: query.limit]
        more = f"{_AUDIT}{page[-1]['id']}" if len(rows) > query.limit else None
        return json_response(AuditPage(data=[_line(row) for row in page], next_cursor=more))

    async def _change(self, request: web.Request, *, reason: str | None, pause: bool) -> web.StreamResponse:
        number_id = request.match_info["number_id"]
        async with self._outbox.transaction() as unit:
            tenant_id = await store.tenant_of_number(unit.connection, number_id)
            if tenant_id is None:
                raise Rejected("number.unknown", "There is no such number.", 404)
            if pause:
                row = await self._connections.pause(unit, tenant_id, number_id, reason, by_operator=True)
            else:
                row = await self._connections.resume(unit, tenant_id, number_id, by_operator=True)
            await note(unit.connection, request, f"number.{'pause' if pause else 'resume'}", number_id, tenant_id=tenant_id)
        self._directory.forget(tenant_id, row["phone_number_id"])
        return json_response(_view(row))


def _view(row: asyncpg.Record) -> AnyNumber:
    code = row["paused_code"]
    return AnyNumber(
        id=row["id"],
        tenant_id=row["tenant_id"],
        provider=Provider(row["provider"]),
        display_number=row["display_number"],
        status=row["status"],
        paused=None if code is None else Pause(code=code, detail=row["paused_detail"], at=row["paused_at"]),
        messages_per_second=row["messages_per_second"],
        profile=Profile(row["profile"]),
        created_at=row["created_at"],
    )


def _line(row: asyncpg.Record) -> AuditLine:
    return AuditLine(
        id=f"{_AUDIT}{row['id']}",
        at=row["at"],
        operator=row["operator"],
        key_id=row["key_id"],
        action=row["action"],
        subject=row["subject"],
        facts=orjson.loads(row["facts"]),
        request_id=row["request_id"],
    )


def _place(cursor: str | None) -> tuple[bool, str] | None:
    if cursor is None:
        return None
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise _not_given()
    return match[1] == "active", match[2]


def _before(cursor: str | None) -> int:
    if cursor is None:
        return _LAST
    digits = cursor.removeprefix(_AUDIT)
    if digits == cursor or not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        raise _not_given()
    return int(digits)


def _not_given() -> Rejected:
    return Rejected("cursor.invalid", "The cursor is not one that this list has given.", 400)
