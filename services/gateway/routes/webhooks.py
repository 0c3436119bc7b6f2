"""The provider's door: the handshake, and payloads that are answered once they are durable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from services.gateway.connections import token_digest
from services.gateway.payloads.webhooks import VerifyQuery
from services.gateway.store import numbers as store
from services.gateway.webhooks.intake import Intake
from shared.auth.signatures import HEADER, is_signature
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http.faults import text_fault
from shared.http.problem import Problem
from shared.http.requests import read_body
from shared.http.routes import JSON, MIB, Access, Route
from shared.telemetry.tracing import current_traceparent

TAG: Final = "Webhooks"
PATH: Final = "/api/webhooks/whatsapp"
BODY_LIMIT: Final = 3 * MIB
"""Meta's payloads are up to 3 MB (WhatsApp Cloud API, webhooks, read 2026-11)."""
LONGEST_CHALLENGE: Final = 200
_OF_NUMBER: Final = f"{PATH}/{{number_id:num_[0-9a-v]{{26}}}}"
_ABOUT: Final = f"Signed with the app secret in {HEADER}; answered once the payload is durable, whatever it holds."


class WebhookRoutes:
    """The handlers, with what they need."""

    def __init__(self, intake: Intake, pool: Pool) -> None:
        self._intake = intake
        self._pool = pool

    def routes(self) -> Sequence[Route]:
        return [
            self._handshake(PATH, "The provider's handshake"),
            self._updates(PATH, "The provider's updates", _ABOUT),
            self._handshake(_OF_NUMBER, "The provider's handshake, for one number"),
            self._updates(
                _OF_NUMBER,
                "The provider's updates, on the way to one number",
                f"{_ABOUT} The number in the path must have that secret, and every number that the payload speaks of.",
            ),
        ]

    def _handshake(self, path: str, summary: str) -> Route:
        return Route(
            "GET",
            path,
            self.verify,
            summary,
            TAG,
            query=VerifyQuery,
            query_example={
                "hub.mode": "subscribe",
                "hub.challenge": "1158201444",
                "hub.verify_token": "your-verify-token",
            },
            responses={200: None, 403: Problem},
            access=Access.PUBLIC,
            produces="text/plain",
        )

    def _updates(self, path: str, summary: str, description: str) -> Route:
        return Route(
            "POST",
            path,
            self.receive,
            summary,
            TAG,
            responses={200: None, 401: Problem},
            access=Access.PUBLIC,
            body_limit_bytes=BODY_LIMIT,
            accepts=(JSON,),
            description=description,
        )

    async def verify(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        token, challenge = query.get("hub.verify_token", ""), query.get("hub.challenge", "")
        is_sane = 0 < len(challenge) <= LONGEST_CHALLENGE and challenge.isprintable() and text_fault(token) is None
        if query.get("hub.mode") != "subscribe" or not is_sane or not await self._is_known(request, token):
            detail = "The verify token belongs to no number that is connected here, or this is no handshake."
            raise Rejected("webhook.token_unknown", detail, 403)
        return web.Response(text=challenge, content_type="text/plain")

    async def receive(self, request: web.Request) -> web.StreamResponse:
        signature = request.headers.get(HEADER)
        if not is_signature(signature):
            raise self._intake.unsigned()  # before the body is read: anybody can send three megabytes
        body = await read_body(request, ())
        await self._intake.take(body, signature, current_traceparent(), request.match_info.get("number_id"))
        return web.Response()

    async def _is_known(self, request: web.Request, token: str) -> bool:
        number_id, digest = request.match_info.get("number_id"), token_digest(token)
        if number_id is not None:
            return await store.verify_token_of(self._pool, number_id, digest)
        return await store.verify_token_known(self._pool, digest)
