"""Files out: what a stranger made, sent so that it can do no harm in a browser, whole or in part."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from aiohttp import web

from shared.errors import Rejected

WRITE_SECONDS: Final = 60.0
"""Longest time that a client may take for one part."""
INLINE: Final = frozenset(
    {
        *("image/jpeg", "image/png", "image/webp", "image/gif", "video/mp4", "video/3gpp", "video/webm"),
        *("audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg", "audio/wav", "audio/webm"),
    }
)
"""What a browser may show in place: nothing that it could run, and no list of other addresses to play."""
_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")

Read = Callable[[int, int], Awaitable[AsyncIterator[bytes]]]
"""Gives the bytes from a place to before another."""


@dataclass(frozen=True, slots=True, repr=False)
class Download:
    """A file. `digest` changes with its bytes."""

    mime_type: str
    size_bytes: int
    digest: str
    file_name: str | None
    read: Read


async def send(request: web.Request, file: Download, *, cache_seconds: int, is_embeddable: bool = False) -> web.StreamResponse:
    """Answer with the file, or the part that `Range` asks for; 304 to who has it. One range is served; several, or a malformed one,
    are answered with all of it (RFC 9110 §14.2). `is_embeddable`: pages elsewhere may show it.

    Raises `Rejected` 416. What `read` raises at once passes through.
    """
    etag = f'"{file.digest}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": f"private, max-age={cache_seconds}",
        "Content-Disposition": _disposition(file),
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "cross-origin" if is_embeddable else "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")}
    if not known.isdisjoint({etag, "*"}):
        return web.Response(status=304, headers=headers)
    span = _span(request, etag, file.size_bytes)
    start, end = span or (0, file.size_bytes)
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size_bytes}"
    response = web.StreamResponse(status=200 if span is None else 206, headers=headers)
    response.content_type = file.mime_type
    response.content_length = end - start
    parts = await file.read(start, end)
    await response.prepare(request)
    if request.method != "HEAD":
        async for part in parts:
            await asyncio.wait_for(response.write(part), WRITE_SECONDS)
        await response.write_eof()
    return response


def _span(request: web.Request, etag: str, size: int) -> tuple[int, int] | None:
    """From where to before where; None where no range is asked for. One that is the whole file is still a part: players take only
    a 206 for an answer."""
    match = _RANGE.fullmatch(request.headers.get("Range", "").replace(" ", ""))
    if match is None or request.method != "GET" or request.headers.get("If-Range", etag) != etag or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= end:
        detail = f"The file has {size} bytes."
        raise Rejected("range.unsatisfiable", detail, status=416, headers={"Content-Range": f"bytes */{size}"})
    return start, end


def _disposition(file: Download) -> str:
    kind = "inline" if file.mime_type in INLINE else "attachment"
    if not file.file_name:
        return kind
    plain = "".join(c if c.isascii() and (c.isalnum() or c in " ._-()") else "_" for c in file.file_name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(file.file_name, safe='')}"
