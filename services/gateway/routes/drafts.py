"""Drafts: content without a recipient, which schedules and campaigns name as `message_id`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg
import orjson
from aiohttp import web

from services.gateway.domain.rendering import names_in
from services.gateway.payloads.pages import PageQuery
from services.gateway.payloads.templates import ChangeDraft, ContentBody, CreateDraft, DraftPage, DraftView
from services.gateway.render import content_of
from services.gateway.store import templates as store
from services.gateway.templates import parameter_faults, shapes, template_named
from shared.bus.outbox import Outbox, Unit
from shared.content import TYPES
from shared.db.pool import Pool
from shared.errors import FieldError, Rejected
from shared.events.values import Content
from shared.http.problem import Problem
from shared.http.requests import read_body, read_query, validate
from shared.http.responses import json_bytes, json_response
from shared.http.routes import TENANT_ID, Route
from shared.idempotency import once
from shared.ids import TenantId, is_id, new_id

TAG: Final = "Drafts"
BODY_LIMIT: Final = 64 * 1024
_ID: Final = "{draft_id:drf_[0-9a-v]{26}}"
_CONTENT: Final = {"type", "context", *TYPES}


class DraftRoutes:
    """The handlers, with what they need."""

    def __init__(self, outbox: Outbox, pool: Pool) -> None:
        self._outbox = outbox
        self._pool = pool

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "POST",
                "/api/drafts",
                self.create,
                "Keep a content to be sent later",
                TAG,
                request=CreateDraft,
                responses={201: DraftView, 409: Problem},
                body_limit_bytes=BODY_LIMIT,
                idempotent=True,
                description="Name its id as `message_id` of a schedule or a campaign. `{{name}}` in its texts is a variable.",
                request_examples={"text": {"name": "Greeting", "type": "text", "text": {"body": "Good morning {{name}}"}}},
            ),
            Route("GET", "/api/drafts", self.list, "List drafts", TAG, query=PageQuery, responses={200: DraftPage}),
            Route("GET", f"/api/drafts/{_ID}", self.get, "One draft", TAG, responses={200: DraftView, 404: Problem}),
            Route(
                "PATCH",
                f"/api/drafts/{_ID}",
                self.change,
                "Change a draft",
                TAG,
                request=ChangeDraft,
                responses={200: DraftView, 404: Problem, 409: Problem},
                body_limit_bytes=BODY_LIMIT,
                idempotent=True,
                description="What is rendered from then on is the new content; what was rendered stays as it is.",
            ),
            Route("DELETE", f"/api/drafts/{_ID}", self.delete, "Delete a draft", TAG, responses={204: None, 404: Problem}),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(CreateDraft, data)
        tenant_id = TenantId(request[TENANT_ID])

        async def effect(unit: Unit) -> tuple[int, bytes]:
            content = await _admitted(unit, tenant_id, body)
            row = await store.insert_draft(unit.connection, new_id("drf"), tenant_id, body.name, content)
            return 201, json_bytes(_view(row))

        return await once(self._outbox, request, data, effect)

    async def change(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(ChangeDraft, data)
        tenant_id = TenantId(request[TENANT_ID])

        async def effect(unit: Unit) -> tuple[int, bytes]:
            row = await store.lock_draft(unit.connection, tenant_id, request.match_info["draft_id"])
            if row is None:
                raise _unknown()
            content = orjson.loads(row["content"])
            if body.model_fields_set & _CONTENT:
                parts = {name: getattr(body, name) for name in (*TYPES, "context")}
                wanted = ContentBody(type=body.type or content["type"], **parts)
                content = await _admitted(unit, tenant_id, wanted)
            name = body.name if "name" in body.model_fields_set else row["name"]
            return 200, json_bytes(_view(await store.update_draft(unit.connection, row, name, content)))

        return await once(self._outbox, request, data, effect)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        async with self._outbox.transaction() as unit:
            if not await store.delete_draft(unit.connection, TenantId(request[TENANT_ID]), request.match_info["draft_id"]):
                raise _unknown()
        return web.Response(status=204)

    async def get(self, request: web.Request) -> web.StreamResponse:
        row = await store.find_draft(self._pool, TenantId(request[TENANT_ID]), request.match_info["draft_id"])
        if row is None:
            raise _unknown()
        return json_response(_view(row))

    async def list(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, PageQuery)
        if query.cursor is not None and not is_id(query.cursor, "drf"):
            raise Rejected("cursor.invalid", "The cursor is not one that this list has given.", 400)
        rows = await store.draft_page(self._pool, TenantId(request[TENANT_ID]), after=query.cursor, limit=query.limit + 1)
        page = rows[: query.limit]
        more = page[-1]["id"] if len(rows) > query.limit else None
        return json_response(DraftPage(data=[_view(row) for row in page], next_cursor=more))


async def _admitted(unit: Unit, tenant_id: TenantId, body: ContentBody) -> Content:
    """The body's content. Raises `Rejected` 422 where POST /api/messages would, or where the template takes other parameters."""
    content = content_of(body)
    if isinstance(content, list):
        raise _invalid(content)
    named = template_named(content)
    faults = [] if named is None else parameter_faults(await shapes(unit.connection, tenant_id, [named]), content)
    if faults:
        raise _invalid(faults)
    return content


def _invalid(faults: Sequence[FieldError]) -> Rejected:
    first = f"{faults[0].pointer} {faults[0].detail}"
    detail = f"{first}." if len(faults) == 1 else f"{first}; {len(faults) - 1} more in errors."
    return Rejected("request.invalid", detail, errors=faults)


def _unknown() -> Rejected:
    return Rejected("draft.unknown", "There is no such draft.", 404)


def _view(row: asyncpg.Record) -> DraftView:
    content = orjson.loads(row["content"])
    return DraftView(
        id=row["id"],
        name=row["name"],
        type=content["type"],
        content=content,
        variables=list(dict.fromkeys(names_in(content))),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
