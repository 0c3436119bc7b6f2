"""The archive's door: tenants are authenticated here, then the archive answers through us."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import aiohttp
from aiohttp import web

from services.archive.payloads import (
    ConversationPage,
    ConversationPayload,
    EntryPage,
    PageQuery,
    SearchPage,
    SearchQuery,
)
from shared.errors import Rejected
from shared.http.problem import Problem
from shared.http.routes import REQUEST_ID, TENANT_ID, Route
from shared.telemetry.tracing import current_traceparent

TAG: Final = "Archive"
_ID: Final = "{conversation_id:cnv_[0-9a-v]{26}}"
_CHUNK: Final = 65_536
_PASSED_ON: Final = ("Content-Type", "Retry-After", "Cache-Control", "ETag")


class ArchiveRoutes:
    """Streams the archive's answers through. `token` is the internal one; the tenant goes along in a header."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._token = token

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "GET",
                "/api/conversations",
                self.forward,
                "List conversations, the latest first",
                TAG,
                query=PageQuery,
                responses={200: ConversationPage, 400: Problem},
            ),
            Route(
                "GET",
                f"/api/conversations/{_ID}",
                self.forward,
                "One conversation",
                TAG,
                responses={200: ConversationPayload, 404: Problem},
            ),
            Route(
                "GET",
                f"/api/conversations/{_ID}/entries",
                self.forward,
                "Entries of a conversation, newest first",
                TAG,
                query=PageQuery,
                responses={200: EntryPage, 400: Problem, 404: Problem},
            ),
            Route(
                "GET",
                "/api/search",
                self.forward,
                "Search everything that was said",
                TAG,
                query=SearchQuery,
                responses={200: SearchPage, 400: Problem},
            ),
        ]

    async def forward(self, request: web.Request) -> web.StreamResponse:
        headers = {
            "Authorization": f"Bearer {self._token}",
            "X-Chasqui-Tenant": request[TENANT_ID],
            "X-Request-Id": request[REQUEST_ID],
            "Accept-Encoding": "identity",
        }
        if traceparent := current_traceparent():
            headers["traceparent"] = traceparent
        try:
            async with self._session.get(
                f"{self._url}{request.rel_url.raw_path_qs}", headers=headers, allow_redirects=False
            ) as answer:
                passed_on = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
                response = web.StreamResponse(status=answer.status, headers=passed_on)
                if answer.content_length is not None and answer.content_length <= _CHUNK:
                    return web.Response(status=answer.status, headers=passed_on, body=await answer.read())
                await response.prepare(request)
                async for chunk in answer.content.iter_chunked(_CHUNK):
                    await response.write(chunk)
                await response.write_eof()
                return response
        except (TimeoutError, aiohttp.ClientConnectionError):
            raise Rejected(
                "archive.unavailable", "The archive cannot be reached now; try again.", 503, retry_after_seconds=1
            ) from None
