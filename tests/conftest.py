"""Fixtures that every folder shares: servers, and a part of one for each test alone."""

from __future__ import annotations

import os
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest
import redis

from tests.support.database import Database, cloned_database
from tests.support.loops import cut_what_is_left
from tests.support.servers import Asking, Servers, ServersElsewhere, need

hypothesis.settings.register_profile("chasqui", deadline=None)  # how long an example takes is the machine's affair
hypothesis.settings.load_profile("chasqui")

SERVERS: Final = pytest.StashKey[Asking]()
PORTS: Final = range(10_000, 20_000)
"""Tests choose theirs here: beside those that servers choose by themselves."""
SHARES: Final = 8


def pytest_configure(config: pytest.Config) -> None:
    cut_what_is_left()
    worker: dict[str, str] | None = getattr(config, "workerinput", None)
    if worker is not None:
        config.stash[SERVERS] = ServersElsewhere(Path(worker["desk"]))
        _choose_ports_from(int(worker["workerid"].removeprefix("gw")) + 1)
    else:
        config.stash[SERVERS] = Servers()
        _choose_ports_from(0)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: in order


def _choose_ports_from(share: int) -> None:
    """A share of its own for each process: a port is chosen some time before it is listened on."""
    pytest.MonkeyPatch().setattr("local.ports.CANDIDATES", PORTS[share % SHARES :: SHARES])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Of pytest-xdist, in the main process, for each worker."""
    servers = node.config.stash[SERVERS]  # type: ignore[attr-defined]  # xdist has no types
    node.workerinput["desk"] = str(servers.listen())  # type: ignore[attr-defined]  # xdist has no types


def pytest_unconfigure(config: pytest.Config) -> None:
    servers = config.stash.get(SERVERS, None)
    if isinstance(servers, Servers):
        servers.close()


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test looks up a name or connects anywhere but on this machine; who tries fails. Names that are reserved for documents and
    for being wrong (RFC 6761) do not exist, as they must not, without anybody being asked."""
    resolve, connect, connect_ex = socket.getaddrinfo, socket.socket.connect, socket.socket.connect_ex

    def guarded_resolve(host: Any, *rest: Any, **more: Any) -> Any:
        if isinstance(host, str) and host.endswith((".invalid", ".example")):
            raise socket.gaierror(socket.EAI_NONAME, "reserved")
        _refuse_outside(host)
        return resolve(host, *rest, **more)

    def guarded(self: socket.socket, address: Any) -> None:
        _refuse_outside(address if self.family == socket.AF_UNIX else address[0], self.family)
        connect(self, address)

    def guarded_ex(self: socket.socket, address: Any) -> int:
        _refuse_outside(address if self.family == socket.AF_UNIX else address[0], self.family)
        return connect_ex(self, address)

    monkeypatch.setattr(socket, "getaddrinfo", guarded_resolve)
    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_ex)


def _refuse_outside(host: object, family: int = socket.AF_INET) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if family != socket.AF_UNIX and name not in {None, "", "localhost", "::1"} and not str(name).startswith("127."):
        pytest.fail(f"a test wants to reach {name}, which is not on this machine")


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Asking:
    return request.config.stash[SERVERS]


@pytest.fixture(scope="session")
def postgres(servers: Asking) -> str:
    """The superuser's URL of the run's PostgreSQL."""
    return need(servers, "postgres")


@pytest.fixture(scope="session")
def role_password(servers: Asking) -> str:
    """Of the services' roles, once the template that databases are cloned from is migrated."""
    return need(servers, "template")


@pytest.fixture
async def database(postgres: str, role_password: str) -> AsyncIterator[Database]:
    """A migrated database of the test's own."""
    async with cloned_database(postgres, role_password) as database:
        yield database


@pytest.fixture
def redis_url(servers: Asking) -> str:
    """An empty Valkey, this worker's alone: channels, scripts and connections that are cut are those of a whole server."""
    url = need(servers, "valkey", os.environ.get("PYTEST_XDIST_WORKER", ""))
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return url


@pytest.fixture
def rabbit_url(servers: Asking) -> Iterator[str]:
    """A virtual host of the test's own on a real RabbitMQ."""
    name = f"test-{uuid.uuid4().hex}"
    yield need(servers, "create_vhost", name)
    servers.ask("delete_vhost", name)
