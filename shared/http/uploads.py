"""Files in: a body, or the file of a form, streamed as it comes and never whole in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Final, TypeVar

from aiohttp import BodyPartReader, ClientPayloadError, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from shared.errors import FieldError, Rejected
from shared.http.codes import Code
from shared.http.requests import BODY_SECONDS
from shared.http.routes import FORM, ROUTE

T = TypeVar("T")

FILE_SECONDS: Final = 900.0
"""Longest time that a file may take to come; a pause may last as long as a whole body elsewhere."""
FORM_BYTES: Final = 64 * 1024
"""What a form may have around its file; add it to the route's limit."""
_PARTS: Final = 20
_CHUNK: Final = 64 * 1024
_BROKEN: Final = (RequestPayloadError, ClientPayloadError, ConnectionError, HttpProcessingError, ValueError, AssertionError)
"""AssertionError: what aiohttp's reader of forms raises where one breaks off (3.14)."""


@dataclass(frozen=True, slots=True, repr=False)
class Upload:
    """A file on its way. `claimed` is the media type that it is said to have."""

    parts: AsyncIterator[bytes]
    claimed: str | None
    file_name: str | None


async def open_upload(request: web.Request) -> Upload:
    """The body, or where that is a form its part `file`; other parts before it are passed over, what follows it is not looked at.

    Raises `Rejected`, here and while the parts are read: 400 where it breaks off, 408 where it comes too slowly, 413 beyond the
    route's limit, 415 with a Content-Encoding, 422 for a form without a file.
    """
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Rejected(Code.MEDIA_TYPE_UNSUPPORTED, "Send the file without Content-Encoding.", status=415)
    limit = request[ROUTE].body_limit_bytes
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    reading = _Reading(limit)
    if request.content_type != FORM:
        return Upload(reading.body(request), request.headers.get("Content-Type"), None)
    try:
        form = await request.multipart()
    except ValueError:  # what does not depend on the body
        detail = (
            f"The Content-Type {FORM} needs a boundary: `{FORM}; boundary=…`, 1 to 70 characters; HTTP clients make one up."
        )
        raise Rejected(Code.REQUEST_MALFORMED, detail, status=400) from None
    for _ in range(_PARTS):
        part = await reading.step(form.next())
        if part is None:
            break
        if not isinstance(part, BodyPartReader):  # a form in a form, in a form …
            raise Rejected(Code.REQUEST_INVALID, "A part of the form is a form.")
        if part.name == "file":
            return Upload(reading.part(form, part), part.headers.get("Content-Type"), part.filename)
        await reading.step(part.release())
    detail = "The form has no part `file`."
    raise Rejected(Code.REQUEST_INVALID, detail, errors=[FieldError("/file", Code.FIELD_MISSING, "is required")])


class _Reading:
    """The clock and the measure of one upload."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._end = asyncio.get_running_loop().time() + FILE_SECONDS

    async def step(self, read: Awaitable[T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(min(self._end, loop.time() + BODY_SECONDS)):
                return await read
        except TimeoutError:
            raise Rejected(Code.REQUEST_TIMED_OUT, Code.REQUEST_TIMED_OUT.sentence, status=408) from None
        except _BROKEN:
            raise _incomplete() from None

    async def body(self, request: web.Request) -> AsyncIterator[bytes]:
        while chunk := await self.step(request.content.readany()):
            yield self._counted(chunk)

    async def part(self, form: MultipartReader, part: BodyPartReader) -> AsyncIterator[bytes]:
        while chunk := await self.step(part.read_chunk(_CHUNK)):
            yield self._counted(bytes(chunk))
        await self.step(form.next())  # reads the boundary: without one the file may not be whole

    def _counted(self, chunk: bytes) -> bytes:
        self._size += len(chunk)
        if self._size > self._limit:
            raise _too_large(self._limit)
        return chunk


def _too_large(limit: int) -> Rejected:
    return Rejected(Code.BODY_TOO_LARGE, f"The body is over this path's limit of {limit} bytes.", status=413)


def _incomplete() -> Rejected:
    return Rejected(Code.REQUEST_INCOMPLETE, Code.REQUEST_INCOMPLETE.sentence, status=400)
