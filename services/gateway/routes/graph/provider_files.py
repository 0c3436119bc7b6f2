"""Files that are the provider's still: the address that a description names is ours, opens without a token and streams the file.

The provider's own address wants the stored token, which callers do not have. Sources: WhatsApp Cloud API, media, read 2026-11.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import aiohttp
import structlog
from aiohttp import web

from services.gateway.domain.media import LARGEST_BYTES, UNTYPED, clean_type
from services.gateway.domain.media_url import MediaUrls
from services.gateway.graph.client import GraphAnswer, GraphClient, GraphFailed
from services.gateway.routes.graph.call import Call
from services.gateway.routes.graph.errors import AWAY, FAILED, PARAMETER, GraphRejected, failure, refusal, unknown_node
from shared.clock import Clock
from shared.escaped_json import escaped_json
from shared.http.downloads import WRITE_SECONDS
from shared.http.routes import Access, Route
from shared.ids import TenantId

log = structlog.get_logger(__name__)

AT_ONCE: Final = 8
"""Files on their way through one process: their connections are the workers' too."""
FILE_SECONDS: Final = 300.0
_FILE: Final = r"{file:tnt_[0-9a-v]{26}\.[0-9]{1,40}\.[0-9]{1,40}}"
_HEADERS: Final = {
    "Accept-Ranges": "none",
    "Cache-Control": "private, no-store",
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Referrer-Policy": "no-referrer",
}


class ProviderFiles:
    """The addresses, and who answers them. `client` bears that a file takes its time."""

    def __init__(self, client: GraphClient, urls: MediaUrls, public_url: str, clock: Clock) -> None:
        self._client = client
        self._urls = urls
        self._public_url = public_url
        self._clock = clock
        self._turns = asyncio.Semaphore(AT_ONCE)

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "GET",
                f"/api/media/{_FILE}/signed",
                self.send,
                "Download a file that the provider has",
                "Cloud API",
                access=Access.PUBLIC,
                produces="*/*",
                documented=False,
                failure=failure,
            )
        ]

    def readdressed(self, call: Call, speaker: str, found: GraphAnswer) -> GraphAnswer:
        """The provider's answer in the name of `speaker`; where it describes a file, with our address of it."""
        document = found.document if found.status == 200 and call.method == "GET" and call.node_id.isdigit() else None
        if not isinstance(document, dict) or not isinstance(document.get("url"), str):
            return found
        urls = self._urls if self._public_url else replace(self._urls, base=call.origin)
        url, _ = urls.sign(f"{call.tenant_id}.{speaker}.{call.node_id}", self._clock.now().timestamp())
        return replace(found, body=escaped_json({**document, "url": url}))

    async def send(self, request: web.Request) -> web.StreamResponse:
        """The file, as the provider gives it now."""
        file, query = request.match_info["file"], request.query
        now = self._clock.now().timestamp()
        if not self._urls.is_valid(file, query.get("expires", ""), query.get("signature", ""), now):
            raise refusal(PARAMETER, "The address is not valid any more; ask for the file again.", status=404)
        if self._turns.locked():
            raise refusal(AWAY, "Too many files are on their way; try again.")
        tenant_id, speaker, media_id = file.split(".")
        try:
            async with self._turns, asyncio.timeout(FILE_SECONDS):
                url = await self._address(TenantId(tenant_id), speaker, media_id)
                async with self._client.download(TenantId(tenant_id), speaker, url) as found:
                    return await _streamed(request, found)
        except GraphFailed as failed:
            log.warning("graph.file_not_given", code=failed.code, tenant_id=tenant_id)
            if failed.code == "number.unknown":
                raise unknown_node("get", media_id) from None
            raise refusal(AWAY if failed.is_away else FAILED, "The provider did not give the file.") from None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            if request.writer.output_size > 0:  # a part of it is out
                raise ConnectionResetError from error
            raise refusal(AWAY, "The provider did not give the file; try again.") from None

    async def _address(self, tenant_id: TenantId, speaker: str, media_id: str) -> str:
        """Where the provider has it for now. Raises `Rejected`, `GraphFailed`."""
        document = (await self._client.call(tenant_id, speaker, "GET", media_id, counted=False)).document
        url = document.get("url") if isinstance(document, dict) else None
        if not isinstance(url, str):
            raise _gone()
        return url


async def _streamed(request: web.Request, found: aiohttp.ClientResponse) -> web.StreamResponse:
    size = None if "Content-Encoding" in found.headers else found.content_length
    if found.status != 200 or (size or 0) > LARGEST_BYTES:
        raise _gone()
    response = web.StreamResponse(headers=_HEADERS)
    response.content_type = clean_type(found.headers.get("Content-Type")) or UNTYPED
    response.content_length = size
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    sent = 0
    while part := await found.content.readany():
        sent += len(part)
        if sent > LARGEST_BYTES:
            raise ConnectionResetError
        await asyncio.wait_for(response.write(part), WRITE_SECONDS)
    await response.write_eof()
    return response


def _gone() -> GraphRejected:
    return refusal(PARAMETER, "The provider does not give this file any more.", status=404)
