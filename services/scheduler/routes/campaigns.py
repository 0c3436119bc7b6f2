"""/api/campaigns."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
from aiohttp import web
from pydantic import BaseModel

from services.scheduler import campaign_preflight, campaigns
from services.scheduler import campaign_reports as reports
from services.scheduler.campaign_draft import variants_of
from services.scheduler.campaigns import Asker, body_of
from services.scheduler.domain.campaign import Campaign, Change
from services.scheduler.domain.csv_line import csv_line
from services.scheduler.domain.run import RecipientState
from services.scheduler.payloads.campaigns import (
    CampaignBody,
    CampaignPage,
    CampaignQuery,
    CampaignStats,
    CampaignSummary,
    CampaignView,
    ChangeCampaign,
    Counts,
    PreflightView,
    Progress,
    RecipientPage,
    RecipientQuery,
    RecipientStateQuery,
    RecipientView,
    StatsQuery,
    Transition,
)
from services.scheduler.runs import recipients
from services.scheduler.store import campaigns as store
from shared.bus.outbox import Outbox, Unit
from shared.clock import Clock
from shared.db.pool import Connection, Pool
from shared.errors import Rejected
from shared.http.internal import CLIENT_HEADER, tenant_of
from shared.http.problem import Problem
from shared.http.requests import read_body, read_query, validate
from shared.http.responses import json_bytes, json_response
from shared.http.routes import MIB, Access, Handler, Route
from shared.idempotency import once
from shared.ids import is_id

TAG: Final = "Campaigns"
CSV: Final = "text/csv"
BODY_LIMIT: Final = MIB
PLATFORM: Final = "platform"
TENANT: Final = "tenant"
"""Who asked for a change, where no API key is known."""
_CLIENT: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
CSV_ROWS: Final = 1_000
"""Read at a time."""
CSV_COLUMNS: Final = tuple(RecipientView.model_fields)
_LIST: Final = "/api/campaigns"
_ONE: Final = "/api/campaigns/{campaign_id:cmp_[0-9a-v]{26}}"

Act = Callable[[Unit, Asker, str], Awaitable[Campaign]]


class CampaignRoutes:
    """The handlers, with what they need."""

    def __init__(self, outbox: Outbox, pool: Pool, clock: Clock) -> None:
        self._outbox = outbox
        self._pool = pool
        self._clock = clock

    def routes(self) -> Sequence[Route]:
        view, refused = {200: CampaignView}, {404: Problem, 409: Problem, 422: Problem}
        return [
            self._route(
                "POST", _LIST, self.create, "Draft a campaign", {201: CampaignView, 422: Problem}, request=CampaignBody
            ),
            self._route("GET", _LIST, self.page, "List campaigns, the latest first", {200: CampaignPage}, query=CampaignQuery),
            self._route("GET", _ONE, self.get, "One campaign and where it is", {**view, 404: Problem}),
            self._route("PATCH", _ONE, self.change, "Change a draft", {**view, **refused}, request=ChangeCampaign),
            self._route("DELETE", _ONE, self.delete, "Delete a draft", {204: None, 404: Problem, 409: Problem}),
            self._route(
                "POST",
                f"{_ONE}/preflight",
                self.preflight,
                "Look a draft over",
                {202: PreflightView, **refused},
                description="Finds the audience and renders each message, and sends nothing. Read the result with GET.",
            ),
            self._route(
                "GET", f"{_ONE}/preflight", self.get_preflight, "What a preflight has found", {200: PreflightView, 404: Problem}
            ),
            self._route(
                "POST",
                f"{_ONE}/start",
                self._acting(campaigns.start, 202),
                "Start a draft",
                {202: CampaignView, **refused},
                description="The audience is frozen now; messages leave from `starts_at` on.",
            ),
            self._route(
                "POST",
                f"{_ONE}/pause",
                self._acting(campaigns.pause),
                "Pause a campaign",
                {**view, **refused},
                description="Nothing more leaves until it is resumed.",
            ),
            self._route("POST", f"{_ONE}/resume", self._acting(campaigns.resume), "Resume a campaign", {**view, **refused}),
            self._route(
                "POST",
                f"{_ONE}/cancel",
                self._acting(campaigns.cancel),
                "Cancel a campaign",
                {**view, **refused},
                description="Whatever has not left ends as `canceled`.",
            ),
            self._route(
                "GET",
                f"{_ONE}/stats",
                self.stats,
                "Figures by variant, by failure and over time",
                {200: CampaignStats, 404: Problem},
                query=StatsQuery,
            ),
            self._route(
                "GET",
                f"{_ONE}/recipients",
                self.recipients,
                "What became of each recipient",
                {200: RecipientPage, 400: Problem, 404: Problem},
                query=RecipientQuery,
            ),
            self._route(
                "GET",
                f"{_ONE}/recipients.csv",
                self.recipients_csv,
                "What became of each recipient, as CSV",
                {200: None, 404: Problem},
                query=RecipientStateQuery,
                produces=CSV,
                description="A cell that a spreadsheet could take for a formula begins with an apostrophe. Phone numbers keep "
                "their plus sign: with digits alone behind it they can be nothing but numbers.",
            ),
        ]

    def _route(
        self,
        method: str,
        path: str,
        handler: Handler,
        summary: str,
        responses: Mapping[int, type[BaseModel] | None],
        **rest: Any,
    ) -> Route:
        return Route(
            method,
            path,
            handler,
            summary,
            TAG,
            responses=responses,
            access=Access.INTERNAL,
            body_limit_bytes=BODY_LIMIT,
            idempotent=method in {"POST", "PATCH"},
            **rest,
        )

    async def create(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(CampaignBody, data)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            campaign = await campaigns.create(unit, self._asker(request), body)
            return 201, json_bytes(_view(campaign, self._clock.now()))

        return await once(self._outbox, request, data, effect)

    async def change(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(ChangeCampaign, data)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            campaign = await campaigns.change(unit, self._asker(request), _id(request), body)
            return 200, json_bytes(_view(campaign, self._clock.now()))

        return await once(self._outbox, request, data, effect)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        await read_body(request, ())
        async with self._outbox.transaction() as unit:
            await campaigns.delete(unit, self._asker(request), _id(request))
        return web.Response(status=204)

    def _acting(self, act: Act, status: int = 200) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            data = await read_body(request, ())

            async def effect(unit: Unit) -> tuple[int, bytes]:
                campaign = await act(unit, self._asker(request), _id(request))
                return status, json_bytes(_view(campaign, self._clock.now()))

            return await once(self._outbox, request, data, effect)

        return handle

    async def preflight(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request, ())

        async def effect(unit: Unit) -> tuple[int, bytes]:
            campaign = await campaigns.preflight(unit, self._asker(request), _id(request))
            return 202, json_bytes(await self._preflight_view(unit.connection, campaign))

        return await once(self._outbox, request, data, effect)

    async def get_preflight(self, request: web.Request) -> web.StreamResponse:
        campaign = await self._campaign(request)
        return json_response(await self._preflight_view(self._pool, campaign))

    async def _preflight_view(self, connection: Connection | Pool, campaign: Campaign) -> PreflightView:
        view = await campaign_preflight.look(connection, campaign, body_of(campaign), self._clock.now())
        if view is None:
            raise Rejected("preflight.none", "There was no preflight since the campaign was changed; POST one.", 404)
        return view

    async def page(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, CampaignQuery)
        before = _decode(query.cursor, lambda text: is_id(text, "cmp"))
        tenant_id, now = tenant_of(request), self._clock.now()
        rows = await store.page(self._pool, tenant_id, before=before, limit=query.limit + 1, state=query.state, now=now)
        page = rows[: query.limit]
        more = _encode(page[-1]["id"]) if len(rows) > query.limit else None
        counts = await reports.counts_of(self._pool, [row["run_id"] for row in page if row["run_id"] is not None])
        return json_response(CampaignPage(data=[_summary(row, counts.get(row["run_id"])) for row in page], next_cursor=more))

    async def get(self, request: web.Request) -> web.StreamResponse:
        campaign = await self._campaign(request)
        progress = await reports.progress(self._pool, campaign, self._clock.now())
        return json_response(_view(campaign, self._clock.now(), progress))

    async def stats(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, StatsQuery)
        campaign = await self._campaign(request)
        return json_response(await reports.stats(self._pool, campaign, _variants(campaign), query.interval))

    async def recipients(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, RecipientQuery)
        cursor = _decode(query.cursor, lambda text: text.isdecimal() and len(text) < 19)
        campaign = await self._campaign(request)
        rows = await self._recipients(campaign, query.state, -1 if cursor is None else int(cursor), query.limit + 1)
        page, names = rows[: query.limit], _variants(campaign)
        more = _encode(str(page[-1]["position"])) if len(rows) > query.limit else None
        return json_response(RecipientPage(data=[_recipient(row, names) for row in page], next_cursor=more))

    async def recipients_csv(self, request: web.Request) -> web.StreamResponse:
        """Page by page, each read when the one before has gone out: no memory and no connection is kept for a slow reader."""
        query = read_query(request, RecipientStateQuery)
        campaign = await self._campaign(request)
        response = web.StreamResponse(
            headers={
                "Content-Type": f"{CSV}; charset=utf-8",
                "Content-Disposition": f'attachment; filename="{campaign.id}.csv"',
                "Cache-Control": "no-store",
            }
        )
        await response.prepare(request)
        await response.write(csv_line(CSV_COLUMNS))
        names, after = _variants(campaign), -1
        while rows := await self._recipients(campaign, query.state, after, CSV_ROWS):
            await response.write(b"".join(csv_line(_cells(_recipient(row, names))) for row in rows))
            if len(rows) < CSV_ROWS:
                break
            after = rows[-1]["position"]
        await response.write_eof()
        return response

    async def _recipients(
        self, campaign: Campaign, state: RecipientState | None, after: int, limit: int
    ) -> list[asyncpg.Record]:
        if campaign.run is None:
            return []
        return await recipients(self._pool, campaign.run.id, state=state, after=after, limit=limit)

    def _asker(self, request: web.Request) -> Asker:
        client = request.headers.get(CLIENT_HEADER, "")
        return Asker(tenant_of(request), client if _CLIENT.fullmatch(client) else TENANT, self._clock.now())

    async def _campaign(self, request: web.Request) -> Campaign:
        campaign = await store.find(self._pool, tenant_of(request), _id(request))
        if campaign is None:
            raise campaigns.unknown()
        return campaign


def _view(campaign: Campaign, now: datetime, progress: Progress | None = None) -> CampaignView:
    return CampaignView.model_validate(
        {
            **campaign.definition,
            "id": campaign.id,
            "state": campaign.state(now),
            "history": [_transition(change) for change in campaign.changes(now)],
            "progress": progress,
            "created_at": campaign.created_at,
            "updated_at": campaign.updated_at,
        }
    )


def _summary(row: asyncpg.Record, counts: Counts | None) -> CampaignSummary:
    return CampaignSummary(
        id=row["id"],
        name=row["name"],
        state=row["state"],
        progress=counts,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _transition(change: Change) -> Transition:
    return Transition(state=change.state, at=change.at, by=change.by or PLATFORM, code=change.code, detail=change.detail)


def _variants(campaign: Campaign) -> list[str]:
    """Their names, by place."""
    return [variant.name for variant in variants_of(body_of(campaign))]


def _recipient(row: asyncpg.Record, names: Sequence[str]) -> RecipientView:
    return RecipientView(
        to=row["phone"],
        contact_id=row["contact_id"],
        variant=reports.variant_name(names, row["variant"]),
        state=row["state"],
        message_id=row["message_id"],
        code=row["code"],
        detail=row["detail"],
        ended_at=row["ended_at"],
        delivered_at=row["delivered_at"],
        read_at=row["read_at"],
        failed_at=row["failed_at"],
    )


def _cells(recipient: RecipientView) -> list[str | None]:
    values = (getattr(recipient, name) for name in CSV_COLUMNS)
    return [value.isoformat() if isinstance(value, datetime) else value for value in values]


def _id(request: web.Request) -> str:
    return request.match_info["campaign_id"]


def _encode(place: str) -> str:
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _decode(cursor: str | None, is_place: Callable[[str], bool]) -> str | None:
    if cursor is None:
        return None
    try:
        place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        place = ""
    if not is_place(place):
        raise Rejected("cursor.invalid", "The cursor is not one that this list has given.", 400)
    return place
