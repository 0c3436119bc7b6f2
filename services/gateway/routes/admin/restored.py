"""After a restore from a backup: what may have been sent already, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from services.gateway.operations.others import AllServices, ServiceAway
from services.gateway.operators import note
from services.gateway.routes.admin.operation import operation
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http.requests import read_model
from shared.http.responses import json_response
from shared.http.routes import Route
from shared.operations.payloads import Decide, Decided, RestoredState

PATH: Final = "/admin/restored"


class RestoredRoutes:
    """The handlers, with what they need."""

    def __init__(self, services: AllServices, pool: Pool) -> None:
        self._services = services
        self._pool = pool

    def routes(self) -> Sequence[Route]:
        return [
            operation(
                "GET",
                PATH,
                self.show,
                "What waits for a decision since a restore",
                RestoredState,
                503,
                description="Messages that were due before the database was restored from a backup, which does not know whether "
                "they were sent after it was taken. Each is `unknown` until a report settles it, or for good.",
            ),
            operation(
                "POST",
                PATH,
                self.decide,
                "Send or give up what waits since a restore",
                Decided,
                503,
                request=Decide,
                request_examples={
                    "number": {"decision": "send", "number_id": "num_06a8b2c4d0e1f2g3h4i5j6k7l8"},
                    "everything": {"decision": "discard"},
                },
                description="Of a tenant, a number, single messages or all; 10,000 at a time.",
            ),
        ]

    async def show(self, _: web.Request) -> web.StreamResponse:
        try:
            return json_response(await self._services.restored())
        except ServiceAway:
            raise _away() from None

    async def decide(self, request: web.Request) -> web.StreamResponse:
        wish = await read_model(request, Decide)
        chosen = {
            "tenant_id": wish.tenant_id,
            "number_id": wish.number_id,
            "messages": None if wish.message_ids is None else len(wish.message_ids),
        }
        facts = {name: value for name, value in chosen.items() if value is not None}
        await note(self._pool, request, f"restored.{wish.decision}", "messages", **facts)
        try:
            return json_response(await self._services.decide(wish))
        except ServiceAway:
            raise _away() from None


def _away() -> Rejected:
    return Rejected("sender.unavailable", "The sender does not answer now; again is safe.", 503, retry_after_seconds=2)
