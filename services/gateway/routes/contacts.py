"""Contacts: who they are, what they are called by, whether they want to be written to."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from services.gateway import contacts
from services.gateway.contacts import Channel, Done, Result
from services.gateway.domain.consent import Word
from services.gateway.domain.contact import KINDS, Change, Identifier, name_key
from services.gateway.groups import Groups
from services.gateway.payloads.contacts import (
    BULK_LIMIT,
    BulkDone,
    ConsentEntry,
    ConsentPage,
    ConsentView,
    ContactBulk,
    ContactPage,
    ContactQuery,
    ContactView,
    GivenContact,
    OptIn,
)
from services.gateway.payloads.pages import PageQuery
from services.gateway.routes.bulk import read_items
from services.gateway.routes.cursors import decoded, encoded
from services.gateway.store import contacts as store
from services.gateway.store.contacts import AFTER_ALL, Stored
from shared.bus.outbox import Outbox, Unit
from shared.clock import Clock
from shared.db.pool import Pool
from shared.errors import FieldError, Rejected
from shared.events.values import Consent
from shared.http.problem import Problem
from shared.http.requests import read_body, read_query, validate
from shared.http.responses import json_bytes, json_response
from shared.http.routes import JSON, MIB, NDJSON, TENANT_ID, Route
from shared.idempotency import once
from shared.ids import TenantId, is_id

TAG: Final = "Contacts"
LATEST: Final = datetime(9999, 12, 31, tzinfo=UTC)
BODY_LIMIT: Final = 128 * 1024
BULK_BODY_LIMIT: Final = 20 * MIB
_ID: Final = "{contact_id:ctc_[0-9a-v]{26}}"
_UPSERT: Final = (
    "A contact is matched by any of its identifiers, and made where there is none; where they belong to different contacts that is "
    "`contact.conflict`. Items act one after the other. Sent twice it does what it does once."
)


class ContactRoutes:
    """The handlers, with what they need."""

    def __init__(self, outbox: Outbox, pool: Pool, clock: Clock, groups: Groups) -> None:
        self._outbox = outbox
        self._pool = pool
        self._clock = clock
        self._groups = groups

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "POST",
                "/api/contacts",
                self.create,
                "Add a contact",
                TAG,
                request=GivenContact,
                responses={201: ContactView, 409: Problem},
                body_limit_bytes=BODY_LIMIT,
                idempotent=True,
                request_examples={
                    "contact": {
                        "phone": "+15551234567",
                        "name": "Ana Quispe",
                        "language": "es-PE",
                        "time_zone": "America/Lima",
                        "attributes": {"plan": "gold", "visits": 7},
                        "consent": {"state": "opted_in", "source": "web form", "at": "2026-11-01T10:00:00Z"},
                    }
                },
            ),
            Route(
                "POST",
                "/api/contacts/bulk",
                self.upsert,
                "Add or change many contacts",
                TAG,
                request=ContactBulk,
                responses={200: BulkDone, 409: Problem},
                body_limit_bytes=BULK_BODY_LIMIT,
                accepts=(JSON, NDJSON),
                idempotent=True,
                description=f"A JSON array of contacts, or one a line (`{NDJSON}`); {BULK_LIMIT} at most. {_UPSERT}",
                request_examples={
                    "two": [
                        {"phone": "+15551234567", "name": "Ana Quispe"},
                        {"phone": "+15557654321", "name": "Bo Li", "language": "zh-CN"},
                    ]
                },
            ),
            Route(
                "GET",
                "/api/contacts",
                self.list,
                "List contacts, newest first",
                TAG,
                query=ContactQuery,
                responses={200: ContactPage},
            ),
            Route(
                "GET",
                f"/api/contacts/{_ID}",
                self.get,
                "One contact",
                TAG,
                responses={200: ContactView, 404: Problem},
            ),
            Route(
                "PATCH",
                f"/api/contacts/{_ID}",
                self.change,
                "Change a contact",
                TAG,
                request=GivenContact,
                responses={200: ContactView, 404: Problem, 409: Problem},
                body_limit_bytes=BODY_LIMIT,
                idempotent=True,
            ),
            Route(
                "DELETE",
                f"/api/contacts/{_ID}",
                self.erase,
                "Erase a contact",
                TAG,
                responses={204: None, 404: Problem},
                description="Erases what is known of the person, their groups and the history of their consent included. Of one "
                "who has opted out the phone number is kept, with what they opted out of, when, and where that came from, so that "
                "nobody who said stop is written to: a contact that is made with this number later starts opted out, until an "
                "opt-in that is later than the opt-out.",
            ),
            Route(
                "POST",
                f"/api/contacts/{_ID}/opt-in",
                self.opt_in,
                "Write down that a contact wants to be written to",
                TAG,
                request=OptIn,
                responses={200: ContactView, 404: Problem, 409: Problem},
                body_limit_bytes=BODY_LIMIT,
                idempotent=True,
            ),
            Route(
                "POST",
                f"/api/contacts/{_ID}/opt-out",
                self.opt_out,
                "Write down that a contact does not want to be written to",
                TAG,
                request=OptIn,
                responses={200: ContactView, 404: Problem, 409: Problem},
                body_limit_bytes=BODY_LIMIT,
                idempotent=True,
                description="What is scheduled for them is suppressed at once.",
            ),
            Route(
                "GET",
                f"/api/contacts/{_ID}/consents",
                self.consents,
                "What a contact has said about being written to, latest first",
                TAG,
                query=PageQuery,
                responses={200: ConsentPage, 404: Problem},
            ),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body, tenant_id = validate(GivenContact, data), tenant_of(request)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            now = self._clock.now()
            contact_id = await contacts.create(unit, tenant_id, body.change(Channel.API, now), now=now)
            return 201, await _seen(unit, tenant_id, contact_id)

        return await once(self._outbox, request, data, effect)

    async def upsert(self, request: web.Request) -> web.StreamResponse:
        data, tenant_id = await read_body(request), tenant_of(request)
        now = self._clock.now()

        def read() -> Sequence[Change | list[FieldError]]:
            bodies = read_items(request, data, ContactBulk, GivenContact, limit=BULK_LIMIT, item_bytes=BODY_LIMIT)
            return [body if isinstance(body, list) else body.change(Channel.API, now) for body in bodies]

        # Ten thousand take half a second to read: in a thread, others have their turn on the loop meanwhile.
        items = await asyncio.to_thread(read)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            results = await contacts.upsert(unit, tenant_id, items, channel=Channel.API, now=now)
            return 200, json_bytes(_bulk_answer(_placed(items, results)))

        return await once(self._outbox, request, data, effect)

    async def list(self, request: web.Request) -> web.StreamResponse:
        query, tenant_id = read_query(request, ContactQuery), tenant_of(request)
        names: list[Identifier] = [(kind, name) for kind in KINDS if (name := getattr(query, kind)) is not None]
        if len(names) + (query.q is not None) + (query.updated_after is not None) > 1:
            faults = [FieldError("", "query.too_many_filters", "takes one of phone, user_id, username, q and updated_after")]
            raise Rejected("request.invalid", "Too many filters; see errors.", errors=faults)
        if names:
            contact_id = await store.called(self._pool, tenant_id, names[0])
            found = await store.find(self._pool, tenant_id, [contact_id] if contact_id else [])
            seen = [_view(one) for one in found if query.consent in {None, one.contact.standing.consent}]
            return json_response(ContactPage(data=seen))
        if query.q is not None:
            rows, key = await self._by_name(tenant_id, query, name_key(query.q))
        elif query.updated_after is not None:
            rows, key = await self._updated(tenant_id, query)
        else:
            rows, key = await self._newest(tenant_id, query)
        more = encoded(*key) if key else None
        return json_response(ContactPage(data=[_view(row) for row in rows], next_cursor=more))

    async def _newest(self, tenant_id: TenantId, query: ContactQuery) -> tuple[Sequence[Stored], tuple[Any, ...]]:
        (before,) = (None,) if query.cursor is None else decoded(query.cursor, str)
        if before is not None and not is_id(before, "ctc"):
            raise Rejected("cursor.invalid", "The cursor is not one that this list has given.", 400)
        rows = await store.page(self._pool, tenant_id, before=before, limit=query.limit + 1, consent=query.consent)
        page = rows[: query.limit]
        return page, (page[-1].contact.id,) if len(rows) > query.limit else ()

    async def _by_name(
        self, tenant_id: TenantId, query: ContactQuery, beginning: str
    ) -> tuple[Sequence[Stored], tuple[Any, ...]]:
        after = ("", "") if query.cursor is None else tuple(decoded(query.cursor, str, str))
        rows = await store.page_by_name(
            self._pool, tenant_id, beginning, after=after, limit=query.limit + 1, consent=query.consent
        )
        page = rows[: query.limit]
        return page, (name_key(page[-1].contact.name or ""), page[-1].contact.id) if len(rows) > query.limit else ()

    async def _updated(self, tenant_id: TenantId, query: ContactQuery) -> tuple[Sequence[Stored], tuple[Any, ...]]:
        after = (query.updated_after, AFTER_ALL) if query.cursor is None else tuple(decoded(query.cursor, datetime, str))
        rows = await store.page_updated(self._pool, tenant_id, after=after, limit=query.limit + 1, consent=query.consent)
        page = rows[: query.limit]
        return page, (page[-1].updated_at, page[-1].contact.id) if len(rows) > query.limit else ()

    async def get(self, request: web.Request) -> web.StreamResponse:
        found = await store.find(self._pool, tenant_of(request), [request.match_info["contact_id"]])
        if not found:
            raise _unknown()
        return json_response(_view(found[0]))

    async def change(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(GivenContact, data)
        return await self._changed(request, data, body)

    async def opt_in(self, request: web.Request) -> web.StreamResponse:
        return await self._says(request, Consent.OPTED_IN)

    async def opt_out(self, request: web.Request) -> web.StreamResponse:
        return await self._says(request, Consent.OPTED_OUT)

    async def _says(self, request: web.Request, consent: Consent) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(OptIn, data) if data.strip() else OptIn()
        return await self._changed(request, data, body, consent)

    async def _changed(
        self, request: web.Request, data: bytes, body: GivenContact | OptIn, consent: Consent = Consent.UNKNOWN
    ) -> web.StreamResponse:
        tenant_id, contact_id = tenant_of(request), request.match_info["contact_id"]

        async def effect(unit: Unit) -> tuple[int, bytes]:
            now = self._clock.now()
            if isinstance(body, OptIn):
                word = Word(consent, body.scope, body.at or now, body.source or Channel.API)
                change = Change(word=word, time_pointer="/at")
            else:
                change = body.change(Channel.API, now)
            if not await contacts.change_one(unit, tenant_id, contact_id, change, now=now):
                raise _unknown()
            return 200, await _seen(unit, tenant_id, contact_id)

        return await once(self._outbox, request, data, effect)

    async def erase(self, request: web.Request) -> web.StreamResponse:
        await read_body(request, ())
        tenant_id, contact_id = tenant_of(request), request.match_info["contact_id"]
        groups: Sequence[str] | None = None
        try:
            async with self._outbox.transaction() as unit:
                groups = await contacts.erase(unit, tenant_id, contact_id)
                if groups is None:
                    raise _unknown()
        finally:  # a commit may come through unanswered
            if groups:
                await self._groups.forget(tenant_id, *groups)
        return web.Response(status=204)

    async def consents(self, request: web.Request) -> web.StreamResponse:
        query, tenant_id, contact_id = read_query(request, PageQuery), tenant_of(request), request.match_info["contact_id"]
        if not await store.find(self._pool, tenant_id, [contact_id]):
            raise _unknown()
        before = (LATEST, "", "") if query.cursor is None else tuple(decoded(query.cursor, datetime, str, str))
        rows = await store.history(self._pool, tenant_id, contact_id, before=before, limit=query.limit + 1)
        page = rows[: query.limit]
        more = encoded(page[-1]["at"], page[-1]["scope"], page[-1]["consent"]) if len(rows) > query.limit else None
        entries = [
            ConsentEntry(
                state=row["consent"], scope=row["scope"], source=row["source"], at=row["at"], recorded_at=row["recorded_at"]
            )
            for row in page
        ]
        return json_response(ConsentPage(data=entries, next_cursor=more))


def tenant_of(request: web.Request) -> TenantId:
    return TenantId(request[TENANT_ID])


def _unknown() -> Rejected:
    return Rejected("contact.unknown", "There is no such contact.", 404)


async def _seen(unit: Unit, tenant_id: TenantId, contact_id: str) -> bytes:
    """The contact as the transaction leaves it."""
    return json_bytes(_view((await store.find(unit.connection, tenant_id, [contact_id]))[0]))


def _placed(items: Sequence[object], results: Sequence[Result]) -> Sequence[Result]:
    """With pointers into the whole body: the faults of its fields have them already."""
    return [
        [FieldError(f"/{index}{fault.pointer}", fault.code, fault.detail) for fault in result]
        if isinstance(result, list) and not isinstance(item, list)
        else result
        for index, (item, result) in enumerate(zip(items, results, strict=True))
    ]


def _bulk_answer(results: Sequence[Result]) -> dict[str, Any]:
    """A `BulkDone`, written out: thousands of models would cost more than what they check. Raises `Rejected` where all are
    faults."""
    counts = Counter(result.outcome if isinstance(result, Done) else "rejected" for result in results)
    if counts["rejected"] == len(results):
        raise contacts.rejected([fault for result in results if isinstance(result, list) for fault in result])
    listed = [
        {"index": index, "id": result.contact_id, "outcome": result.outcome}
        if isinstance(result, Done)
        else {"index": index, "errors": [{"pointer": f.pointer, "code": f.code, "detail": f.detail} for f in result]}
        for index, result in enumerate(results)
    ]
    kinds = ("created", "updated", "unchanged", "rejected")
    return {**{kind: counts[kind] for kind in kinds}, "results": listed}


def _view(stored: Stored) -> ContactView:
    contact = stored.contact
    word = contact.standing.word
    return ContactView(
        id=contact.id,
        phone=contact.identifiers.get("phone"),
        user_id=contact.identifiers.get("user_id"),
        username=contact.identifiers.get("username"),
        name=contact.name,
        language=contact.language,
        time_zone=contact.time_zone,
        attributes=dict(contact.attributes),
        consent=ConsentView(
            state=contact.standing.consent,
            scope=contact.standing.scope,
            source=None if word is None else word.source,
            at=None if word is None else word.at,
        ),
        created_at=stored.created_at,
        updated_at=stored.updated_at,
    )
