"""Erasures: asked for, followed, verified."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import asyncpg
import orjson
from aiohttp import web

from services.gateway.domain.contact import parse_user_id
from services.gateway.domain.erasure import canonical
from services.gateway.erase import Erasures
from services.gateway.forward import Door
from services.gateway.payloads.erasures import ErasureBody, ErasurePage, ErasureView, VerifyBody
from services.gateway.payloads.pages import PageQuery
from services.gateway.store import erasures as store
from shared.bus.outbox import Unit
from shared.erasure.person import Person
from shared.errors import FieldError, Rejected
from shared.http.problem import Problem
from shared.http.requests import read_body, read_query, validate
from shared.http.responses import json_bytes, json_response
from shared.http.routes import CLIENT_ID, TENANT_ID, Route
from shared.idempotency import is_answered, once
from shared.ids import TenantId, is_id

TAG: Final = "Erasures"
PATH: Final = "/api/erasures"
BODY_LIMIT: Final = 64 * 1024
UNKNOWN_PARTICIPANTS: Final = "/participants/unknown"
"""Of the archive: says which of the ids that it is given nobody has."""
_ID: Final = "{erasure_id:ers_[0-9a-v]{26}}"


class ErasureRoutes:
    """The handlers, with what they need: the archive knows the participants; `wake` is called when there is an erasure to go on
    with."""

    def __init__(self, erasures: Erasures, archive: Door, wake: Callable[[], None]) -> None:
        self._erasures = erasures
        self._archive = archive
        self._wake = wake

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "POST",
                PATH,
                self.create,
                "Erase a person",
                TAG,
                request=ErasureBody,
                responses={202: ErasureView, 404: Problem, 422: Problem, 503: Problem},
                body_limit_bytes=BODY_LIMIT,
                idempotent=True,
                description="Everything that the platform keeps of them, in all its services: contact and consents, messages, "
                "conversations, what they said in groups and imported chats, files, search, statistics, exports, callback logs, "
                "payloads that were set aside. It goes on by itself until nothing is found any more, whatever fails meanwhile. "
                "Messages that wait for them are canceled; ids of sent ones still answer, without content and recipient. That "
                "somebody has opted out is kept, under a digest that only their address leads to. There is no way back.",
                request_examples={"by phone": {"phone": "+15551234567"}},
            ),
            Route(
                "GET",
                PATH,
                self.list,
                "List erasures, newest first",
                TAG,
                query=PageQuery,
                responses={200: ErasurePage},
                description="The record of who asked for an erasure, when, and what was erased. It names nobody.",
            ),
            Route("GET", f"{PATH}/{_ID}", self.get, "One erasure", TAG, responses={200: ErasureView, 404: Problem}),
            Route(
                "POST",
                f"{PATH}/{_ID}/verify",
                self.verify,
                "Count what there is of an erased person",
                TAG,
                request=VerifyBody,
                responses={202: ErasureView, 404: Problem, 409: Problem, 422: Problem},
                body_limit_bytes=BODY_LIMIT,
                idempotent=True,
                description="Looks through all services again, erasing nothing: read `remaining` with GET once it is `completed`.",
                request_examples={"by phone": {"phone": "+15551234567"}},
            ),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(ErasureBody, data)
        tenant_id = TenantId(request[TENANT_ID])
        addresses = _addresses(body.phone, body.user_id)
        contact_ids = [] if body.contact_id is None else [body.contact_id]
        if body.participant_ids and not await is_answered(self._erasures.pool, request):
            await self._check_participants(request, body.participant_ids)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            person = await self._erasures.person(unit.connection, tenant_id, addresses, contact_ids, body.participant_ids)
            if not person.addresses and not body.participant_ids:
                raise Rejected("contact.unknown", "There is no such contact.", 404)
            row = await self._erasures.request(unit, tenant_id, request[CLIENT_ID], person)
            return 202, json_bytes(_view(row))

        answer = await once(self._erasures.outbox, request, data, effect)
        self._wake()
        return answer

    async def _check_participants(self, request: web.Request, participant_ids: Sequence[str]) -> None:
        """Raises `Rejected`: 404 where there is one that the tenant does not have, 503 where the archive is away."""
        status, said = await self._archive.ask(request, "POST", UNKNOWN_PARTICIPANTS, {"participant_ids": participant_ids})
        if status != 200:
            raise Rejected("archive.unavailable", "The archive cannot be asked now; try again.", 503, retry_after_seconds=1)
        detail = "There is no such participant."
        faults = [
            FieldError(f"/participant_ids/{index}", "participant.unknown", detail)
            for index, participant_id in enumerate(participant_ids)
            if participant_id in said["unknown"]
        ]
        if faults:
            raise Rejected("participant.unknown", detail, 404, errors=faults)

    async def get(self, request: web.Request) -> web.StreamResponse:
        row = await store.find(self._erasures.pool, TenantId(request[TENANT_ID]), request.match_info["erasure_id"])
        if row is None:
            raise _unknown()
        return json_response(_view(row))

    async def verify(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(VerifyBody, data)
        tenant_id = TenantId(request[TENANT_ID])
        addresses = _addresses(body.phone, body.user_id)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            row = await store.find(unit.connection, tenant_id, request.match_info["erasure_id"])
            if row is None:
                raise _unknown()
            person = Person(
                addresses=[*await self._spelt(unit, tenant_id, addresses)],
                contact_ids=row["contact_ids"],
                participant_ids=row["participant_ids"],
            )
            if row["digests"] and not set(self._erasures.digests(tenant_id, person)) & set(row["digests"]):
                detail = "This erasure was not of somebody with this address."
                raise Rejected("erasure.other_person", detail, 422, errors=[FieldError("", "erasure.other_person", detail)])
            verifying = await self._erasures.verify(unit.connection, tenant_id, row, person)
            if verifying is None:
                raise Rejected("erasure.running", "This erasure is not completed yet; it is verified before it is.", 409)
            return 202, json_bytes(_view(verifying))

        answer = await once(self._erasures.outbox, request, data, effect)
        self._wake()
        return answer

    async def _spelt(self, unit: Unit, tenant_id: TenantId, addresses: Sequence[str]) -> Sequence[str]:
        return (await self._erasures.person(unit.connection, tenant_id, addresses, (), ())).addresses

    async def list(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, PageQuery)
        if query.cursor is not None and not is_id(query.cursor, "ers"):
            raise Rejected("cursor.invalid", "The cursor is not one that this list has given.", 400)
        rows = await store.page(self._erasures.pool, TenantId(request[TENANT_ID]), before=query.cursor, limit=query.limit + 1)
        page = rows[: query.limit]
        more = page[-1]["id"] if len(rows) > query.limit else None
        return json_response(ErasurePage(data=[_view(row) for row in page], next_cursor=more))


def _addresses(phone: str | None, user_id: str | None) -> list[str]:
    """Raises `Rejected` 422 for what is no address."""
    faults, addresses = [], []
    if phone is not None:
        number = canonical(phone)
        if number is None:
            faults.append(FieldError("/phone", "phone.invalid", "must be a phone number with its country code"))
        else:
            addresses.append(number)
    if user_id is not None:
        known = parse_user_id(user_id)
        if known is None:
            faults.append(FieldError("/user_id", "user_id.invalid", "must be a business-scoped user id"))
        else:
            addresses.append(known)
    if faults:
        raise Rejected("request.invalid", f"{faults[0].pointer} {faults[0].detail}.", errors=faults)
    return addresses


def _view(row: asyncpg.Record) -> ErasureView:
    return ErasureView(
        id=row["id"],
        state=row["state"],
        requested_by=row["requested_by"],
        digests=[digest.hex() for digest in row["digests"]],
        contact_ids=row["contact_ids"],
        participant_ids=row["participant_ids"],
        erased=orjson.loads(row["erased"]),
        remaining=orjson.loads(row["remaining"]),
        code=row["code"],
        created_at=row["created_at"],
        completed_at=row["completed_at"],
        verified_at=row["verified_at"],
    )


def _unknown() -> Rejected:
    return Rejected("erasure.unknown", "There is no such erasure.", 404)
