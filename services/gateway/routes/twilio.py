"""Twilio's door: status callbacks and what people wrote, answered once they are durable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from services.gateway.domain.twilio import ATTEMPT_PARAMETER, PATH, SIGNATURE_HEADER
from services.gateway.routes.webhooks import TAG
from services.gateway.webhooks.twilio import TwilioIntake
from shared.http.problem import Problem
from shared.http.requests import read_body
from shared.http.routes import Access, Route
from shared.telemetry.tracing import current_traceparent

FORM: Final = "application/x-www-form-urlencoded"
BODY_LIMIT: Final = 65_536
NOTHING_TO_DO: Final = "<Response/>"
"""TwiML for "no answer"; a plain text would be sent to whoever wrote."""


class TwilioRoutes:
    """The handler, with what it needs."""

    def __init__(self, intake: TwilioIntake) -> None:
        self._intake = intake

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "POST",
                f"{PATH}/{{number_id:num_[0-9a-v]{{26}}}}",
                self.receive,
                "Twilio's updates",
                TAG,
                responses={200: None, 401: Problem},
                access=Access.PUBLIC,
                body_limit_bytes=BODY_LIMIT,
                accepts=(FORM,),
                produces="text/xml",
                description=f"Signed with the auth token in {SIGNATURE_HEADER}; answered once the form is durable.",
            )
        ]

    async def receive(self, request: web.Request) -> web.StreamResponse:
        await self._intake.take(
            request.match_info["number_id"],
            request.raw_path,
            request.query.get(ATTEMPT_PARAMETER),
            await read_body(request),
            request.headers.get(SIGNATURE_HEADER),
            current_traceparent(),
        )
        return web.Response(text=NOTHING_TO_DO, content_type="text/xml")
