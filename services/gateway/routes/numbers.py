"""Business numbers: connect, change, pause, resume, look. Secrets go in and never come out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg
from aiohttp import web

from services.gateway.connections import Connections
from services.gateway.numbers import NumberDirectory
from services.gateway.payloads.numbers import (
    ChangeNumber,
    ConnectNumber,
    Health,
    NumberPage,
    NumberStatus,
    NumberView,
    Pause,
    PauseNumber,
)
from services.gateway.payloads.pages import PageQuery
from services.gateway.store import news
from services.gateway.store import numbers as store
from shared.bus.outbox import Outbox, Unit
from shared.db.pool import Connection, Pool
from shared.errors import Rejected
from shared.events.values import Profile, Provider, WindowPolicy
from shared.http.problem import Problem
from shared.http.requests import read_body, read_query, validate
from shared.http.responses import json_bytes, json_response
from shared.http.routes import TENANT_ID, Route
from shared.idempotency import once
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
                description="With the Cloud API, point the number's webhook at /api/webhooks/whatsapp, or at "
                "/api/webhooks/whatsapp/{its id}, with the same verify token. "
                "Twilio is told with each message where to report: at `callback_url`.",
                request_examples={
                    "cloud_api": {
                        "phone_number_id": "106540352242922",
                        "waba_id": "102290129340398",
                        "display_number": "+15550783881",
                        "access_token": "your-access-token",
                        "app_secret": "your-app-secret",
                        "verify_token": "your-verify-token",
                    },
                    "twilio": {
                        "provider": "twilio",
                        "account_id": "AC00000000000000000000000000000000",
                        "display_number": "+15550783881",
                        "access_token": "the account's auth token",
                    },
                },
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
            Route(
                "POST",
                f"/api/numbers/{_ID}/pause",
                self.pause,
                "Send nothing from a number",
                TAG,
                request=PauseNumber,
                responses={200: NumberView, 404: Problem, 409: Problem},
                idempotent=True,
                description="Its messages wait; what comes in is taken. The body may be left out. Pausing twice is fine.",
            ),
            Route(
                "POST",
                f"/api/numbers/{_ID}/resume",
                self.resume,
                "Send from a number again",
                TAG,
                responses={200: NumberView, 404: Problem, 409: Problem},
                idempotent=True,
                description="Whoever paused it: its tenant, or the provider by an answer. Resuming twice is fine.",
            ),
        ]

    async def connect(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(ConnectNumber, data)
        tenant_id = TenantId(request[TENANT_ID])

        async def effect(unit: Unit) -> tuple[int, bytes]:
            row = await self._connections.connect(unit, tenant_id, body)
            self._directory.forget(tenant_id, row["phone_number_id"])
            return 201, json_bytes(await self._shown(unit.connection, row))

        return await once(self._outbox, request, data, effect)

    async def change(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(ChangeNumber, data)
        tenant_id = TenantId(request[TENANT_ID])

        async def effect(unit: Unit) -> tuple[int, bytes]:
            row = await self._connections.change(unit, tenant_id, request.match_info["number_id"], body)
            self._directory.forget(tenant_id, row["phone_number_id"])
            return 200, json_bytes(await self._shown(unit.connection, row))

        return await once(self._outbox, request, data, effect)

    async def pause(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(PauseNumber, data) if data.strip() else PauseNumber()

        async def effect(unit: Unit) -> tuple[int, bytes]:
            row = await self._connections.pause(
                unit, TenantId(request[TENANT_ID]), request.match_info["number_id"], body.reason
            )
            return 200, json_bytes(await self._shown(unit.connection, row))

        return await once(self._outbox, request, data, effect)

    async def resume(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request, ())

        async def effect(unit: Unit) -> tuple[int, bytes]:
            row = await self._connections.resume(unit, TenantId(request[TENANT_ID]), request.match_info["number_id"])
            return 200, json_bytes(await self._shown(unit.connection, row))

        return await once(self._outbox, request, data, effect)

    async def list(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, PageQuery)
        if query.cursor is not None and not is_id(query.cursor, "num"):
            raise Rejected("cursor.invalid", "The cursor is not one that this list has given.", 400)
        rows = await store.page(self._pool, TenantId(request[TENANT_ID]), after=query.cursor, limit=query.limit + 1)
        page = rows[: query.limit]
        more = page[-1]["id"] if len(rows) > query.limit else None
        views = await self._views(self._pool, TenantId(request[TENANT_ID]), page)
        return json_response(NumberPage(data=[*views], next_cursor=more))

    async def get(self, request: web.Request) -> web.StreamResponse:
        row = await store.find(self._pool, TenantId(request[TENANT_ID]), request.match_info["number_id"])
        if row is None:
            raise Rejected("number.unknown", "There is no such number.", 404)
        return json_response(await self._shown(self._pool, row))

    async def _shown(self, connection: Connection | Pool, row: asyncpg.Record) -> NumberView:
        return (await self._views(connection, TenantId(row["tenant_id"]), [row]))[0]

    async def _views(
        self, connection: Connection | Pool, tenant_id: TenantId, rows: Sequence[asyncpg.Record]
    ) -> Sequence[NumberView]:
        words: dict[str, list[asyncpg.Record]] = {}
        for word in await news.health(connection, tenant_id, [row["id"] for row in rows]):
            words.setdefault(word["number_id"], []).append(word)
        return [self._view(row, words.get(row["id"], [])) for row in rows]

    def _view(self, row: asyncpg.Record, words: Sequence[asyncpg.Record]) -> NumberView:
        is_twilio = row["provider"] == Provider.TWILIO
        code = row["paused_code"]
        return NumberView(
            id=row["id"],
            provider=Provider(row["provider"]),
            phone_number_id=row["phone_number_id"],
            waba_id=None if is_twilio else row["waba_id"],
            account_id=row["waba_id"] if is_twilio else None,
            display_number=row["display_number"],
            provider_url=row["provider_url"],
            callback_url=self._connections.callback_url(row),
            messages_per_second=row["messages_per_second"],
            profile=Profile(row["profile"]),
            calls_per_hour=row["calls_per_hour"],
            portfolio_id=row["portfolio_id"],
            unique_users_per_day=row["unique_users_per_day"],
            window_policy=WindowPolicy(row["window_policy"]),
            previous_app_secret_until=self._connections.previous_secret_until(row),
            status=NumberStatus(row["status"]),
            paused=None if code is None else Pause(code=code, detail=row["paused_detail"], at=row["paused_at"]),
            health=_health(words),
            created_at=row["created_at"],
        )


def _health(words: Sequence[asyncpg.Record]) -> Health | None:
    said = {word["aspect"]: word["value"] for word in words}
    return Health(**said, told_at=max(word["told_at"] for word in words)) if words else None
