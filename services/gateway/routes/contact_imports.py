"""Files of contacts: sent, followed, canceled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import asyncpg
import orjson
from aiohttp import ClientPayloadError, web
from aiohttp.web_protocol import RequestPayloadError

from services.gateway.contact_import import Imports
from services.gateway.payloads.contacts import (
    ContactFile,
    ImportFault,
    ImportFaultPage,
    ImportPage,
    ImportQuery,
    ImportView,
)
from services.gateway.payloads.pages import PageQuery
from services.gateway.routes.contacts import TAG, tenant_of
from services.gateway.routes.cursors import decoded, encoded
from services.gateway.store import contact_imports as store
from shared.bus.outbox import Outbox, Unit
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http.codes import Code
from shared.http.problem import Problem
from shared.http.requests import BODY_SECONDS, read_body, read_idempotency_key, read_query
from shared.http.responses import json_bytes, json_response
from shared.http.routes import MIB, Route
from shared.idempotency import once
from shared.ids import is_id

CSV: Final = "text/csv"
FILE_LIMIT: Final = 64 * MIB
FILE_SECONDS: Final = 900.0
"""Longest time that a file may take to come; a pause may last as long as a whole body elsewhere."""
_ENCODINGS: Final = {
    "": None,
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "iso-8859-1": "latin-1",
    "latin1": "latin-1",
    "windows-1252": "latin-1",
    "cp1252": "latin-1",
}
_ID: Final = "{import_id:imp_[0-9a-v]{26}}"


class ContactImportRoutes:
    """The handlers, with what they need. `wake` tells the job that there is work."""

    def __init__(self, outbox: Outbox, pool: Pool, imports: Imports, wake: Callable[[], None]) -> None:
        self._outbox = outbox
        self._pool = pool
        self._imports = imports
        self._wake = wake

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "POST",
                "/api/contacts/import",
                self.start,
                "Add or change contacts from a CSV file",
                TAG,
                request=ContactFile,
                query=ImportQuery,
                responses={202: ImportView, 409: Problem},
                body_limit_bytes=FILE_LIMIT,
                accepts=(CSV,),
                idempotent=True,
                description="The first row names the columns: `phone`, `user_id`, `username`, `name`, `language`, `time_zone`, "
                "`consent` (`opted_in`, `opted_out`), `consent_scope`, `consent_source`, `consent_at`, `groups` (names between `;` "
                "or `|`: the row becomes a member of each, and a group that is not there is made); any other is an attribute, a "
                "text unless it says `age:number` or `vip:boolean`. Delimiters `,` `;` tab and `|` are told apart, and so are "
                "UTF-8 and Latin-1. Empty cells say nothing. Answered when the whole file is durable; follow it with GET "
                "/api/contacts/imports/{import_id}. Rows act like the items of POST /api/contacts/bulk, in their order.",
                request_examples={"two": "phone,name,consent\n+15551234567,Ana Quispe,opted_in\n+15557654321,Bo Li,\n"},
            ),
            Route(
                "GET",
                "/api/contacts/imports",
                self.list,
                "List imports of contacts, newest first",
                TAG,
                query=PageQuery,
                responses={200: ImportPage},
            ),
            Route(
                "GET",
                f"/api/contacts/imports/{_ID}",
                self.get,
                "How far an import of contacts is",
                TAG,
                responses={200: ImportView, 404: Problem},
            ),
            Route(
                "GET",
                f"/api/contacts/imports/{_ID}/errors",
                self.errors,
                "What was wrong with the lines of a file",
                TAG,
                query=PageQuery,
                responses={200: ImportFaultPage, 404: Problem},
                description="In the order of lines. Every line that was rejected has at least one entry; kept for 30 days.",
            ),
            Route(
                "POST",
                f"/api/contacts/imports/{_ID}/cancel",
                self.cancel,
                "Process no more of a file",
                TAG,
                responses={200: ImportView, 404: Problem, 409: Problem},
                idempotent=True,
                description="What was processed stays.",
            ),
        ]

    async def start(self, request: web.Request) -> web.StreamResponse:
        query, tenant_id = read_query(request, ImportQuery), tenant_of(request)
        encoding = _encoding(request)
        read_idempotency_key(request)  # a malformed one is refused before the file is read
        received = await self._imports.receive(tenant_id, _parts(request), region=query.region, encoding=encoding)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            return 202, json_bytes(_view(await self._imports.start(unit, tenant_id, received)))

        try:
            return await once(self._outbox, request, received.digest, effect)
        finally:
            await self._imports.discard(tenant_id, received)  # of a replay, or where the effect failed
            self._wake()

    async def list(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, PageQuery)
        (before,) = (None,) if query.cursor is None else decoded(query.cursor, str)
        if before is not None and not is_id(before, "imp"):
            raise Rejected("cursor.invalid", "The cursor is not one that this list has given.", 400)
        rows = await store.page(self._pool, tenant_of(request), before=before, limit=query.limit + 1)
        page = rows[: query.limit]
        more = encoded(page[-1]["id"]) if len(rows) > query.limit else None
        return json_response(ImportPage(data=[_view(row) for row in page], next_cursor=more))

    async def get(self, request: web.Request) -> web.StreamResponse:
        row = await store.find(self._pool, tenant_of(request), request.match_info["import_id"])
        if row is None:
            raise _unknown()
        return json_response(_view(row))

    async def errors(self, request: web.Request) -> web.StreamResponse:
        query, import_id = read_query(request, PageQuery), request.match_info["import_id"]
        if await store.find(self._pool, tenant_of(request), import_id) is None:
            raise _unknown()
        line, position = (0, 0) if query.cursor is None else decoded(query.cursor, int, int)
        if abs(position) >= 2**15:
            raise Rejected("cursor.invalid", "The cursor is not one that this list has given.", 400)
        rows = await store.errors(self._pool, import_id, after=(line, position), limit=query.limit + 1)
        page = rows[: query.limit]
        more = encoded(page[-1]["line"], page[-1]["position"]) if len(rows) > query.limit else None
        faults = [ImportFault(line=row["line"], field=row["field"], code=row["code"], detail=row["detail"]) for row in page]
        return json_response(ImportFaultPage(data=faults, next_cursor=more))

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request, ())
        tenant_id, import_id = tenant_of(request), request.match_info["import_id"]

        async def effect(unit: Unit) -> tuple[int, bytes]:
            row = await self._imports.cancel(unit, tenant_id, import_id)
            if row is None:
                raise _unknown()
            return 200, json_bytes(_view(row))

        return await once(self._outbox, request, data, effect)


def _encoding(request: web.Request) -> str | None:
    """What the request says of the file's characters. Raises `Rejected` 415 for what is no CSV, 413 for one announced too large."""
    charset = (request.charset or "").lower()
    encoded_so = request.headers.get("Content-Encoding", "identity") != "identity"
    if request.content_type != CSV or charset not in _ENCODINGS or encoded_so:
        detail = f"Send a file in UTF-8 or Latin-1 with Content-Type {CSV} and without Content-Encoding."
        raise Rejected(Code.MEDIA_TYPE_UNSUPPORTED, detail, 415)
    if (request.content_length or 0) > FILE_LIMIT:
        raise _too_large()
    return _ENCODINGS[charset]


async def _parts(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it comes. Raises `Rejected`: 413 beyond the limit, 408 where it comes too slowly, 400 where it breaks off."""
    size, loop = 0, asyncio.get_running_loop()
    end = loop.time() + FILE_SECONDS
    while True:
        try:
            async with asyncio.timeout_at(min(end, loop.time() + BODY_SECONDS)):
                part = await request.content.readany()
        except TimeoutError:
            raise Rejected(Code.REQUEST_TIMED_OUT, Code.REQUEST_TIMED_OUT.sentence, 408) from None
        except (RequestPayloadError, ClientPayloadError, ConnectionError):
            raise Rejected(Code.REQUEST_INCOMPLETE, Code.REQUEST_INCOMPLETE.sentence, 400) from None
        size += len(part)
        if size > FILE_LIMIT:
            raise _too_large()
        if not part:
            return
        yield part


def _too_large() -> Rejected:
    return Rejected(Code.BODY_TOO_LARGE, f"A file has {FILE_LIMIT} bytes at most; split it.", 413)


def _unknown() -> Rejected:
    return Rejected("import.unknown", "There is no such import.", 404)


def _view(row: asyncpg.Record) -> ImportView:
    numbers = {name: row[name] for name in ("rows", "processed", "created", "updated", "unchanged", "rejected")}
    return ImportView(
        id=row["id"],
        state=row["state"],
        columns=orjson.loads(row["columns"]),
        **numbers,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        finished_at=row["finished_at"],
    )
