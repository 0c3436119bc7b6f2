"""Answers that are kept for the next one who asks, and not sent again to whoever has them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from pydantic import BaseModel

from services.archive.cache import Reads, conversation_group, etag_of, tenant_group
from services.archive.nearby import Kept
from shared.http.internal import tenant_of
from shared.http.responses import json_bytes
from shared.ids import TenantId

CACHE_CONTROL: Final = "private, no-cache"
"""May be kept by whoever asked, and is asked for again before it is shown again."""
LONGEST_QUESTION: Final = 600
"""Characters; what asks for more with so many is refused, or asked once."""

Load = Callable[[], Awaitable[BaseModel]]
"""Reads the answer. Raises `Rejected` where there is none."""

Get = Callable[[str, str, int, Callable[[], Awaitable[bytes]]], Awaitable[Kept | None]]
"""One of those that `Reads` has."""


class Answers:
    """By conversation and by tenant, each for so many seconds."""

    def __init__(self, reads: Reads, *, conversation_seconds: int, list_seconds: int) -> None:
        self.reads = reads
        self.conversation_seconds = conversation_seconds
        self.list_seconds = list_seconds

    async def about_conversation(self, request: web.Request, load: Load) -> web.Response:
        """Of the conversation that the path names."""
        group, seconds = self._of_conversation(request.match_info["conversation_id"])
        return _answer(request, await self._kept(self.reads.get, group, seconds, *_question(request), load))

    async def about_tenant(self, request: web.Request, load: Load) -> web.Response:
        """Of what any conversation of the tenant can change."""
        group = tenant_group(tenant_of(request))
        return _answer(request, await self._kept(self.reads.get, group, self.list_seconds, *_question(request), load))

    async def about_group(self, request: web.Request, group: str, seconds: int, load: Load) -> web.Response:
        """Of what stands in a group of its own."""
        return _answer(request, await self._kept(self.reads.get, group, seconds, *_question(request), load))

    async def ready(self, conversation_id: str, tenant: TenantId, question: str, load: Load) -> Kept:
        """The answer to a question (path and query, as they will come) about a conversation, kept for whoever asks it."""
        return await self._kept(self.reads.make_ready, *self._of_conversation(conversation_id), tenant, question, load)

    async def beside(self, conversation_id: str, tenant: TenantId, question: str, load: Load) -> Kept:
        """As `ready`, for what the answer to another question needs while it is loaded."""
        return await self._kept(self.reads.beside, *self._of_conversation(conversation_id), tenant, question, load)

    def _of_conversation(self, conversation_id: str) -> tuple[str, int]:
        return conversation_group(conversation_id), self.conversation_seconds

    async def _kept(self, get: Get, group: str, seconds: int, tenant: TenantId, question: str, load: Load) -> Kept:
        async def loaded() -> bytes:
            return json_bytes(await load())

        kept = None
        if len(question) <= LONGEST_QUESTION:
            kept = await get(group, f"{tenant} {question}", seconds, loaded)
        if kept is None:
            body = await loaded()
            kept = Kept(etag_of(body), body)
        return kept


def _question(request: web.Request) -> tuple[TenantId, str]:
    return tenant_of(request), request.rel_url.raw_path_qs


def _answer(request: web.Request, kept: Kept) -> web.Response:
    """A weak tag: on its way an answer may be compressed."""
    headers = {"ETag": f'W/"{kept.etag}"', "Cache-Control": CACHE_CONTROL}
    known = request.headers.get("If-None-Match")
    if known is not None and (f'"{kept.etag}"' in known or known.strip() == "*"):
        return web.Response(status=304, headers=headers)
    return web.Response(body=kept.body, content_type="application/json", headers=headers)
