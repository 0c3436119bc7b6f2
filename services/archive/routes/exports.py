"""Exports: one conversation at once, or files that are made, followed, read and deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Final
from urllib.parse import quote

import asyncpg
import orjson
import structlog
from aiohttp import web

from services.archive.domain.export import ExportState, Format, Scope, Search
from services.archive.domain.label import fold_label
from services.archive.domain.query import parse
from services.archive.domain.reading import Place
from services.archive.exports.media import Media
from services.archive.exports.work import ExportWorker, opened
from services.archive.exports.write import Tally, file_name, mime_type, write
from services.archive.operations import exports as operations
from services.archive.payloads.exports import ExportPage, ExportPayload, ExportQuery, ExportSearch, NewExport
from services.archive.payloads.page import PageQuery
from services.archive.routes.bookmarks import client_of
from services.archive.routes.cursor import Cursors
from services.archive.store import exports as store
from services.archive.store.search import author_number
from services.archive.tenants import Tenants
from shared.bus.outbox import Outbox, Unit
from shared.clock import Clock
from shared.db.pool import Connection, Pool
from shared.errors import FieldError, Rejected
from shared.http.downloads import WRITE_SECONDS, Download, send
from shared.http.internal import tenant_of
from shared.http.requests import read_body, read_query, validate
from shared.http.responses import json_bytes, json_response
from shared.http.routes import Access, Route
from shared.idempotency import once
from shared.ids import TenantId, new_id
from shared.objects.store import NoObject, ObjectsAway, ObjectStore

log = structlog.get_logger(__name__)

MOST_OPEN: Final = 20
"""Exports of a tenant that are not done."""
STREAMS: Final = 3
"""Conversations written at once by a process: each holds a connection for as long as its reader takes."""
BLOCK_BYTES: Final = 64 * 1024
_NEWEST: Final = "exp_~"


class ExportRoutes:
    """The handlers, with what they need."""

    def __init__(
        self,
        pool: Pool,
        outbox: Outbox,
        tenants: Tenants,
        cursors: Cursors,
        objects: ObjectStore,
        worker: ExportWorker,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._outbox = outbox
        self._tenants = tenants
        self._cursors = cursors
        self._objects = objects
        self._worker = worker
        self._clock = clock
        self._streams = asyncio.Semaphore(STREAMS)

    def routes(self) -> Sequence[Route]:
        return (
            operations.STREAM_CONVERSATION.served_by(self.stream, Access.INTERNAL),
            operations.CREATE_EXPORT.served_by(self.create, Access.INTERNAL),
            operations.LIST_EXPORTS.served_by(self.list, Access.INTERNAL),
            operations.GET_EXPORT.served_by(self.get, Access.INTERNAL),
            operations.CANCEL_EXPORT.served_by(self.cancel, Access.INTERNAL),
            operations.DELETE_EXPORT.served_by(self.delete, Access.INTERNAL),
            operations.READ_EXPORT.served_by(self.read, Access.INTERNAL),
        )

    async def stream(self, request: web.Request) -> web.StreamResponse:
        tenant, query = tenant_of(request), read_query(request, ExportQuery)
        conversation_id = request.match_info["conversation_id"]
        await _check_conversation(self._pool, tenant, conversation_id)
        if self._streams.locked():
            raise Rejected("export.busy", "Many conversations are being written; try again.", 503, retry_after_seconds=2)
        form, scope, tally = query.format, _scope(query, conversation_id=conversation_id), Tally()
        moment = self._clock.now()
        async with self._streams, opened(self._pool, self._tenants, tenant, scope) as source:
            name = file_name(form, scope, await source.title(), moment)
            response = web.StreamResponse(headers=_file_headers(name))
            response.headers["Content-Type"] = mime_type(form, scope)
            await response.prepare(request)
            if request.method == "HEAD":
                return response
            async with aclosing(write(form, scope, source, Media(self._objects, tenant), tally, moment)) as parts:
                async for block in _blocks(parts):
                    await asyncio.wait_for(response.write(block), WRITE_SECONDS)
            await response.write_eof()
        log.info("export.streamed", format=form.value, entries=tally.entries, size_bytes=tally.size_bytes)
        return response

    async def create(self, request: web.Request) -> web.StreamResponse:
        body, tenant = await read_body(request), tenant_of(request)
        asked = validate(NewExport, body)
        search = None if asked.search is None else _search(asked.search)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            for conversation_id in (asked.conversation_id, None if search is None else search.conversation_id):
                if conversation_id is not None:
                    await _check_conversation(unit.connection, tenant, conversation_id)
            if search is not None and search.participant_id is not None:
                await self._check_participant(unit.connection, tenant, search)
            row = await store.create(
                unit.connection,
                new_id("exp"),
                tenant,
                client_of(request),
                asked.format.value,
                _scope(asked, conversation_id=asked.conversation_id, search=search).stored(),
                most_open=MOST_OPEN,
            )
            if row is None:
                detail = f"{MOST_OPEN} exports are not done yet; wait for one of them, or cancel it."
                raise Rejected("export.too_many", detail, 429, retry_after_seconds=30)
            return 202, json_bytes(_payload(row))

        response = await once(self._outbox, request, body, effect)
        self._worker.wake()
        return response

    async def _check_participant(self, connection: Connection, tenant: TenantId, search: Search) -> None:
        tenant_no = await self._tenants.known(tenant)
        if tenant_no is None or await author_number(connection, tenant_no, search.participant_id or "") is None:
            raise Rejected("participant.unknown", "No such participant.", status=404)

    async def list(self, request: web.Request) -> web.StreamResponse:
        tenant, query = tenant_of(request), read_query(request, PageQuery)
        scope = "exports", tenant
        before = _NEWEST if query.cursor is None else self._cursors.decode(query.cursor, *scope).id
        rows = await store.page(self._pool, tenant, before, query.limit + 1)
        page = rows[: query.limit]
        more = Place(page[-1]["created_at"], page[-1]["id"]) if len(rows) > query.limit else None
        return json_response(ExportPage(data=[_payload(row) for row in page], next_cursor=self._cursors.encode(more, *scope)))

    async def get(self, request: web.Request) -> web.StreamResponse:
        return json_response(
            _payload(_known(await store.find(self._pool, tenant_of(request), request.match_info["export_id"])))
        )

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        body, tenant = await read_body(request, ()), tenant_of(request)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            row = _known(await store.cancel(unit.connection, tenant, request.match_info["export_id"]))
            if row["state"] != ExportState.CANCELED:
                raise Rejected("export.ended", f"The export is {row['state']}; it can be deleted.", 409)
            return 200, json_bytes(_payload(row))

        return await once(self._outbox, request, body, effect)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        if not await store.delete(self._pool, tenant_of(request), request.match_info["export_id"]):
            raise _unknown()
        return web.Response(status=204)

    async def read(self, request: web.Request) -> web.StreamResponse:
        row = _known(await store.find(self._pool, tenant_of(request), request.match_info["export_id"]))
        if row["state"] == ExportState.EXPIRED or (row["expires_at"] is not None and row["expires_at"] <= self._clock.now()):
            raise _gone()
        if row["state"] != ExportState.COMPLETED:
            raise Rejected("export.not_completed", f"The export is {row['state']}.", 409)

        async def parts(start: int, end: int) -> AsyncIterator[bytes]:
            # No range of an empty file can be asked for.
            return await self._objects.get(row["object_key"], start, end if row["size_bytes"] else None)

        file = Download(row["mime_type"], row["size_bytes"], row["sha256"], row["file_name"], parts)
        try:
            return await send(request, file, cache_seconds=0)
        except NoObject:
            raise _gone() from None
        except ObjectsAway:
            raise Rejected(
                "objects.unavailable", "The file cannot be read now; try again.", 503, retry_after_seconds=1
            ) from None


async def _blocks(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Blocks that are worth a write."""
    waiting = bytearray()
    async for part in parts:
        waiting += part
        if len(waiting) >= BLOCK_BYTES:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


async def _check_conversation(connection: Connection | Pool, tenant: TenantId, conversation_id: str) -> None:
    if await store.conversation(connection, tenant, conversation_id) is None:
        raise Rejected("conversation.unknown", "No such conversation.", status=404)


def _scope(asked: ExportQuery | NewExport, *, conversation_id: str | None, search: Search | None = None) -> Scope:
    return Scope(
        conversation_id=conversation_id,
        search=search,
        since=asked.since,
        until=asked.until,
        time_zone=asked.time_zone,
        with_media=asked.with_media,
        hide_names=asked.hide_names,
        me=asked.me,
    )


def _search(asked: ExportSearch) -> Search:
    """Raises `Rejected` 422 for a question without a word, or a label that cannot be one."""
    if asked.q is not None and parse(asked.q).is_empty:
        raise _fault("/search/q", "search.no_term", "has no word that must occur, with a letter, a digit or an emoji")
    label = None if asked.label is None else fold_label(asked.label)
    if asked.label is not None and label is None:
        raise _fault("/search/label", "label.invalid", "cannot be a label")
    return Search(asked.q, asked.conversation_id, asked.direction, asked.type, asked.has_media, label, asked.participant_id)


def _fault(pointer: str, code: str, detail: str) -> Rejected:
    return Rejected("request.invalid", f"{pointer} {detail}.", 422, errors=(FieldError(pointer, code, detail),))


def _payload(row: asyncpg.Record) -> ExportPayload:
    scope, state = Scope.read(orjson.loads(row["scope"])), ExportState(row["state"])
    is_completed = state is ExportState.COMPLETED
    search = None
    if scope.search is not None:
        search = ExportSearch(**{name: getattr(scope.search, name) for name in Search.__slots__})
    return ExportPayload(
        id=row["id"],
        state=state,
        format=Format(row["format"]),
        conversation_id=scope.conversation_id,
        search=search,
        everything=True if scope.conversation_id is None and scope.search is None else None,
        since=scope.since,
        until=scope.until,
        time_zone=scope.time_zone,
        with_media=scope.with_media,
        hide_names=scope.hide_names,
        me=scope.me,
        entries=row["entries"],
        media=row["media"],
        media_missing=row["media_missing"],
        size_bytes=row["size_bytes"],
        file_name=row["file_name"] if is_completed else None,
        mime_type=row["mime_type"] if is_completed else None,
        sha256=row["sha256"] if is_completed else None,
        error_code=row["error_code"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        expires_at=row["expires_at"],
    )


def _known(row: asyncpg.Record | None) -> asyncpg.Record:
    if row is None:
        raise _unknown()
    return row


def _unknown() -> Rejected:
    return Rejected("export.unknown", "No such export.", status=404)


def _gone() -> Rejected:
    return Rejected("export.expired", "The file's time is over; make the export again.", 410)


def _file_headers(name: str) -> dict[str, str]:
    plain = "".join(c if c.isascii() and (c.isalnum() or c in " ._-()") else "_" for c in name)
    return {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
