"""The HTTP client for addresses that others name: a tenant's callback, a file that a webhook points at.

It connects to public addresses only, and to networks that the operator allows. What counts is the address of each connection as it
is opened, not the name that was asked for: so a name that resolves to something else a moment later, a redirect, an IP address in
whatever spelling and a public name of a private machine are all refused. Source of the cases: OWASP, "Server-Side Request Forgery
Prevention", read 2026-11.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from shared.addresses import Networks, is_address


class Forbidden(aiohttp.ClientError):
    """The address is none that a request may go to. The text names neither it nor its host."""

    def __init__(self) -> None:
        super().__init__("the address is not a public one")


@asynccontextmanager
async def open_outside_client(
    networks: Networks,
    *,
    limit: int = 64,
    limit_per_host: int = 0,
    connect_seconds: float = 5,
    total_seconds: float = 20,
    keepalive_seconds: float = 15,
    user_agent: str = "chasqui",
) -> AsyncIterator[aiohttp.ClientSession]:
    """A session as `client.open_client` makes it, that raises `Forbidden` instead of connecting where `networks` does not admit it.

    Bodies are not decompressed, and none is asked for compressed: read them in parts and stop at a limit. Redirects are each
    request's choice; pass `allow_redirects=False` where the request carries a credential or a body that others must not get.
    """
    connector = aiohttp.TCPConnector(
        limit=limit,
        limit_per_host=limit_per_host,
        keepalive_timeout=keepalive_seconds,
        ttl_dns_cache=10,
        resolver=_PublicResolver(networks, limit),
        socket_factory=_Sockets(networks),
    )
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=total_seconds, sock_connect=connect_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        headers={"User-Agent": user_agent, "Accept-Encoding": "identity"},
    ) as session:
        yield session


def check_url(url: str, networks: Networks, *, schemes: frozenset[str] = frozenset({"https", "http"})) -> None:
    """Raise `Forbidden` for what can be refused by its spelling: another scheme, a user or password, an IP address that is not
    admitted. For an early word to whoever names it; the client refuses by itself what it cannot see."""
    try:
        parsed = URL(url)
        host = parsed.host
    except ValueError:
        raise Forbidden from None
    if parsed.scheme not in schemes or not host or parsed.user is not None or parsed.password is not None:
        raise Forbidden
    if (":" in host or host.replace(".", "").isdecimal()) and not networks.admit(host):
        raise Forbidden
    if (host == "localhost" or host.endswith(".localhost")) and not networks.admit("127.0.0.1"):
        raise Forbidden


class Hosts:
    """Whether hosts are in allowed networks, as their names say now. In threads of its own, as the client's lookups."""

    def __init__(self, networks: Networks, *, lookups: int = 4, seconds: float = 5.0) -> None:
        self._networks = networks
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(lookups, thread_name_prefix="outside.hosts")

    async def are_trusted(self, host: str) -> bool:
        """True where every address that the client would connect to is in an allowed network, and there is one. False where the
        name is not known, or nothing is heard of it in time."""
        if is_address(host):
            return self._networks.trust(host)
        looked_up = asyncio.get_running_loop().run_in_executor(self._threads, _resolve, host, 0, socket.AF_UNSPEC)
        try:
            async with asyncio.timeout(self._seconds):
                found = await looked_up
        except (OSError, UnicodeError):  # TimeoutError is an OSError
            return False
        admitted = [one["host"] for one in found if self._networks.admit(one["host"])]
        return bool(admitted) and all(self._networks.trust(one) for one in admitted)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class _PublicResolver(AbstractResolver):
    """The system's resolver, without the addresses that are not admitted.

    It has threads of its own: those of the event loop are few, everything else in the process resolves its names in them, and a
    name server that keeps silent, which anybody may have, holds one for as long as the system waits for it.
    """

    def __init__(self, networks: Networks, lookups: int) -> None:
        self._networks = networks
        self._threads = ThreadPoolExecutor(lookups, thread_name_prefix="outside.resolve")

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().run_in_executor(self._threads, _resolve, host, port, family)
        admitted = [one for one in found if self._networks.admit(one["host"])]
        if found and not admitted:
            raise Forbidden
        return admitted

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _resolve(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    """Blocks. Raises `OSError` for a name that is not known."""
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=str(place[0]),
            port=port,
            family=kind,
            proto=protocol,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, protocol, _, place in found
    ]


class _Sockets:
    """Makes the sockets of connections: the last place before one is opened, which IP addresses in URLs reach unresolved."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    def __call__(self, address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, place = address
        if not self._networks.admit(str(place[0])):
            raise Forbidden
        return socket.socket(family=family, type=kind, proto=protocol)
