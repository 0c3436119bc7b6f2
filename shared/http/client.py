"""The outgoing HTTP client: one keep-alive pool, nothing taken from the environment, nothing remembered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import orjson


@asynccontextmanager
async def open_client(
    *,
    limit: int = 128,
    connect_seconds: float = 2,
    total_seconds: float = 10,
    keepalive_seconds: float = 60,
) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with at most `limit` connections in all; a request beyond them waits within `total_seconds`.

    No proxies and no netrc from the environment, no cookies, no retries. Redirects are each request's choice: pass
    `allow_redirects=False` where a credential is sent. Bodies given as `json=` are written by orjson.
    """
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=limit, keepalive_timeout=keepalive_seconds, ttl_dns_cache=60),
        timeout=aiohttp.ClientTimeout(total=total_seconds, sock_connect=connect_seconds),
        json_serialize_bytes=orjson.dumps,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=True,
        headers={"User-Agent": "chasqui"},
    ) as session:
        yield session
