"""Payloads that could not be read whole: looked at, read again, thrown away."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any, Final

import asyncpg
import orjson
from aiohttp import web

from services.gateway.payloads.pages import PageQuery
from services.gateway.payloads.webhooks import QuarantinedDetail, QuarantinedPage, QuarantinedView, Replayed, ReplayQuery
from services.gateway.routes.webhooks import TAG
from services.gateway.store import quarantine as store
from shared.bus.outbox import Outbox, Unit
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http.problem import Problem
from shared.http.requests import read_body, read_query
from shared.http.responses import json_bytes, json_response
from shared.http.routes import TENANT_ID, Route
from shared.idempotency import once
from shared.ids import TenantId

PATH: Final = "/api/webhooks/quarantined"
PREFIX: Final = "whk_"
_ID: Final = "{webhook_id:whk_[0-9]{1,18}}"
REPLAYED_AT_ONCE: Final = 1_000
_LAST: Final = 2**63 - 1


class QuarantineRoutes:
    """The handlers, with what they need. `wake_reader` is called when there is something to be read again."""

    def __init__(self, outbox: Outbox, pool: Pool, wake_reader: Callable[[], None]) -> None:
        self._outbox = outbox
        self._pool = pool
        self._wake_reader = wake_reader

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "GET",
                PATH,
                self.list,
                "Updates that could not be read whole",
                TAG,
                query=PageQuery,
                responses={200: QuarantinedPage},
                description="Newest first; kept for 14 days.",
            ),
            Route(
                "GET",
                f"{PATH}/{_ID}",
                self.get,
                "One of them, as it came",
                TAG,
                responses={200: QuarantinedDetail, 404: Problem},
            ),
            Route(
                "POST",
                f"{PATH}/{_ID}/replay",
                self.replay,
                "Read it again",
                TAG,
                responses={202: Replayed, 404: Problem, 409: Problem},
                idempotent=True,
                description="For a version that understands it, or a number that has been connected meanwhile. What was told of it "
                "before is not told again.",
            ),
            Route(
                "POST",
                f"{PATH}/replay",
                self.replay_all,
                "Read all of them again",
                TAG,
                query=ReplayQuery,
                responses={202: Replayed, 409: Problem},
                idempotent=True,
                description=f"{REPLAYED_AT_ONCE:,} of them, the oldest first; the cursor leads past what is not understood again.",
            ),
            Route("DELETE", f"{PATH}/{_ID}", self.delete, "Throw it away", TAG, responses={204: None, 404: Problem}),
        ]

    async def list(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, PageQuery)
        before = _LAST if query.cursor is None else _number_of(query.cursor)
        rows = await store.page(self._pool, TenantId(request[TENANT_ID]), before=before, limit=query.limit + 1)
        page = rows[: query.limit]
        more = _id_of(page[-1]) if len(rows) > query.limit else None
        return json_response(QuarantinedPage(data=[_view(row) for row in page], next_cursor=more))

    async def get(self, request: web.Request) -> web.StreamResponse:
        found = await store.find(self._pool, TenantId(request[TENANT_ID]), _asked_for(request))
        if found is None:
            raise _unknown()
        row, body = found
        return web.Response(body=_detail(_view(row), body), content_type="application/json")

    async def replay(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request, ())

        async def effect(unit: Unit) -> tuple[int, bytes]:
            if not await store.replay(unit.connection, TenantId(request[TENANT_ID]), _asked_for(request)):
                raise _unknown()
            return 202, json_bytes(Replayed(replayed=1))

        answer = await once(self._outbox, request, data, effect)
        self._wake_reader()
        return answer

    async def replay_all(self, request: web.Request) -> web.StreamResponse:
        cursor = read_query(request, ReplayQuery).cursor
        after = 0 if cursor is None else _number_of(cursor)
        data = await read_body(request, ())

        async def effect(unit: Unit) -> tuple[int, bytes]:
            ids = await store.replay_oldest(unit.connection, TenantId(request[TENANT_ID]), after=after, limit=REPLAYED_AT_ONCE)
            more = f"{PREFIX}{max(ids)}" if len(ids) == REPLAYED_AT_ONCE else None
            return 202, json_bytes(Replayed(replayed=len(ids), next_cursor=more))

        answer = await once(self._outbox, request, data, effect)
        self._wake_reader()
        return answer

    async def delete(self, request: web.Request) -> web.StreamResponse:
        if not await store.delete(self._pool, TenantId(request[TENANT_ID]), _asked_for(request)):
            raise _unknown()
        return web.Response(status=204)


def _detail(view: QuarantinedView, body: bytes) -> bytes:
    """With the payload's own bytes where they are JSON: it may be nested deeper than it could be written again."""
    record: dict[str, Any] = view.model_dump(mode="json")
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return orjson.dumps({**record, "body_base64": b64encode(body).decode()})
    return orjson.dumps({**record, "payload": orjson.Fragment(body)})


def _view(row: asyncpg.Record) -> QuarantinedView:
    return QuarantinedView(id=_id_of(row), reason=row["quarantined"], size_bytes=row["length"], received_at=row["received_at"])


def _id_of(row: asyncpg.Record) -> str:
    return f"{PREFIX}{row['id']}"


def _asked_for(request: web.Request) -> int:
    return _number_of(request.match_info["webhook_id"])


def _number_of(text: str) -> int:
    digits = text.removeprefix(PREFIX)
    if text == digits or not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        raise Rejected("cursor.invalid", "The cursor is not one that this list has given.", 400)
    return int(digits)


def _unknown() -> Rejected:
    return Rejected("webhook.unknown", "There is no such payload set aside.", 404)
