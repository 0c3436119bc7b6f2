"""Groups and their members: make, look, change, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from services.gateway import groups
from services.gateway.groups import Groups
from services.gateway.payloads.groups import (
    MEMBERS_LIMIT,
    ChangeGroup,
    CreateGroup,
    GroupPage,
    GroupView,
    MemberPage,
    Members,
    MembersAdded,
    MembersRemoved,
    MemberView,
)
from services.gateway.payloads.pages import PageQuery
from services.gateway.store import groups as store
from shared.bus.outbox import Outbox, Unit
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http.problem import Problem
from shared.http.requests import read_body, read_query, validate
from shared.http.responses import json_bytes, json_response
from shared.http.routes import TENANT_ID, Route
from shared.idempotency import Effect, once
from shared.ids import TenantId, is_id

TAG: Final = "Groups"
_ID: Final = "{group_id:grp_[0-9a-v]{26}}"


class GroupRoutes:
    """The handlers, with what they need."""

    def __init__(self, outbox: Outbox, pool: Pool, groups: Groups) -> None:
        self._outbox = outbox
        self._pool = pool
        self._groups = groups

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "POST",
                "/api/groups",
                self.create,
                "Make a group",
                TAG,
                request=CreateGroup,
                responses={201: GroupView, 409: Problem},
                idempotent=True,
            ),
            Route(
                "GET", "/api/groups", self.list, "List groups, oldest first", TAG, query=PageQuery, responses={200: GroupPage}
            ),
            Route("GET", f"/api/groups/{_ID}", self.get, "One group", TAG, responses={200: GroupView, 404: Problem}),
            Route(
                "PATCH",
                f"/api/groups/{_ID}",
                self.change,
                "Change a group's name or description",
                TAG,
                request=ChangeGroup,
                responses={200: GroupView, 404: Problem, 409: Problem},
                idempotent=True,
            ),
            Route(
                "DELETE",
                f"/api/groups/{_ID}",
                self.delete,
                "Delete a group",
                TAG,
                responses={204: None, 404: Problem},
                description="Its members stay contacts. What is to be sent to it later finds no audience and says so.",
            ),
            Route(
                "GET",
                f"/api/groups/{_ID}/members",
                self.list_members,
                "List a group's members",
                TAG,
                query=PageQuery,
                responses={200: MemberPage, 404: Problem},
            ),
            Route(
                "POST",
                f"/api/groups/{_ID}/members",
                self.add,
                "Add contacts to a group",
                TAG,
                request=Members,
                responses={200: MembersAdded, 404: Problem, 409: Problem},
                idempotent=True,
                description=f"Up to {MEMBERS_LIMIT}, by id or phone number. Who is no contact costs only themselves: `errors` "
                "names each. Who is a member already stays one.",
            ),
            Route(
                "POST",
                f"/api/groups/{_ID}/members/remove",
                self.remove,
                "Remove contacts from a group",
                TAG,
                request=Members,
                responses={200: MembersRemoved, 404: Problem, 409: Problem},
                idempotent=True,
            ),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(CreateGroup, data)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            return 201, json_bytes(await groups.create(unit.connection, _tenant(request), body))

        return await self._write(request, data, effect)

    async def change(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(ChangeGroup, data)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            return 200, json_bytes(await groups.change(unit.connection, _tenant(request), _group(request), body))

        return await self._write(request, data, effect, _group(request))

    async def add(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(Members, data)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            return 200, json_bytes(await groups.add_members(unit.connection, _tenant(request), _group(request), body))

        return await self._write(request, data, effect, _group(request))

    async def remove(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(Members, data)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            return 200, json_bytes(await groups.remove_members(unit.connection, _tenant(request), _group(request), body))

        return await self._write(request, data, effect, _group(request))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        await read_body(request, ())
        try:
            async with self._outbox.transaction() as unit:
                if not await store.delete(unit.connection, _tenant(request), _group(request)):
                    raise groups.unknown()
        finally:
            await self._groups.forget(_tenant(request), _group(request))
        return web.Response(status=204)

    async def _write(self, request: web.Request, data: bytes, effect: Effect, *group_ids: str) -> web.Response:
        """Whatever became of the transaction, nothing from before it is shown again: a commit may come through unanswered."""
        try:
            return await once(self._outbox, request, data, effect)
        finally:
            await self._groups.forget(_tenant(request), *group_ids)

    async def get(self, request: web.Request) -> web.StreamResponse:
        group = await self._groups.find(_tenant(request), _group(request))
        return web.Response(body=group, content_type="application/json")

    async def list(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, PageQuery)
        _check(query.cursor, "grp")
        found = await self._groups.page(_tenant(request), after=query.cursor, limit=query.limit)
        page = found[: query.limit]
        more = page[-1].id if len(found) > query.limit else None
        return json_response(GroupPage(data=list(page), next_cursor=more))

    async def list_members(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, PageQuery)
        _check(query.cursor, "ctc")
        await self._groups.find(_tenant(request), _group(request))
        rows = await store.members(self._pool, _tenant(request), _group(request), after=query.cursor, limit=query.limit + 1)
        page = [
            MemberView(contact_id=row["contact_id"], name=row["name"], phone=row["phone"], added_at=row["added_at"])
            for row in rows[: query.limit]
        ]
        more = page[-1].contact_id if len(rows) > query.limit else None
        return json_response(MemberPage(data=page, next_cursor=more))


def _tenant(request: web.Request) -> TenantId:
    return TenantId(request[TENANT_ID])


def _group(request: web.Request) -> str:
    return request.match_info["group_id"]


def _check(cursor: str | None, prefix: str) -> None:
    if cursor is not None and not is_id(cursor, prefix):
        raise Rejected("cursor.invalid", "The cursor is not one that this list has given.", 400)
