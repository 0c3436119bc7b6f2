"""Files: uploaded, listed, given out with a key or by an address that is signed, deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from services.gateway.domain.media import LARGEST_BYTES, BadFile, MediaRecord
from services.gateway.domain.media_url import VALID_SECONDS, MediaUrls
from services.gateway.media import Media
from services.gateway.payloads.media import MediaFile, MediaPage, MediaQuery, MediaView, SignedQuery, UploadQuery
from services.gateway.routes.contacts import tenant_of
from services.gateway.store import media as store
from shared.bus.outbox import Outbox, Unit
from shared.clock import Clock
from shared.errors import Rejected
from shared.http import downloads
from shared.http.downloads import Download
from shared.http.problem import Problem
from shared.http.requests import read_body, read_idempotency_key, read_query
from shared.http.responses import json_bytes, json_response
from shared.http.routes import Access, Route
from shared.http.uploads import FORM_BYTES, open_upload
from shared.idempotency import REPLAYED, once
from shared.ids import is_id
from shared.objects.store import NoObject

TAG: Final = "Media"
KEPT_SECONDS: Final = 3_600
"""A file never changes under its id; it may be deleted."""
_ID: Final = "{media_id:med_[0-9a-v]{26}}"
_STATUS: Final = {"media.too_large": 413, "media.type_malformed": 415}
_UNKNOWN: Final = Rejected("media.unknown", "There is no such file.", 404)


class MediaRoutes:
    """The handlers, with what they need."""

    def __init__(self, outbox: Outbox, media: Media, urls: MediaUrls, clock: Clock) -> None:
        self._outbox = outbox
        self._media = media
        self._urls = urls
        self._clock = clock

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "POST",
                "/api/media",
                self.upload,
                "Upload a file",
                TAG,
                request=MediaFile,
                query=UploadQuery,
                responses={201: MediaView, 408: Problem, 413: Problem, 415: Problem, 429: Problem},
                body_limit_bytes=LARGEST_BYTES + FORM_BYTES,
                accepts=("*/*", "multipart/form-data"),
                idempotent=True,
                description="The body is the file, with its media type as Content-Type, or a form with a part `file`. Sent as "
                "`image`, `video`, `audio`, `document` or `sticker` by its `id`, from any number; the provider gets it once per "
                "number. Limits: image 5 MB, audio and video 16 MB, sticker 100 KB, animated 500 KB, any other type 100 MB as "
                "document. A file whose bytes are not of the type it is said to have is refused; without a type, or with "
                "`application/octet-stream`, its bytes decide.",
                curl_options=("-H 'Content-Type: image/png'", "--data-binary @photo.png"),
            ),
            Route(
                "GET",
                "/api/media",
                self.list,
                "List files, newest first",
                TAG,
                query=MediaQuery,
                responses={200: MediaPage},
            ),
            Route("GET", f"/api/media/{_ID}", self.get, "Get a file's record", TAG, responses={200: MediaView, 404: Problem}),
            Route(
                "GET",
                f"/api/media/{_ID}/content",
                self.content,
                "Download a file",
                TAG,
                responses={200: None, 206: None, 304: None, 404: Problem, 416: Problem},
                produces="*/*",
                description="`Range` and `If-None-Match` are honoured.",
            ),
            Route(
                "GET",
                f"/api/media/{_ID}/signed",
                self.signed,
                "Download a file by its signed address",
                TAG,
                query=SignedQuery,
                responses={200: None, 206: None, 304: None, 404: Problem, 416: Problem},
                access=Access.PUBLIC,
                produces="*/*",
                description="The `url` of a file's record, good for five minutes; then 404: get the record again.",
                query_example={"expires": "$EXPIRES", "signature": "$SIGNATURE"},
            ),
            Route(
                "DELETE",
                f"/api/media/{_ID}",
                self.delete,
                "Delete a file",
                TAG,
                responses={204: None, 404: Problem},
                description="What was sent with it stays sent; what is still to be sent with it fails. The provider is asked to "
                "delete its copies.",
            ),
        ]

    async def upload(self, request: web.Request) -> web.StreamResponse:
        query, tenant_id = read_query(request, UploadQuery), tenant_of(request)
        read_idempotency_key(request)  # a malformed one is refused before the file is read
        upload = await open_upload(request)
        file_name = upload.file_name or query.file_name
        try:
            taken = await self._media.take(tenant_id, upload.parts, claimed=upload.claimed, file_name=file_name)
        except BadFile as fault:
            raise Rejected(fault.code, fault.detail, _STATUS.get(fault.code, 422)) from None

        async def effect(unit: Unit) -> tuple[int, bytes]:
            record = await self._media.name(unit, tenant_id, taken)
            assert record is not None  # it came with no message
            return 201, json_bytes(self._view(request, record))

        said = f"{taken.nature.mime_type}\n{taken.file_name}".encode()
        response = await once(self._outbox, request, taken.what.sha256 + said, effect)
        if REPLAYED in response.headers:
            self._sign_anew(request, response)
        return response

    async def list(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, MediaQuery)
        if query.cursor is not None and not is_id(query.cursor, "med"):
            raise Rejected("cursor.invalid", "The cursor is not one that this list has given.", 400)
        found = await store.page(
            self._media.pool,
            tenant_of(request),
            before=query.cursor,
            limit=query.limit + 1,
            kind=query.kind,
            number_id=query.number_id,
            wamid=query.wamid,
        )
        page = found[: query.limit]
        more = page[-1].id if len(found) > query.limit else None
        return json_response(MediaPage(data=[self._view(request, record) for record in page], next_cursor=more))

    async def get(self, request: web.Request) -> web.StreamResponse:
        return json_response(self._view(request, await self._record(request)))

    async def content(self, request: web.Request) -> web.StreamResponse:
        return await self._send(request, await self._record(request), KEPT_SECONDS)

    async def signed(self, request: web.Request) -> web.StreamResponse:
        query, media_id = read_query(request, SignedQuery), request.match_info["media_id"]
        if not self._urls.is_valid(media_id, query.expires, query.signature, self._clock.now().timestamp()):
            raise Rejected("media.address_expired", "The address is not valid any more; get the file's record again.", 404)
        record = await store.any_of(self._media.pool, media_id)
        if record is None:
            raise _UNKNOWN
        return await self._send(request, record, VALID_SECONDS, is_embeddable=True)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        await read_body(request, ())
        async with self._outbox.transaction() as unit:
            if not await self._media.delete(unit, tenant_of(request), request.match_info["media_id"]):
                raise _UNKNOWN
        return web.Response(status=204)

    async def _record(self, request: web.Request) -> MediaRecord:
        media_id = request.match_info["media_id"]
        found = await self._media.known(tenant_of(request), [media_id])
        if media_id not in found:
            raise _UNKNOWN
        return found[media_id]

    async def _send(
        self, request: web.Request, record: MediaRecord, cache_seconds: int, *, is_embeddable: bool = False
    ) -> web.StreamResponse:
        async def read(start: int, end: int) -> AsyncIterator[bytes]:
            is_whole = (start, end) == (0, record.size_bytes)
            return await self._media.read(record) if is_whole else await self._media.read(record, start, end)

        file = Download(record.mime_type, record.size_bytes, record.sha256, record.file_name, read)
        try:
            return await downloads.send(request, file, cache_seconds=cache_seconds, is_embeddable=is_embeddable)
        except NoObject:  # deleted meanwhile
            raise _UNKNOWN from None

    def _sign_anew(self, request: web.Request, response: web.Response) -> None:
        """Of an answer that is kept for days, the address is good for minutes."""
        assert isinstance(response.body, bytes)
        view = MediaView.model_validate_json(response.body)
        url, url_expires_at = self._address(request, view.id)
        response.body = json_bytes(view.model_copy(update={"url": url, "url_expires_at": url_expires_at}))

    def _address(self, request: web.Request, media_id: str) -> tuple[str, datetime]:
        """An address that is good from now on, and until when."""
        urls = self._urls if self._urls.base else replace(self._urls, base=str(request.url.origin()))
        url, expires = urls.sign(media_id, self._clock.now().timestamp())
        return url, datetime.fromtimestamp(expires, UTC)

    def _view(self, request: web.Request, record: MediaRecord) -> MediaView:
        url, url_expires_at = self._address(request, record.id)
        return MediaView(
            id=record.id,
            cloud_api_id=str(record.wire_id),
            kind=record.kind,
            mime_type=record.mime_type,
            size_bytes=record.size_bytes,
            sha256=record.sha256,
            file_name=record.file_name,
            number_id=record.number_id,
            wamid=record.wamid,
            created_at=record.created_at,
            url=url,
            url_expires_at=url_expires_at,
        )
