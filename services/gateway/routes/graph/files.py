"""Files at the front door: uploaded, described and removed under the digits that clients know them by.

The address that a description names opens without a token: not all clients send theirs. What is no file of the tenant's is the
provider's business. Sources: WhatsApp Cloud API, media; what its clients send and read; read 2026-11.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from aiohttp import BodyPartReader, MultipartReader, web

from services.gateway.domain.media import BadFile, MediaRecord
from services.gateway.domain.media_url import MediaUrls
from services.gateway.graph.nodes import Nodes
from services.gateway.media import Media, Taken
from services.gateway.media_fetch import Fetcher
from services.gateway.routes.graph.call import BROKEN_FORM, MULTIPART, Call, answer, refuse_too_large
from services.gateway.routes.graph.errors import AWAY, JSON_UTF8, MISSING, PARAMETER, refusal, unknown_node
from services.gateway.routes.graph.passing import Passage
from services.gateway.routes.graph.provider_files import ProviderFiles
from services.gateway.store import graph_nodes as store
from shared.bus.outbox import Outbox, Unit
from shared.clock import Clock
from shared.escaped_json import escaped_json
from shared.idempotency import once
from shared.ids import TenantId
from shared.objects.store import ObjectsAway

UPLOAD_SECONDS: Final = 300.0
NOT_UPLOADED: Final = 131053
_FIELD_BYTES: Final = 4 * 1024
_MAX_PARTS: Final = 20
_CHUNK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class FileOperations:
    """The operations on files, with what they need. `public_url` is empty where callers reach us at what they call."""

    media: Media
    fetcher: Fetcher
    urls: MediaUrls
    public_url: str
    outbox: Outbox
    nodes: Nodes
    passage: Passage
    elsewhere: ProviderFiles
    clock: Clock

    async def own_ids(self, tenant_id: TenantId, digits: set[str]) -> Mapping[str, str]:
        """Which files of the tenant's are called so; those that are not the tenant's are left out."""
        return await store.media_ids(self.media.pool, tenant_id, digits)

    async def upload(self, call: Call) -> web.StreamResponse:
        """`POST /{phone_number_id}/media`."""
        if await self.nodes.number(call.tenant_id, call.node_id) is None:
            raise unknown_node("post", call.node_id)
        if call.request.content_type != MULTIPART:
            raise refusal(PARAMETER, f"Send the file as {MULTIPART}.")
        refuse_too_large(call)
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                taken = await self._taken(call, await call.request.multipart())
        except BadFile as fault:
            raise refusal(NOT_UPLOADED, fault.detail) from None
        except ObjectsAway:
            raise refusal(AWAY, "Files cannot be kept now; try again.") from None
        except TimeoutError:
            raise refusal(PARAMETER, "The file came too slowly; send it again.") from None
        except BROKEN_FORM:
            raise refusal(PARAMETER, "The form is broken, or did not come whole.") from None

        async def effect(unit: Unit) -> tuple[int, bytes]:
            record = await self.media.name(unit, call.tenant_id, taken)
            assert record is not None  # it came with no message
            return 200, escaped_json({"id": str(record.wire_id)})

        response = await once(self.outbox, call.request, taken.what.sha256, effect)
        response.headers["Content-Type"] = JSON_UTF8
        return response

    async def show(self, call: Call) -> web.StreamResponse:
        """`GET /{media_id}`, and of any other object what the provider says."""
        record = await self._record(call)
        if record is None:
            speaker, found = await self.passage.asked(call)
            return await self.passage.answered(call, self.elsewhere.readdressed(call, speaker, found))
        urls = self.urls if self.public_url else replace(self.urls, base=call.origin)
        url, _ = urls.sign(record.id, self.clock.now().timestamp())
        document = {
            "url": url,
            "mime_type": record.mime_type,
            "sha256": record.sha256,
            "file_size": str(record.size_bytes),  # the documented form; whoever wants a number reads one from it
            "id": call.node_id,
            "messaging_product": "whatsapp",
        }
        if fields := call.query.get("fields"):
            wanted = {field.strip() for field in fields.split(",")} | {"id"}
            document = {name: value for name, value in document.items() if name in wanted}
        return answer(call, document)

    async def delete(self, call: Call) -> web.StreamResponse:
        """`DELETE /{media_id}`, or of any other object."""
        record = await self._record(call)
        if record is None:
            return await self.passage.forward(call)
        async with self.outbox.transaction() as unit:
            await self.media.delete(unit, call.tenant_id, record.id)
        return answer(call, {"success": True})

    async def _record(self, call: Call) -> MediaRecord | None:
        """The tenant's file of that name, fetched now where it is still at the provider."""
        if any(call.node_id in (node.phone_number_id, node.account_id) for node in await self.nodes.all(call.tenant_id)):
            return None
        record = await self.media.of_wire(call.tenant_id, call.node_id)
        if record is not None or call.method == "DELETE":
            return record
        return await self.fetcher.hurry(call.tenant_id, call.node_id)

    async def _taken(self, call: Call, form: MultipartReader) -> Taken:
        """The file of the form, durable. Its fields may come behind it, or in the address."""
        fields = dict(call.query)
        taken: Taken | None = None
        for _ in range(_MAX_PARTS):
            part = await form.next()
            if part is None:
                break
            if not isinstance(part, BodyPartReader):
                raise refusal(PARAMETER, "The form is nested.")
            if part.name == "file" and taken is None:
                claimed = fields.get("type") or part.headers.get("Content-Type")
                taken = await self.media.take(call.tenant_id, _chunks(part), claimed=claimed, file_name=part.filename)
            else:
                fields[part.name or ""] = await _field(part)
        if taken is None:
            raise refusal(MISSING, "file is required.")
        if fields.get("messaging_product") != "whatsapp":
            raise refusal(PARAMETER, message="(#100) The parameter messaging_product is required.")
        return taken


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(_CHUNK):
        yield chunk


async def _field(part: BodyPartReader) -> str:
    value = bytearray()
    async for chunk in _chunks(part):
        value += chunk
        if len(value) > _FIELD_BYTES:
            raise ValueError("a field is too long")
    return value.decode()
