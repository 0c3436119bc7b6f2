"""The client for addresses that others name: it opens no connection that the operator would not."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shared.addresses import Networks
from shared.http.outside import Forbidden, check_url, open_outside_client
from tests.support.platform import until

LOOPBACK = Networks.parse("127.0.0.0/8")
PUBLIC = "93.184.216.34"


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def away(request: web.Request) -> web.Response:
        raise web.HTTPFound(request.query["to"])

    app = web.Application()
    app.router.add_get("/", hello)
    app.router.add_get("/away", away)
    async with TestServer(app) as started:
        yield cast("TestServer", started)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names resolve to; may change while a test runs."""
    found: dict[str, list[str]] = {}
    resolve = socket.getaddrinfo

    def resolved(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if host not in found:
            return resolve(host, port, *rest, **more)
        kinds = [(socket.AF_INET6 if ":" in address else socket.AF_INET, address) for address in found[host]]
        return [
            (kind, socket.SOCK_STREAM, 6, "", (address, port, 0, 0) if ":" in address else (address, port))
            for kind, address in kinds
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    return found


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]"])
async def test_this_machine_is_closed_however_it_is_spelled(server: TestServer, host: str) -> None:
    async with open_outside_client(Networks()) as session:
        with pytest.raises(Forbidden):
            await session.get(f"http://{host}:{server.port}/")


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0177.0.0.1", "0x7f000001", "127.0.0.1."])
async def test_odd_spellings_of_an_address_lead_nowhere(server: TestServer, names: dict[str, list[str]], host: str) -> None:
    names[host] = ["127.0.0.1"]  # as the system's resolver reads it
    async with open_outside_client(Networks()) as session:
        with pytest.raises((Forbidden, aiohttp.InvalidURL, aiohttp.ClientError)):
            await session.get(f"http://{host}:{server.port}/")


async def test_allowed_networks_are_open(server: TestServer) -> None:
    async with open_outside_client(LOOPBACK) as session, session.get(f"http://127.0.0.1:{server.port}/") as answer:
        assert await answer.text() == "hello"


async def test_a_name_of_a_private_machine_is_closed(server: TestServer, names: dict[str, list[str]]) -> None:
    names["hooks.customer.test"] = ["127.0.0.1"]
    async with open_outside_client(Networks()) as session:
        with pytest.raises(Forbidden):
            await session.get(f"http://hooks.customer.test:{server.port}/")


async def test_of_a_names_addresses_only_those_that_are_open_are_tried(server: TestServer, names: dict[str, list[str]]) -> None:
    names["hooks.customer.test"] = ["10.0.0.1", "127.0.0.1", "169.254.169.254"]
    async with (
        open_outside_client(LOOPBACK) as session,
        session.get(f"http://hooks.customer.test:{server.port}/") as answer,
    ):
        assert await answer.text() == "hello"


@pytest.mark.parametrize("target", ["http://127.0.0.1:1/", "http://localhost:1/", "http://[::1]:1/", "http://inside.test:1/"])
async def test_a_redirect_leads_into_nothing_private(server: TestServer, names: dict[str, list[str]], target: str) -> None:
    names["inside.test"] = ["10.0.0.1"]
    networks = Networks.parse("127.0.0.2/32")
    async with open_outside_client(networks) as session:
        names["outside.test"] = ["127.0.0.2"]
        bound = TestServer(server.app, host="127.0.0.2")
        async with bound:
            with pytest.raises(Forbidden):
                await session.get(f"http://outside.test:{bound.port}/away", params={"to": target})


async def test_a_name_that_turns_private_later_is_closed_then(server: TestServer, names: dict[str, list[str]]) -> None:
    names["hooks.customer.test"] = ["127.0.0.1"]
    async with open_outside_client(LOOPBACK, keepalive_seconds=0) as session:
        async with session.get(f"http://hooks.customer.test:{server.port}/") as answer:
            assert answer.status == 200
        names["hooks.customer.test"] = ["10.0.0.1"]
        assert isinstance(session.connector, aiohttp.TCPConnector)
        session.connector.clear_dns_cache()
        await session.connector.close()
    async with open_outside_client(LOOPBACK) as session:
        with pytest.raises(Forbidden):
            await session.get(f"http://hooks.customer.test:{server.port}/")


async def test_what_it_says_of_a_closed_address_names_it_not(server: TestServer) -> None:
    async with open_outside_client(Networks()) as session:
        with pytest.raises(Forbidden) as caught:
            await session.get(f"http://127.0.0.1:{server.port}/?secret=1")
    assert "127" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "https://[::1]/",
        "https://10.0.0.1:8443/x",
        "http://localhost/",
        "http://api.localhost/",
        "http://user:password@example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "//example.com",
        "http://",
        "http://[",
        "127.0.0.1",
        "http://127.1/",
    ],
)
def test_an_address_that_cannot_be_is_seen_at_once(url: str) -> None:
    with pytest.raises(Forbidden):
        check_url(url, Networks())


@pytest.mark.parametrize("url", ["https://example.com/hooks?x=1", f"http://{PUBLIC}:8080/", "https://[2606:4700::1111]/"])
def test_another_may_be(url: str) -> None:
    check_url(url, Networks())
    check_url("http://localhost:1/", LOOPBACK)


async def test_names_that_take_long_to_resolve_hold_up_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than the event loop has threads, in which all else of the process resolves its names."""
    release, resolve = threading.Event(), socket.getaddrinfo
    asked: set[str] = set()

    def resolved(host: Any, *rest: Any, **more: Any) -> Any:
        if not str(host).endswith(".example"):
            return resolve(host, *rest, **more)
        asked.add(host)
        release.wait(30)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    async with open_outside_client(Networks(), limit=48) as session, asyncio.TaskGroup() as group:
        requests = [group.create_task(session.get(f"http://slow{number}.example/")) for number in range(48)]
        try:
            await until(lambda: len(asked) >= 6, "lookups to be under way")
            async with asyncio.timeout(20):
                assert await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        finally:
            for request in requests:
                request.cancel()
            release.set()
