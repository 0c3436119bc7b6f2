"""Imports: made, sent, looked at, started, ended, taken back, followed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import orjson
from aiohttp import web

from services.archive.domain.importing import ENDED, ImportOptions, ImportState
from services.archive.domain.reading import Place
from services.archive.imports import control
from services.archive.imports.upload import UNKNOWN, Uploads, check_place
from services.archive.operations import imports as operations
from services.archive.payloads.imports import (
    ImportPage,
    ImportQuery,
    NewImport,
    ReportLine,
    ReportPage,
    StartImport,
    UploadPlace,
    Wishes,
)
from services.archive.payloads.page import PageQuery
from services.archive.routes.cursor import Cursors
from services.archive.routes.import_views import view
from services.archive.store import blocks
from services.archive.store import imports as store
from services.archive.store.imports import Import
from shared.bus.outbox import Outbox, Unit
from shared.clock import Clock
from shared.errors import FieldError, Rejected
from shared.http.internal import TIME_ZONE_HEADER, tenant_of
from shared.http.requests import read_body, read_idempotency_key, read_query, validate
from shared.http.responses import json_bytes, json_response
from shared.http.routes import JSON, MIB, ROUTE, Access, Route
from shared.http.uploads import open_upload
from shared.idempotency import once
from shared.ids import TenantId

W = TypeVar("W", bound=Wishes)

LOOK_SECONDS: Final = 0.5
HEARTBEAT_SECONDS: Final = 10.0
LONGEST_SECONDS: Final = 1_800.0
"""A connection ends then, and comes again."""
_WRITE_SECONDS: Final = 10.0
_JSON_BYTES: Final = MIB
_QUIET: Final = ENDED | {ImportState.READY}
"""Nothing more happens by itself."""
Decision = Callable[[Unit, TenantId, str], Awaitable[Import]]


class ImportRoutes:
    """The handlers, with what they need. `wake` tells the worker that there is work."""

    def __init__(self, outbox: Outbox, uploads: Uploads, cursors: Cursors, clock: Clock, wake: Callable[[], None]) -> None:
        self._outbox = outbox
        self._uploads = uploads
        self._pool = uploads.pool
        self._cursors = cursors
        self._clock = clock
        self._wake = wake

    def routes(self) -> Sequence[Route]:
        served = (
            (operations.CREATE, self.create),
            (operations.LIST, self.list),
            (operations.GET, self.get),
            (operations.PLACE, self.place),
            (operations.SEND, self.send),
            (operations.START, self.start),
            (operations.CANCEL, self.cancel),
            (operations.UNDO, self.undo),
            (operations.REPORT, self.report),
            (operations.EVENTS, self.events),
        )
        return [operation.served_by(handler, Access.INTERNAL) for operation, handler in served]

    async def create(self, request: web.Request) -> web.StreamResponse:
        if request.content_type == JSON and "Content-Type" in request.headers:
            return await self._announce(request)
        return await self._take(request)

    async def _announce(self, request: web.Request) -> web.StreamResponse:
        tenant = tenant_of(request)
        if (request.content_length or 0) > _JSON_BYTES:
            raise Rejected("body.too_large", f"The body is over {_JSON_BYTES} bytes.", 413)
        body = await _small_body(request)
        wanted = validate(NewImport, body)
        options = await self._options(tenant, wanted, request)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            made = await self._uploads.begin(unit, tenant, wanted.file_name, wanted.size_bytes, options)
            return 201, self._told(made)

        return _located(await once(self._outbox, request, body, effect))

    async def _take(self, request: web.Request) -> web.StreamResponse:
        tenant, wanted = tenant_of(request), read_query(request, ImportQuery)
        read_idempotency_key(request)  # a malformed one is refused before the file is read
        options = await self._options(tenant, wanted, request)
        upload = await open_upload(request)
        name = upload.file_name if upload.file_name and "file_name" not in wanted.model_fields_set else wanted.file_name
        made = await self._uploads.begin(None, tenant, name[:255], None, options)
        is_taken = False
        try:
            pieces, digest = await self._uploads.stream(made, upload.parts)

            async def effect(unit: Unit) -> tuple[int, bytes]:
                nonlocal is_taken
                is_taken = True
                return 201, self._told(await self._uploads.complete(unit, made, pieces))

            try:
                response = await once(self._outbox, request, digest + options.model_dump_json().encode(), effect)
            except BaseException:
                is_taken = False
                raise
        finally:
            if not is_taken:  # a replay, a fault, or a client that went away: half a file is none
                await asyncio.shield(self._uploads.discard(made))
        self._wake()
        return _located(response)

    async def list(self, request: web.Request) -> web.StreamResponse:
        tenant, query = tenant_of(request), read_query(request, PageQuery)
        scope = "imports", tenant
        before = self._cursors.decode(query.cursor, *scope).id if query.cursor is not None else None
        found = await store.page(self._pool, tenant, before, query.limit + 1)
        page = found[: query.limit]
        more = Place(page[-1].created_at, page[-1].id) if len(found) > query.limit else None
        now = self._clock.now()
        return json_response(ImportPage(data=[view(one, now) for one in page], next_cursor=self._cursors.encode(more, *scope)))

    async def get(self, request: web.Request) -> web.StreamResponse:
        return json_response(view(await self._found(request), self._clock.now()))

    async def place(self, request: web.Request) -> web.StreamResponse:
        found = await self._found(request)
        return json_response(_place(found), headers=_upload_headers(found.received_bytes, found.size_bytes))

    async def send(self, request: web.Request) -> web.StreamResponse:
        tenant, found = tenant_of(request), await self._found(request)
        start, is_last = _offset(request), request.headers.get("Upload-Complete", "?0").strip() == "?1"
        read_idempotency_key(request)
        if request.headers.get("Idempotency-Key") is None:
            check_place(found, start)  # before the part is read
        upload = await open_upload(request)
        written = await self._uploads.write(found, start, upload.parts)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            now = await self._uploads.append(unit, tenant, found.id, start, written, is_last=is_last)
            return 200, json_bytes(_place(now))

        said = f"{start} {is_last}".encode() + (written.digest if written else b"")
        response = await once(self._outbox, request, said, effect)
        assert isinstance(response.body, bytes)
        told = UploadPlace.model_validate_json(response.body)
        response.headers.update(_upload_headers(told.offset, told.size_bytes))
        self._wake()
        return response

    async def start(self, request: web.Request) -> web.StreamResponse:
        tenant, body = tenant_of(request), await read_body(request)
        wanted = validate(StartImport, body) if body.strip() else StartImport()
        wishes = wanted.given()
        if wanted.conversation_id is not None:
            await self._check_conversation(tenant, wanted.conversation_id)
        if wishes.keys() & {"conversation_id", "number_id", "title"}:  # another place than before, not one more
            wishes = {**dict.fromkeys(("conversation_id", "number_id", "contact", "title")), **wishes}

        async def decide(unit: Unit, tenant: TenantId, import_id: str) -> Import:
            return await control.start(unit, tenant, import_id, wishes)

        return await self._decide(request, body, decide)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        return await self._decide(request, await read_body(request, ()), control.cancel)

    async def undo(self, request: web.Request) -> web.StreamResponse:
        return await self._decide(request, await read_body(request, ()), control.undo)

    async def report(self, request: web.Request) -> web.StreamResponse:
        found, query = await self._found(request), read_query(request, PageQuery)
        scope = "import lines", found.tenant_id, found.id
        after = int(self._cursors.decode(query.cursor, *scope).id) if query.cursor is not None else 0
        rows = await store.lines(self._pool, found.import_no, after, query.limit + 1)
        page = rows[: query.limit]
        more = Place(found.created_at, str(page[-1]["place"])) if len(rows) > query.limit else None
        lines = [ReportLine(line=row["line"], reason=row["reason"], text=row["text"]) for row in page]
        return json_response(ReportPage(data=lines, next_cursor=self._cursors.encode(more, *scope)))

    async def events(self, request: web.Request) -> web.StreamResponse:
        found: Import | None = await self._found(request)
        response = web.StreamResponse(headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"})
        response.content_type = operations.EVENT_STREAM
        response.charset = "utf-8"
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        end, silent_since, told = loop.time() + LONGEST_SECONDS, loop.time(), b""
        while found is not None and request.method != "HEAD":
            is_over = found.state in _QUIET
            now = _event("end" if is_over else "progress", json_bytes(view(found, self._clock.now())))
            if now != told:
                await asyncio.wait_for(response.write(now), _WRITE_SECONDS)
                told, silent_since = now, loop.time()
            elif loop.time() - silent_since > HEARTBEAT_SECONDS:
                await asyncio.wait_for(response.write(b": alive\n\n"), _WRITE_SECONDS)
                silent_since = loop.time()
            if is_over or loop.time() > end:
                break
            await asyncio.sleep(LOOK_SECONDS)
            found = await store.find(self._pool, found.tenant_id, found.id)
        return response

    async def _decide(self, request: web.Request, body: bytes, decide: Decision) -> web.StreamResponse:
        tenant, import_id = tenant_of(request), request.match_info["import_id"]

        async def effect(unit: Unit) -> tuple[int, bytes]:
            return 200, self._told(await decide(unit, tenant, import_id))

        response = await once(self._outbox, request, body, effect)
        self._wake()
        return response

    async def _options(self, tenant: TenantId, wanted: NewImport | ImportQuery, request: web.Request) -> ImportOptions:
        """What is wanted, with the tenant's own zone where none is. Raises `Rejected` 422 for a conversation that is not there."""
        if wanted.conversation_id is not None:
            await self._check_conversation(tenant, wanted.conversation_id)
        zone = request.headers.get(TIME_ZONE_HEADER, "UTC")
        return ImportOptions.model_validate({"time_zone": zone, **wanted.given()})

    async def _check_conversation(self, tenant: TenantId, conversation_id: str) -> None:
        if await blocks.conversation(self._pool, tenant, conversation_id) is None:
            detail = "There is no such conversation."
            fault = FieldError("/conversation_id", "conversation.unknown", "is no conversation of yours")
            raise Rejected("conversation.unknown", detail, errors=[fault])

    async def _found(self, request: web.Request) -> Import:
        found = await store.find(self._pool, tenant_of(request), request.match_info["import_id"])
        if found is None:
            raise UNKNOWN
        return found

    def _told(self, found: Import) -> bytes:
        return json_bytes(view(found, self._clock.now()))


async def _small_body(request: web.Request) -> bytes:
    """The route's limit is that of a file; of JSON far less is read."""
    route = request[ROUTE]
    request[ROUTE] = Route(
        route.method, route.path, route.handler, route.summary, route.tag, body_limit_bytes=_JSON_BYTES, access=route.access
    )
    return await read_body(request, (JSON,))


def _located(response: web.Response) -> web.Response:
    assert isinstance(response.body, bytes)
    told: dict[str, Any] = orjson.loads(response.body)
    response.headers["Location"] = f"/api/imports/{told['id']}"
    return response


def _offset(request: web.Request) -> int:
    """Raises `Rejected` 400 where the header is missing or no number."""
    given = request.headers.get("Upload-Offset", "")
    if not (given.isascii() and given.isdigit() and len(given) <= 16):
        raise Rejected("import.offset_missing", "The header `Upload-Offset` names the place of the part's first byte.", 400)
    return int(given)


def _place(found: Import) -> UploadPlace:
    return UploadPlace(offset=found.received_bytes, size_bytes=found.size_bytes, state=found.state)


def _upload_headers(offset: int, size: int | None) -> dict[str, str]:
    length = {"Upload-Length": str(size)} if size is not None else {}
    return {"Upload-Offset": str(offset), "Cache-Control": "no-store", **length}


def _event(kind: str, data: bytes) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"
