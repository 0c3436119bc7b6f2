"""gzip of whole answers, where the client takes it and it is worth the time."""

from __future__ import annotations

import asyncio
import zlib
from typing import Final

from aiohttp import web

MIN_BYTES: Final = 1_000
_OFF_LOOP_BYTES: Final = 128 * 1024
"""About 3 ms of work at level 4; more would keep other requests waiting."""
_LEVEL: Final = 4
_GZIP_FRAMING: Final = 16 + zlib.MAX_WBITS
_TYPES: Final = frozenset(
    {"application/json", "application/problem+json", "application/x-ndjson", "text/html", "text/plain", "text/css"}
)


async def compress(request: web.Request, response: web.StreamResponse) -> None:
    """Replace the body by its gzip where it has 1,000 bytes or more; streams and encoded bodies are left alone."""
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes) or len(response.body) < MIN_BYTES:
        return
    headers = response.headers
    if "Content-Encoding" in headers or response.content_type not in _TYPES:
        return
    headers["Vary"] = f"{headers['Vary']}, Accept-Encoding" if "Vary" in headers else "Accept-Encoding"
    if not takes_gzip(request.headers.get("Accept-Encoding", "")):
        return
    if len(response.body) > _OFF_LOOP_BYTES:
        response.body = await asyncio.to_thread(_gzip, response.body)
    else:
        response.body = _gzip(response.body)
    headers["Content-Encoding"] = "gzip"


def takes_gzip(accept_encoding: str) -> bool:
    """RFC 9110 §12.5.3: `gzip`, `x-gzip` or `*`, unless its weight is 0; a name wins over the star."""
    if accept_encoding == "gzip" or accept_encoding.startswith("gzip,"):
        return True
    weights: dict[str, bool] = {}
    for part in accept_encoding.lower().split(","):
        coding, _, parameter = part.partition(";")
        weight = parameter.strip().removeprefix("q=")
        weights[coding.strip()] = weight.strip("0.") != "" if weight else True
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", False)))


def _gzip(body: bytes) -> bytes:
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_FRAMING)
    return compressor.compress(body) + compressor.flush()
