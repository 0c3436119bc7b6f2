"""Templates: texts of the tenant's own, and WhatsApp's as the provider describes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg
import orjson
from aiohttp import web

from services.gateway.domain.rendering import (
    Fault,
    Named,
    filled,
    lookup_for,
    missing_errors,
    names_in,
    rendered_fault,
)
from services.gateway.payloads.templates import (
    AccountSync,
    ChangeTemplate,
    CreateTemplate,
    Rendered,
    RenderTemplate,
    TemplateKind,
    TemplatePage,
    TemplateQuery,
    TemplateSyncView,
    TemplateView,
)
from services.gateway.render import content_of_template
from services.gateway.store import templates as store
from shared.bus.outbox import Outbox, Unit
from shared.db.pool import Pool
from shared.errors import FieldError, Rejected
from shared.every import Every
from shared.http.problem import Problem
from shared.http.requests import read_body, read_query, validate
from shared.http.responses import json_bytes, json_response
from shared.http.routes import TENANT_ID, Route
from shared.idempotency import once
from shared.ids import TenantId, is_id, new_id

TAG: Final = "Templates"
_ID: Final = "{template_id:tpl_[0-9a-v]{26}}"


class TemplateRoutes:
    """The handlers, with what they need. `reader` is the job that reads accounts, to be woken when somebody wants it."""

    def __init__(self, outbox: Outbox, pool: Pool, reader: Every) -> None:
        self._outbox = outbox
        self._pool = pool
        self._reader = reader

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "POST",
                "/api/templates",
                self.create,
                "Create a text template",
                TAG,
                request=CreateTemplate,
                responses={201: TemplateView, 409: Problem},
                idempotent=True,
                description="A text with variables, rendered here. Templates of WhatsApp's own are read from the provider.",
                request_examples={
                    "text": {
                        "name": "order_shipped",
                        "language": "en",
                        "body": "Hello {{name}}, order {{order}} is on its way.",
                        "defaults": {"name": "there"},
                    }
                },
            ),
            Route(
                "GET",
                "/api/templates",
                self.list,
                "List templates of both kinds",
                TAG,
                query=TemplateQuery,
                responses={200: TemplatePage},
            ),
            Route(
                "POST",
                "/api/templates/sync",
                self.sync,
                "Read WhatsApp's templates now",
                TAG,
                responses={202: TemplateSyncView},
                idempotent=True,
                description="Every account is read every ten minutes anyway. Follow it with GET /api/templates/sync.",
            ),
            Route(
                "GET",
                "/api/templates/sync",
                self.synced,
                "When WhatsApp's templates were read",
                TAG,
                responses={200: TemplateSyncView},
            ),
            Route("GET", f"/api/templates/{_ID}", self.get, "One template", TAG, responses={200: TemplateView, 404: Problem}),
            Route(
                "PATCH",
                f"/api/templates/{_ID}",
                self.change,
                "Change a text template",
                TAG,
                request=ChangeTemplate,
                responses={200: TemplateView, 404: Problem, 409: Problem},
                idempotent=True,
            ),
            Route(
                "DELETE",
                f"/api/templates/{_ID}",
                self.delete,
                "Delete a text template",
                TAG,
                responses={204: None, 404: Problem, 409: Problem},
            ),
            Route(
                "POST",
                f"/api/templates/{_ID}/render",
                self.render,
                "See what a template becomes",
                TAG,
                request=RenderTemplate,
                responses={200: Rendered, 404: Problem},
                idempotent=True,
                description="Nothing is sent. Each variable without a value is a `variable.missing` of its own.",
                request_examples={"values": {"variables": {"order": "77"}}},
            ),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(CreateTemplate, data)
        tenant_id = TenantId(request[TENANT_ID])

        async def effect(unit: Unit) -> tuple[int, bytes]:
            row = await store.insert_text(
                unit.connection, new_id("tpl"), tenant_id, body.name, body.language, body.body, body.defaults
            )
            if row is None:
                raise _taken()
            return 201, json_bytes(_view(row))

        return await once(self._outbox, request, data, effect)

    async def change(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(ChangeTemplate, data)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            row = await _locked_text(unit, request)
            defaults = orjson.loads(row["defaults"]) if body.defaults is None else body.defaults
            try:
                row = await store.update_text(
                    unit.connection, row, body.name or row["name"], body.language or row["language"], body.body or row["body"],
                    defaults,
                )  # fmt: skip
            except asyncpg.UniqueViolationError:
                raise _taken() from None
            return 200, json_bytes(_view(row))

        return await once(self._outbox, request, data, effect)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        async with self._outbox.transaction() as unit:
            row = await _locked_text(unit, request)
            await store.delete(unit.connection, TenantId(row["tenant_id"]), row["id"])
        return web.Response(status=204)

    async def get(self, request: web.Request) -> web.StreamResponse:
        row = await store.find(self._pool, TenantId(request[TENANT_ID]), request.match_info["template_id"])
        if row is None:
            raise _unknown()
        return json_response(_view(row))

    async def list(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, TemplateQuery)
        if query.cursor is not None and not is_id(query.cursor, "tpl"):
            raise Rejected("cursor.invalid", "The cursor is not one that this list has given.", 400)
        filters = (query.kind, query.name, query.language, query.status)
        tenant_id = TenantId(request[TENANT_ID])
        rows = await store.page(self._pool, tenant_id, after=query.cursor, limit=query.limit + 1, filters=filters)
        page = rows[: query.limit]
        more = page[-1]["id"] if len(rows) > query.limit else None
        return json_response(TemplatePage(data=[_view(row) for row in page], next_cursor=more))

    async def render(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(RenderTemplate, data)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            row = await store.find(unit.connection, TenantId(request[TENANT_ID]), request.match_info["template_id"])
            if row is None:
                raise _unknown()
            content = content_of_template(row)
            if isinstance(content, Fault):
                raise Rejected(content.code, f"The template {content.detail}.", 409)
            reader = Named(variables=body.variables)
            content, missing = filled(content, lookup_for(reader, {}, orjson.loads(row["defaults"])))
            faults = missing_errors(missing)
            if not faults and (fault := rendered_fault(content)) is not None:
                faults = [FieldError("/variables", fault.code, fault.detail)]
            if faults:
                raise Rejected("request.invalid", f"{faults[0].pointer} {faults[0].detail}.", errors=faults)
            return 200, json_bytes(Rendered(content=content))

        return await once(self._outbox, request, data, effect)

    async def sync(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request, ())
        tenant_id = TenantId(request[TENANT_ID])

        async def effect(unit: Unit) -> tuple[int, bytes]:
            await store.make_due(unit.connection, tenant_id)
            return 202, json_bytes(_sync_view(await store.accounts(unit.connection, tenant_id)))

        answer = await once(self._outbox, request, data, effect)
        self._reader.wake()
        return answer

    async def synced(self, request: web.Request) -> web.StreamResponse:
        return json_response(_sync_view(await store.accounts(self._pool, TenantId(request[TENANT_ID]))))


async def _locked_text(unit: Unit, request: web.Request) -> asyncpg.Record:
    """The request's template, locked. Raises `Rejected` 404, and 409 for one of WhatsApp's."""
    row = await store.lock(unit.connection, TenantId(request[TENANT_ID]), request.match_info["template_id"])
    if row is None:
        raise _unknown()
    if row["kind"] != TemplateKind.TEXT:
        raise Rejected("template.of_provider", "It is WhatsApp's; change it there, and it is read again.", 409)
    return row


def _unknown() -> Rejected:
    return Rejected("template.unknown", "There is no such template.", 404)


def _taken() -> Rejected:
    return Rejected("template.exists", "There is a template of this name in this language already.", 409)


def _sync_view(rows: Sequence[asyncpg.Record]) -> TemplateSyncView:
    accounts = [
        AccountSync(account_id=row["account_id"], synced_at=row["synced_at"], due_at=row["due_at"], fault=row["fault"])
        for row in rows
    ]
    return TemplateSyncView(data=accounts)


def _view(row: asyncpg.Record) -> TemplateView:
    content = content_of_template(row)
    is_text = row["kind"] == TemplateKind.TEXT
    return TemplateView(
        id=row["id"],
        kind=TemplateKind(row["kind"]),
        name=row["name"],
        language=row["language"],
        variables=[] if isinstance(content, Fault) else list(dict.fromkeys(names_in(content))),
        body=row["body"],
        defaults=orjson.loads(row["defaults"]) if is_text else None,
        account_id=row["account_id"],
        provider_id=row["provider_id"],
        status=row["status"],
        held=row["held"],
        reason=row["reason"],
        category=row["category"],
        quality=row["quality"],
        parameter_format=row["parameter_format"],
        components=None if row["components"] is None else orjson.loads(row["components"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
