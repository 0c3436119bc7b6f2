"""Labels on entries and conversations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from services.archive.cache import Changes
from services.archive.domain.label import fold_label
from services.archive.domain.reading import Place
from services.archive.operations import labels as operations
from services.archive.payloads.marks import (
    LabelBulk,
    LabelBulkResult,
    LabelChange,
    LabeledConversation,
    LabeledConversationPage,
    LabeledEntryPage,
    LabelNames,
    LabelPage,
    LabelPayload,
)
from services.archive.payloads.page import PageQuery
from services.archive.routes.bookmarks import brief, client_of, unknown_entry
from services.archive.routes.cursor import Cursors
from services.archive.store import exports
from services.archive.store import labels as store
from services.archive.tenants import Tenants
from shared.bus.outbox import Outbox, Unit
from shared.db.pool import Pool
from shared.errors import FieldError, Rejected
from shared.http.internal import tenant_of
from shared.http.requests import read_body, read_query, validate
from shared.http.responses import json_bytes, json_response
from shared.http.routes import Access, Route
from shared.idempotency import once

_NOWHEN: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TOP: Final = 2**63 - 1


class LabelRoutes:
    """The handlers, with what they need."""

    def __init__(self, pool: Pool, outbox: Outbox, tenants: Tenants, cursors: Cursors, changes: Changes) -> None:
        self._pool = pool
        self._outbox = outbox
        self._tenants = tenants
        self._cursors = cursors
        self._changes = changes

    def routes(self) -> Sequence[Route]:
        return (
            operations.LIST_LABELS.served_by(self.list, Access.INTERNAL),
            operations.BULK_LABELS.served_by(self.bulk, Access.INTERNAL),
            operations.RENAME_LABEL.served_by(self.rename, Access.INTERNAL),
            operations.DELETE_LABEL.served_by(self.delete, Access.INTERNAL),
            operations.LIST_LABELED_ENTRIES.served_by(self.entries, Access.INTERNAL),
            operations.LIST_LABELED_CONVERSATIONS.served_by(self.conversations, Access.INTERNAL),
            operations.ENTRY_LABELS.served_by(self.of_entry, Access.INTERNAL),
            operations.LABEL_ENTRY.served_by(self.label_entry, Access.INTERNAL),
            operations.UNLABEL_ENTRY.served_by(self.unlabel_entry, Access.INTERNAL),
            operations.CONVERSATION_LABELS.served_by(self.of_conversation, Access.INTERNAL),
            operations.LABEL_CONVERSATION.served_by(self.label_conversation, Access.INTERNAL),
            operations.UNLABEL_CONVERSATION.served_by(self.unlabel_conversation, Access.INTERNAL),
        )

    async def list(self, request: web.Request) -> web.StreamResponse:
        tenant, query = tenant_of(request), read_query(request, PageQuery)
        scope = "labels", tenant
        after = "" if query.cursor is None else self._cursors.decode(query.cursor, *scope).id
        tenant_no = await self._tenants.known(tenant)
        rows = [] if tenant_no is None else await store.page(self._pool, tenant_no, after, query.limit + 1)
        page = rows[: query.limit]
        more = Place(_NOWHEN, page[-1]["label"]) if len(rows) > query.limit else None
        data = [LabelPayload(label=row["label"], entries=row["entries"], conversations=row["conversations"]) for row in page]
        return json_response(LabelPage(data=data, next_cursor=self._cursors.encode(more, *scope)))

    async def bulk(self, request: web.Request) -> web.StreamResponse:
        body, tenant = await read_body(request), tenant_of(request)
        asked = validate(LabelBulk, body)
        add = [_folded(label, f"/add/{index}") for index, label in enumerate(asked.add)]
        remove = [_folded(label, f"/remove/{index}") for index, label in enumerate(asked.remove)]
        entry_ids, conversation_ids = set(asked.entry_ids), set(asked.conversation_ids)
        client, touched = client_of(request), set[str]()

        async def effect(unit: Unit) -> tuple[int, bytes]:
            known_entries, known_conversations = entry_ids, conversation_ids
            if remove:
                touched.update(await store.unlabel_entries(unit.connection, tenant, entry_ids, remove))
                await store.unlabel_conversations(unit.connection, tenant, conversation_ids, remove)
            if add:
                labeled = await store.label_entries(unit.connection, tenant, entry_ids, set(add), client)
                known_entries = set(labeled)
                touched.update(labeled.values())
                known_conversations = await store.label_conversations(
                    unit.connection, tenant, conversation_ids, set(add), client
                )
            unknown = sorted((entry_ids - known_entries) | (conversation_ids - known_conversations))
            return 200, json_bytes(
                LabelBulkResult(entries=len(known_entries), conversations=len(known_conversations), unknown=unknown)
            )

        answer = await once(self._outbox, request, body, effect)
        await self._changes.changed(touched)
        return answer

    async def rename(self, request: web.Request) -> web.StreamResponse:
        body, tenant, label = await read_body(request), tenant_of(request), _label_of(request)
        name, touched = _folded(validate(LabelChange, body).label, "/label"), set[str]()

        async def effect(unit: Unit) -> tuple[int, bytes]:
            tenant_no = await self._tenants.known(tenant)
            if tenant_no is None:
                raise _unknown()
            if label != name:
                taken = await store.rename(unit.connection, tenant_no, label, name)
                if not taken.things:
                    raise _unknown()
                touched.update(taken.conversation_ids)
            row = await store.counts(unit.connection, tenant_no, name)
            if not row["entries"] + row["conversations"]:
                raise _unknown()
            return 200, json_bytes(LabelPayload(label=name, entries=row["entries"], conversations=row["conversations"]))

        answer = await once(self._outbox, request, body, effect)
        await self._changes.changed(touched)
        return answer

    async def delete(self, request: web.Request) -> web.StreamResponse:
        label = _label_of(request)
        tenant_no = await self._tenants.known(tenant_of(request))
        taken = None if tenant_no is None else await store.delete(self._pool, tenant_no, label)
        if taken is None or not taken.things:
            raise _unknown()
        await self._changes.changed(taken.conversation_ids)
        return web.Response(status=204)

    async def entries(self, request: web.Request) -> web.StreamResponse:
        tenant, query, label = tenant_of(request), read_query(request, PageQuery), _label_of(request)
        scope = "labeled-entries", tenant, label
        after = self._cursors.decode(query.cursor, *scope)
        tenant_no = await self._tenants.known(tenant)
        rows = [] if tenant_no is None else await store.entries_page(self._pool, tenant_no, label, after, query.limit + 1)
        page = rows[: query.limit]
        more = Place(page[-1]["sent_at"], page[-1]["entry_id"]) if len(rows) > query.limit else None
        return json_response(
            LabeledEntryPage(data=[brief(row) for row in page], next_cursor=self._cursors.encode(more, *scope))
        )

    async def conversations(self, request: web.Request) -> web.StreamResponse:
        tenant, query, label = tenant_of(request), read_query(request, PageQuery), _label_of(request)
        scope = "labeled-conversations", tenant, label
        below = _TOP if query.cursor is None else int(self._cursors.decode(query.cursor, *scope).id)
        tenant_no = await self._tenants.known(tenant)
        rows = [] if tenant_no is None else await store.conversations_page(self._pool, tenant_no, label, below, query.limit + 1)
        page = rows[: query.limit]
        more = Place(_NOWHEN, str(page[-1]["conversation_no"])) if len(rows) > query.limit else None
        data = [LabeledConversation(id=row["id"], labeled_at=row["created_at"]) for row in page]
        return json_response(LabeledConversationPage(data=data, next_cursor=self._cursors.encode(more, *scope)))

    async def of_entry(self, request: web.Request) -> web.StreamResponse:
        labels = await store.of_entry(self._pool, tenant_of(request), request.match_info["entry_id"])
        if labels is None:
            raise unknown_entry()
        return json_response(LabelNames(labels=labels))

    async def label_entry(self, request: web.Request) -> web.StreamResponse:
        label, entry_id = _label_of(request), request.match_info["entry_id"]
        labeled = await store.label_entries(self._pool, tenant_of(request), [entry_id], [label], client_of(request))
        if not labeled:
            raise unknown_entry()
        await self._changes.changed(labeled.values())
        return web.Response(status=204)

    async def unlabel_entry(self, request: web.Request) -> web.StreamResponse:
        label, entry_id = _label_of(request), request.match_info["entry_id"]
        touched = await store.unlabel_entries(self._pool, tenant_of(request), [entry_id], [label])
        if not touched:
            raise _unknown()
        await self._changes.changed(touched)
        return web.Response(status=204)

    async def of_conversation(self, request: web.Request) -> web.StreamResponse:
        tenant, conversation_id = tenant_of(request), request.match_info["conversation_id"]
        labels = await store.of_conversation(self._pool, tenant, conversation_id)
        if not labels and await exports.conversation(self._pool, tenant, conversation_id) is None:
            raise _unknown_conversation()
        return json_response(LabelNames(labels=labels))

    async def label_conversation(self, request: web.Request) -> web.StreamResponse:
        label, conversation_id = _label_of(request), request.match_info["conversation_id"]
        client = client_of(request)
        if not await store.label_conversations(self._pool, tenant_of(request), [conversation_id], [label], client):
            raise _unknown_conversation()
        return web.Response(status=204)

    async def unlabel_conversation(self, request: web.Request) -> web.StreamResponse:
        label, conversation_id = _label_of(request), request.match_info["conversation_id"]
        if not await store.unlabel_conversations(self._pool, tenant_of(request), [conversation_id], [label]):
            raise _unknown()
        return web.Response(status=204)


def _label_of(request: web.Request) -> str:
    """The path's label. Raises `Rejected` 422."""
    return _folded(request.match_info["label"], "/label")


def _folded(text: str, pointer: str) -> str:
    label = fold_label(text)
    if label is None:
        detail = "cannot be a label: 1 to 60 characters, no `/`, no control characters"
        raise Rejected("request.invalid", f"{pointer} {detail}.", 422, errors=(FieldError(pointer, "label.invalid", detail),))
    return label


def _unknown() -> Rejected:
    return Rejected("label.unknown", "Nothing has this label.", status=404)


def _unknown_conversation() -> Rejected:
    return Rejected("conversation.unknown", "No such conversation.", status=404)
