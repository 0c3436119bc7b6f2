"""A tenant's settings: look, change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from services.gateway import tenant_settings
from services.gateway.domain.tenant_settings import TenantSettings
from services.gateway.payloads.settings import ChangeSettings, HoursView, SettingsView
from services.gateway.store import settings as store
from shared.bus.outbox import Outbox, Unit
from shared.db.pool import Pool
from shared.http.requests import read_body, validate
from shared.http.responses import json_bytes, json_response
from shared.http.routes import TENANT_ID, Route
from shared.idempotency import once
from shared.ids import TenantId

TAG: Final = "Settings"


class SettingsRoutes:
    """The handlers, with what they need."""

    def __init__(self, outbox: Outbox, pool: Pool) -> None:
        self._outbox = outbox
        self._pool = pool

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "GET", "/api/settings", self.get, "Your time zone, quiet hours and keywords", TAG, responses={200: SettingsView}
            ),
            Route(
                "PATCH",
                "/api/settings",
                self.change,
                "Change your time zone, quiet hours and keywords",
                TAG,
                request=ChangeSettings,
                responses={200: SettingsView},
                idempotent=True,
                request_examples={
                    "quiet nights": {"time_zone": "America/Lima", "hours": {"quiet": [{"start": "21:00", "end": "08:00"}]}}
                },
            ),
        ]

    async def get(self, request: web.Request) -> web.StreamResponse:
        return json_response(_view(await store.find(self._pool, TenantId(request[TENANT_ID]))))

    async def change(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(ChangeSettings, data)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            return 200, json_bytes(_view(await tenant_settings.change(unit, TenantId(request[TENANT_ID]), body)))

        return await once(self._outbox, request, data, effect)


def _view(settings: TenantSettings) -> SettingsView:
    hours = settings.hours
    return SettingsView(
        revision=settings.revision,
        time_zone=settings.time_zone,
        hours=None if hours is None else HoursView(quiet=hours.quiet, allowed=hours.allowed),
        stop_words=settings.stop_words,
        start_words=settings.start_words,
    )
