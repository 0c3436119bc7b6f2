"""GET /api/conversations, one of them, and its entries."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from services.archive.domain.reading import ArchivedEntry, Conversation
from services.archive.payloads import (
    Contact,
    ConversationPage,
    ConversationPayload,
    EntryError,
    EntryMedia,
    EntryPage,
    EntryPayload,
    LastEntry,
    PageQuery,
)
from services.archive.routes.cursor import Cursors
from services.archive.store import read
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http.internal import tenant_of
from shared.http.problem import Problem
from shared.http.requests import read_query
from shared.http.responses import json_response
from shared.http.routes import Access, Route


def routes(pool: Pool, cursors: Cursors) -> Sequence[Route]:
    """The reading of conversations."""

    async def list_conversations(request: web.Request) -> web.StreamResponse:
        tenant, query = tenant_of(request), read_query(request, PageQuery)
        scope = "conversations", tenant
        rows = await read.conversations(pool, tenant, cursors.decode(query.cursor, *scope), query.limit + 1)
        page = rows[: query.limit]
        more = page[-1].place if len(rows) > query.limit else None
        return json_response(
            ConversationPage(data=[_conversation(row) for row in page], next_cursor=cursors.encode(more, *scope))
        )

    async def get_conversation(request: web.Request) -> web.StreamResponse:
        row = await read.conversation(pool, tenant_of(request), request.match_info["conversation_id"])
        return json_response(_conversation(_known(row)))

    async def list_entries(request: web.Request) -> web.StreamResponse:
        tenant, query = tenant_of(request), read_query(request, PageQuery)
        conversation = _known(await read.conversation(pool, tenant, request.match_info["conversation_id"]))
        scope = "entries", tenant, conversation.id
        after = cursors.decode(query.cursor, *scope)
        rows = await read.entries(pool, tenant, conversation.id, after, query.limit + 1)
        page = rows[: query.limit]
        more = page[-1].place if len(rows) > query.limit else None
        return json_response(EntryPage(data=[_entry(row) for row in page], next_cursor=cursors.encode(more, *scope)))

    one = "/api/conversations/{conversation_id:cnv_[0-9a-v]{26}}"
    return (
        Route(
            "GET",
            "/api/conversations",
            list_conversations,
            "List conversations",
            "conversations",
            query=PageQuery,
            responses={200: ConversationPage, 400: Problem},
            access=Access.INTERNAL,
            description="The one with the newest entry first.",
        ),
        Route(
            "GET",
            one,
            get_conversation,
            "Read a conversation",
            "conversations",
            responses={200: ConversationPayload, 404: Problem},
            access=Access.INTERNAL,
        ),
        Route(
            "GET",
            f"{one}/entries",
            list_entries,
            "List the entries of a conversation",
            "conversations",
            query=PageQuery,
            responses={200: EntryPage, 400: Problem, 404: Problem},
            access=Access.INTERNAL,
            description="Messages in and out, newest first.",
        ),
    )


def _known(conversation: Conversation | None) -> Conversation:
    if conversation is None:
        raise Rejected("conversation.unknown", "No such conversation.", status=404)
    return conversation


def _conversation(row: Conversation) -> ConversationPayload:
    return ConversationPayload(
        id=row.id,
        number_id=row.number_id,
        contact=Contact(phone=row.contact_phone, name=row.contact_name),
        entry_count=row.entry_count,
        unread_count=row.unread_count,
        last_entry=LastEntry(
            id=row.last_entry_id,
            direction=row.last_direction,
            type=row.last_type,
            preview=row.last_preview,
            sent_at=row.last_entry_at,
        ),
    )


def _entry(row: ArchivedEntry) -> EntryPayload:
    return EntryPayload(
        id=row.id,
        conversation_id=row.conversation_id,
        direction=row.direction,
        type=row.type,
        content=row.content,
        sent_at=row.sent_at,
        message_id=row.message_id,
        provider_id=row.wamid,
        status=row.status,
        status_at=row.status_at,
        error=EntryError(code=row.error_code) if row.error_code else None,
        edited_at=row.edited_at,
        revoked_at=row.revoked_at,
        media=EntryMedia.model_validate(row.media) if row.media else None,
    )
