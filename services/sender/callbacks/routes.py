"""/api/callbacks."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import orjson
from aiohttp import web

from services.sender.callbacks import trial
from services.sender.callbacks.circuits import Circuits
from services.sender.callbacks.crew import Crew
from services.sender.callbacks.endpoints import Asker, Endpoints, resting_until, unknown, view
from services.sender.callbacks.keys import Keys
from services.sender.callbacks.post import Poster
from services.sender.domain.callback import CallbackState
from services.sender.payloads.callbacks import (
    REPLAY_LIMIT,
    CallbackMade,
    CallbackPage,
    CallbackQuery,
    CallbackView,
    ChangeCallback,
    CreateCallback,
    DeliveryDetail,
    DeliveryPage,
    DeliveryQuery,
    DeliveryView,
    Replay,
    Replayed,
    RotateSecret,
    TestResult,
)
from services.sender.store import callback_deliveries as deliveries
from services.sender.store import callbacks as store
from services.sender.store.callback_deliveries import Place, Span
from shared.bus.outbox import Outbox, Unit
from shared.clock import Clock
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http.internal import tenant_of
from shared.http.problem import Problem
from shared.http.requests import read_body, read_query, validate
from shared.http.responses import json_bytes, json_response
from shared.http.routes import MIB, Access, Handler, Route
from shared.idempotency import is_answered, once
from shared.ids import TenantId, is_id

TAG: Final = "Callbacks"
ALL: Final = "/api/callbacks"
ONE: Final = "/api/callbacks/{callback_id:cbk_[0-9a-v]{26}}"
DELIVERY: Final = f"{ONE}/deliveries/{{delivery_id:dlv_[0-9a-v]{{26}}}}"
_LATEST: Final = "~"
"""Sorts after every id."""
_LATER: Final = timedelta(days=1)
"""Ahead of any clock in the database's row."""


class CallbackRoutes:
    """The handlers, with what they need."""

    def __init__(
        self,
        outbox: Outbox,
        pool: Pool,
        endpoints: Endpoints,
        keys: Keys,
        poster: Poster,
        clock: Clock,
        crew: Crew,
        circuits: Circuits,
    ) -> None:
        self._outbox = outbox
        self._pool = pool
        self._endpoints = endpoints
        self._keys = keys
        self._poster = poster
        self._clock = clock
        self._crew = crew
        self._circuits = circuits

    def routes(self) -> Sequence[Route]:
        return [
            _writing("POST", ALL, self.create, "Tell me what happens", CallbackMade, CreateCallback, 201),
            _reading(ALL, self.list, "List callbacks, newest first", CallbackPage, CallbackQuery),
            _reading(ONE, self.get, "One callback", CallbackView),
            _writing("PATCH", ONE, self.change, "Change a callback, turn it on or off", CallbackView, ChangeCallback),
            _writing("DELETE", ONE, self.delete, "Delete a callback with its log", None, None, 204),
            _writing("POST", f"{ONE}/secret", self.rotate, "A new secret", CallbackMade, RotateSecret, is_body_optional=True),
            _writing("POST", f"{ONE}/test", self.test, "Post a made-up update now", TestResult),
            _writing("POST", f"{ONE}/replay", self.replay, "Deliver again what was told in a time", Replayed, Replay),
            _reading(f"{ONE}/deliveries", self.deliveries, "The log, newest first", DeliveryPage, DeliveryQuery),
            _reading(DELIVERY, self.delivery, "One delivery, with its attempts and body", DeliveryDetail),
            _writing("POST", f"{DELIVERY}/retry", self.retry, "Deliver it again now", DeliveryView, None, 200),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body, asker = validate(CreateCallback, data), self._asker(request)
        if not await is_answered(self._pool, request):
            await self._endpoints.meet_new(body)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            return 201, json_bytes(await self._endpoints.create(unit, asker, body))

        return self._revealed(await once(self._outbox, request, data, effect), asker.tenant_id)

    async def change(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body, asker = validate(ChangeCallback, data), self._asker(request)
        met = None
        if not await is_answered(self._pool, request):
            met = await self._endpoints.meet_changed(await self._row(request), body)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            return 200, json_bytes(await self._endpoints.change(unit, asker, request.match_info["callback_id"], body, met))

        response = await once(self._outbox, request, data, effect)
        if body.url is not None or body.enabled:  # how the former one fared says nothing of it
            await self._circuits.release(request.match_info["callback_id"])
        return response

    async def rotate(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body, asker = validate(RotateSecret, data.strip() or b"{}"), self._asker(request)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            return 200, json_bytes(await self._endpoints.rotate(unit, asker, request.match_info["callback_id"], body))

        return self._revealed(await once(self._outbox, request, data, effect), asker.tenant_id)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        async with self._outbox.transaction() as unit:
            await self._endpoints.delete(unit, self._asker(request), request.match_info["callback_id"])
        return web.Response(status=204)

    async def test(self, request: web.Request) -> web.StreamResponse:
        row, now = await self._row(request), self._clock.now()
        if await is_answered(self._pool, request):
            return await once(self._outbox, request, b"", _never)
        told, reply = await trial.try_out(self._keys, self._poster, row, now)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            return 200, json_bytes(await trial.keep(unit, told, reply, now))

        response = await once(self._outbox, request, b"", effect)
        if reply.is_success:
            await self._crew.release(row["id"])
        return response

    async def replay(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(Replay, data)
        after = (body.since, "") if body.cursor is None else _decoded_place(body.cursor)
        row = await self._row(request)
        span = Span(row["id"], body.since, body.until or self._clock.now() + _LATER, body.types)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            await self._on(unit, request)
            places = await deliveries.replay(unit.connection, span, after=after, states=body.states, limit=REPLAY_LIMIT)
            more = {"next_cursor": _encoded(*places[-1])} if len(places) == REPLAY_LIMIT else {}
            return 200, json_bytes({"replayed": len(places), **more})

        response = await once(self._outbox, request, data, effect)
        self._crew.wake([row["id"]])
        return response

    async def retry(self, request: web.Request) -> web.StreamResponse:
        _, row = await self._delivery_rows(request)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            callback = await self._on(unit, request)
            if not await deliveries.retry(unit.connection, callback["id"], row["id"]):
                raise Rejected("delivery.under_way", "It is just being posted.", 409, retry_after_seconds=1)
            again = {"state": "waiting", "due_at": self._clock.now(), "code": None, "ended_at": None}
            return 200, json_bytes(delivery_view({**row, **again}))

        response = await once(self._outbox, request, b"", effect)
        self._crew.post_now(row["callback_id"], row["id"])
        return response

    async def list(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, CallbackQuery)
        before = _LATEST if query.cursor is None else _decoded(query.cursor, 1)[0]
        rows = await store.listed(self._pool, tenant_of(request), before=before, limit=query.limit + 1)
        shown = rows[: query.limit]
        more = {"next_cursor": _encoded(shown[-1]["id"])} if len(rows) > query.limit else {}
        rests = await self._rests(*shown)
        return json_response({"data": [view(row, rest) for row, rest in zip(shown, rests, strict=True)], **more})

    async def get(self, request: web.Request) -> web.StreamResponse:
        row = await self._row(request)
        (rest,) = await self._rests(row)
        return json_response(view(row, rest))

    async def deliveries(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, DeliveryQuery)
        before = (self._clock.now() + _LATER, _LATEST) if query.cursor is None else _decoded_place(query.cursor)
        row = await self._row(request)
        rows = await deliveries.listed(
            self._pool,
            Span(row["id"], query.since, query.until),
            before=before,
            state=query.state,
            kind=query.type,
            limit=query.limit + 1,
        )
        shown = rows[: query.limit]
        more = {"next_cursor": _encoded(shown[-1]["created_at"], shown[-1]["id"])} if len(rows) > query.limit else {}
        (rest,) = await self._rests(row)
        return json_response({"data": [delivery_view(one, rest) for one in shown], **more})

    async def delivery(self, request: web.Request) -> web.StreamResponse:
        callback, row = await self._delivery_rows(request)
        (rest,) = await self._rests(callback)
        tries = [_in_utc(one) for one in orjson.loads(row["tries"])]
        return json_response({**delivery_view(row, rest), "tries": tries, "body": row["body"].decode()})

    async def _rests(self, *rows: asyncpg.Record) -> Sequence[datetime | None]:
        """Until when each of these callbacks rests, whichever process has found out that it must."""
        await self._circuits.learn([row["id"] for row in rows if row["failing_since"] is not None])
        now = self._clock.now()
        return [resting_until(row, now, self._circuits.wait(row["id"])) for row in rows]

    async def _row(self, request: web.Request) -> asyncpg.Record:
        row = await store.find(self._pool, tenant_of(request), request.match_info["callback_id"])
        if row is None:
            raise unknown()
        return row

    async def _delivery_rows(self, request: web.Request) -> tuple[asyncpg.Record, asyncpg.Record]:
        """Of the callback and of its delivery."""
        callback = await self._row(request)
        row = await deliveries.find(self._pool, callback["id"], request.match_info["delivery_id"])
        if row is None:
            raise Rejected("delivery.unknown", "There is no such delivery; they are kept for 7 or 30 days.", 404)
        return callback, row

    async def _on(self, unit: Unit, request: web.Request) -> asyncpg.Record:
        """The callback, which stays on until the transaction ends. Raises `Rejected` where it is not."""
        row = await store.lock(unit.connection, tenant_of(request), request.match_info["callback_id"])
        if row is None:
            raise unknown()
        if row["state"] != CallbackState.ENABLED:
            raise Rejected("callback.disabled", "It is disabled; enable it first.", 409)
        return row

    def _revealed(self, response: web.Response, tenant_id: TenantId) -> web.Response:
        """The secret in the answer, which is kept for replays as it is sealed."""
        assert isinstance(response.body, bytes)
        answer = orjson.loads(response.body)
        response.body = orjson.dumps({**answer, "secret": self._keys.open(tenant_id, answer["id"], answer["secret"])})
        return response

    def _asker(self, request: web.Request) -> Asker:
        return Asker(tenant_of(request), self._clock.now())


async def _never(_: Unit) -> tuple[int, bytes]:
    """What was answered already is done by nobody; a key that is forgotten this very moment is a new one at the next try."""
    raise Rejected("idempotency.in_flight", "Try again.", 409, retry_after_seconds=1)


def _writing(
    method: str,
    path: str,
    handler: Handler,
    summary: str,
    answer: type[Any] | None,
    body: type[Any] | None = None,
    status: int = 200,
    *,
    is_body_optional: bool = False,
) -> Route:
    return Route(
        method,
        path,
        handler,
        summary,
        TAG,
        request=body,
        responses={status: answer, 404: Problem, 409: Problem},
        access=Access.INTERNAL,
        body_limit_bytes=MIB,
        is_body_optional=is_body_optional,
        idempotent=method != "DELETE",
    )


def _reading(path: str, handler: Handler, summary: str, answer: type[Any], query: type[Any] | None = None) -> Route:
    return Route("GET", path, handler, summary, TAG, query=query, responses={200: answer, 404: Problem}, access=Access.INTERNAL)


def delivery_view(row: asyncpg.Record | Mapping[str, Any], rest: datetime | None = None) -> dict[str, Any]:
    """A `DeliveryView`; `rest`: until when its callback rests."""
    kept = ("id", "update_id", "type", "number_id", "occurred_at", "state", "code", "failures", "created_at", "ended_at")
    shown = {name: row[name] for name in kept if row[name] is not None}
    if row["state"] == "waiting":
        shown["next_attempt_at"] = row["due_at"] if rest is None else max(row["due_at"], rest)
    return shown | ({} if row["last"] is None else {"last": _in_utc(orjson.loads(row["last"]))})


def _in_utc(attempt: dict[str, Any]) -> dict[str, Any]:
    """As all times are written; in the table some are otherwise."""
    return {**attempt, "at": attempt["at"].replace("+00:00", "Z")}


def _encoded(*key: str | datetime) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(key)).decode().rstrip("=")


def _decoded(cursor: str, parts: int) -> list[str]:
    """Raises `Rejected` 400 for a text that `_encoded` has not made. Its last part is an id."""
    try:
        key = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        key = None
    if (
        not isinstance(key, list)
        or len(key) != parts
        or not all(isinstance(part, str) for part in key)
        or not (is_id(key[-1], "cbk") or is_id(key[-1], "dlv"))
    ):
        raise _bad_cursor()
    return key


def _decoded_place(cursor: str) -> Place:
    moment, one = _decoded(cursor, 2)
    try:
        return datetime.fromisoformat(moment).astimezone(UTC), one
    except (ValueError, OverflowError):
        raise _bad_cursor() from None


def _bad_cursor() -> Rejected:
    return Rejected("cursor.invalid", "The cursor is not one that this list has given.", 400)
