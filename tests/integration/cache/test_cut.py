"""A connection that is cut while nobody uses it costs nobody anything, on the loop of the services and on that of the tests."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvloop
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.config import RedisSettings
from shared.redis import open_redis, open_waiting_redis
from tests.support.certificate import contexts

Run = Callable[[Coroutine[Any, Any, None]], None]

_ABORTING = struct.pack("ii", 1, 0)
_PATIENT = 10.0
"""What answers here is a relay in the same process, on a machine that may be busy."""


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a test's body on one loop or the other."""

    def run(body: Coroutine[Any, Any, None]) -> None:
        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.SelectorEventLoop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(body)

    return run


class Relay:
    """Stands before a server and can cut its connections."""

    def __init__(self, target: str) -> None:
        self.url = ""
        self._target = urlsplit(target)
        self._near: list[asyncio.StreamWriter] = []

    @classmethod
    @asynccontextmanager
    async def to(cls, target: str, scheme: str, folder: Path) -> AsyncIterator[Relay]:
        relay = cls(target)
        user, at, _ = relay._target.netloc.rpartition("@")
        if scheme == "unix":
            path = folder / "redis"
            server = await asyncio.start_unix_server(relay._connected, path)
            relay.url = f"unix://{user}{at}{path}"
        else:
            context: ssl.SSLContext | None = None
            if scheme == "rediss":
                context, _ = contexts(folder)
            server = await asyncio.start_server(relay._connected, "127.0.0.1", 0, ssl=context)
            relay.url = f"{scheme}://{user}{at}127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
            relay.url += f"?ssl_ca_certs={folder / 'provider.pem'}" if context else ""
        try:
            yield relay
        finally:
            server.close()

    async def cut(self, redis: Redis, *, resets: bool = True) -> None:
        """By a reset, where the scheme knows one, or an orderly end. Returns when each connection of `redis` has been told."""
        pool = redis.connection_pool
        readers = [one._reader for one in (*pool._available_connections, *pool._in_use_connections)]
        assert readers
        for writer in self._near:
            if resets and writer.get_extra_info("socket").family != socket.AF_UNIX:
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORTING)
            writer.transport.abort()
        self._near.clear()
        async with asyncio.timeout(_PATIENT):
            while not all(reader.exception() or reader.at_eof() for reader in readers):
                await asyncio.sleep(0)

    async def _connected(self, near: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._near.append(writer)
        far, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pass(near, far_writer))
            group.create_task(self._pass(far, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix"])
@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("resets", [False, True])
def test_a_connection_cut_at_rest_is_replaced(
    run: Run, redis_url: str, tmp_path: Path, scheme: str, waits: bool, resets: bool
) -> None:
    async def body() -> None:
        async with Relay.to(redis_url, scheme, tmp_path) as relay, _open(relay.url, waits=waits) as redis:
            for n in range(3):
                assert await redis.set("a", n)
                await relay.cut(redis, resets=resets)
                assert await redis.get("a") == str(n).encode()
            assert len(redis.connection_pool._available_connections) == 1
        await _assert_nothing_runs()

    run(body())


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix"])
def test_all_that_rest_are_replaced_and_a_pipeline_goes_on(run: Run, redis_url: str, tmp_path: Path, scheme: str) -> None:
    async def body() -> None:
        async with Relay.to(redis_url, scheme, tmp_path) as relay, _open(relay.url) as redis:
            await asyncio.gather(*(redis.ping() for _ in range(5)))
            await relay.cut(redis)
            pipelines = [redis.pipeline(transaction=False).incr("b").incr("b") for _ in range(5)]
            await asyncio.gather(*(pipeline.execute() for pipeline in pipelines))
            assert await redis.get("b") == b"10"
        await _assert_nothing_runs()

    run(body())


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix"])
def test_who_has_one_that_is_cut_is_told_so_by_an_error_of_redis(run: Run, redis_url: str, tmp_path: Path, scheme: str) -> None:
    async def body() -> None:
        async with Relay.to(redis_url, scheme, tmp_path) as relay, _open(relay.url) as redis:
            async with redis.client() as one:
                assert await one.ping()
                await relay.cut(redis)
                with pytest.raises(RedisError):
                    await one.ping()
                assert await one.ping(), "it connects again"
                await one.set("a", "watched")
            async with redis.pipeline() as pipeline:
                await pipeline.watch("a")
                await relay.cut(redis)
                with pytest.raises(RedisError):
                    await pipeline.get("a")
            assert await redis.get("a") == b"watched"
        await _assert_nothing_runs()

    run(body())


def test_what_waits_for_an_answer_when_it_is_cut_is_told_so(run: Run, redis_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with Relay.to(redis_url, "redis", tmp_path) as relay, _open(relay.url, waits=True) as redis:
            await redis.ping()
            async with asyncio.TaskGroup() as group:
                asked = group.create_task(_failure(partial(redis.xread, {"nothing": "$"}, block=60_000)))
                async with Redis.from_url(redis_url) as other, asyncio.timeout(_PATIENT):
                    while not (await other.info("clients"))["blocked_clients"]:
                        await asyncio.sleep(0.01)
                await relay.cut(redis)
            assert isinstance(asked.result(), RedisError)
            assert await redis.ping()
        await _assert_nothing_runs()

    run(body())


def _open(url: str, *, waits: bool = False) -> Any:
    settings = RedisSettings(url=url)
    return open_waiting_redis(settings, _PATIENT) if waits else open_redis(settings, seconds=_PATIENT)


async def _failure(ask: Callable[[], Any]) -> Exception | None:
    try:
        await ask()
    except Exception as error:  # noqa: BLE001  # which, is what the test asks
        return error
    return None


async def _assert_nothing_runs() -> None:
    """And what was closed has its turn of the loop to say so."""
    async with asyncio.timeout(_PATIENT):
        while asyncio.all_tasks() != {asyncio.current_task()}:
            await asyncio.sleep(0)
