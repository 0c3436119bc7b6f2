"""Bookmarks, and what they share with labels: who asks, and entries in brief."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import asyncpg
import orjson
from aiohttp import web

from services.archive.cache import Changes
from services.archive.domain.content import body_of
from services.archive.domain.entry import Direction, preview_of
from services.archive.domain.reading import REVOKED_TYPE, Place
from services.archive.operations import bookmarks as operations
from services.archive.payloads.marks import BookmarkNote, BookmarkPage, BookmarkPayload, BookmarkQuery, EntryBrief
from services.archive.routes.cursor import Cursors
from services.archive.store import marks as store
from services.archive.tenants import Tenants
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http.internal import CLIENT_HEADER, tenant_of
from shared.http.requests import read_body, read_query, validate
from shared.http.responses import json_response
from shared.http.routes import Access, Route
from shared.ids import new_id

_CLIENT: Final = re.compile("[0-9A-Za-z_-]{1,64}")


def routes(pool: Pool, tenants: Tenants, cursors: Cursors, changes: Changes) -> Sequence[Route]:
    """Bookmarks."""

    async def put_bookmark(request: web.Request) -> web.StreamResponse:
        body = await read_body(request)
        note = validate(BookmarkNote, body).note if body else ""
        row = await store.put(pool, new_id("bmk"), tenant_of(request), request.match_info["entry_id"], note, client_of(request))
        if row is None:
            raise unknown_entry()
        await changes.changed([row["conversation_id"]])
        return json_response(_bookmark(row), status=201 if row["is_new"] else 200)

    async def get_bookmark(request: web.Request) -> web.StreamResponse:
        row = await store.find(pool, tenant_of(request), request.match_info["entry_id"])
        if row is None:
            raise _unknown()
        return json_response(_bookmark(row))

    async def delete_bookmark(request: web.Request) -> web.StreamResponse:
        conversation_id = await store.delete(pool, tenant_of(request), request.match_info["entry_id"])
        if conversation_id is None:
            raise _unknown()
        await changes.changed([conversation_id])
        return web.Response(status=204)

    async def list_bookmarks(request: web.Request) -> web.StreamResponse:
        tenant, query = tenant_of(request), read_query(request, BookmarkQuery)
        scope = "bookmarks", tenant, query.conversation_id or ""
        after = cursors.decode(query.cursor, *scope)
        tenant_no = await tenants.known(tenant)
        if tenant_no is None:
            return json_response(BookmarkPage(data=[]))
        rows = await store.page(pool, tenant_no, after, query.limit + 1, query.conversation_id)
        page = rows[: query.limit]
        more = Place(page[-1]["created_at"], page[-1]["id"]) if len(rows) > query.limit else None
        data = [_bookmark(row).model_copy(update={"entry": brief(row)}) for row in page]
        return json_response(BookmarkPage(data=data, next_cursor=cursors.encode(more, *scope)))

    return (
        operations.LIST_BOOKMARKS.served_by(list_bookmarks, Access.INTERNAL),
        operations.PUT_BOOKMARK.served_by(put_bookmark, Access.INTERNAL),
        operations.GET_BOOKMARK.served_by(get_bookmark, Access.INTERNAL),
        operations.DELETE_BOOKMARK.served_by(delete_bookmark, Access.INTERNAL),
    )


def client_of(request: web.Request) -> str | None:
    """The API key that was shown to the gateway."""
    client = request.headers.get(CLIENT_HEADER, "")
    return client if _CLIENT.fullmatch(client) else None


def brief(row: asyncpg.Record) -> EntryBrief:
    """An entry with its `content`."""
    is_revoked = row["revoked_at"] is not None
    return EntryBrief(
        id=row["entry_id"],
        conversation_id=row["conversation_id"],
        direction=Direction(row["direction"]),
        type=REVOKED_TYPE if is_revoked else row["type"],
        preview="" if is_revoked else preview_of(body_of(orjson.loads(row["content"]))),
        sent_at=row["sent_at"],
    )


def unknown_entry() -> Rejected:
    return Rejected("entry.unknown", "No such entry.", status=404)


def _unknown() -> Rejected:
    return Rejected("bookmark.unknown", "The entry has no bookmark.", status=404)


def _bookmark(row: asyncpg.Record) -> BookmarkPayload:
    return BookmarkPayload(
        id=row["id"],
        entry_id=row["entry_id"],
        conversation_id=row["conversation_id"],
        sent_at=row["sent_at"],
        note=row["note"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
