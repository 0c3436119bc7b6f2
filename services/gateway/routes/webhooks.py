"""The provider's door: the handshake, and payloads that are answered once they are durable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from services.gateway.connections import token_digest
from services.gateway.intake import Intake
from services.gateway.payloads.webhooks import VerifyQuery
from services.gateway.store import numbers as store
from shared.auth.signatures import HEADER
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http.problem import Problem
from shared.http.requests import read_body
from shared.http.routes import JSON, MIB, Access, Route
from shared.telemetry.tracing import current_traceparent

TAG: Final = "Webhooks"
PATH: Final = "/api/webhooks/whatsapp"
BODY_LIMIT: Final = 4 * MIB
"""Meta's payloads are up to 3 MB."""


class WebhookRoutes:
    """The handlers, with what they need."""

    def __init__(self, intake: Intake, pool: Pool) -> None:
        self._intake = intake
        self._pool = pool

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "GET",
                PATH,
                self.verify,
                "The provider's handshake",
                TAG,
                query=VerifyQuery,
                responses={200: None, 403: Problem},
                access=Access.PUBLIC,
                produces="text/plain",
            ),
            Route(
                "POST",
                PATH,
                self.receive,
                "The provider's updates",
                TAG,
                responses={200: None, 401: Problem},
                access=Access.PUBLIC,
                body_limit_bytes=BODY_LIMIT,
                accepts=(JSON,),
                description=f"Signed with the app secret in {HEADER}; answered once the payload is durable.",
            ),
        ]

    async def verify(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        token, challenge = query.get("hub.verify_token", ""), query.get("hub.challenge", "")
        known = query.get("hub.mode") == "subscribe" and await store.verify_token_known(self._pool, token_digest(token))
        if not known or not challenge.isalnum() or not challenge.isascii():
            raise Rejected("webhook.token_unknown", "The verify token belongs to no number that is connected.", 403)
        return web.Response(text=challenge, content_type="text/plain")

    async def receive(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request, ())
        await self._intake.take(body, request.headers.get(HEADER), current_traceparent())
        return web.Response()
