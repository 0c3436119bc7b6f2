"""PostgreSQL, Valkey and RabbitMQ for the tests: local processes, each started when the first test asks, once per pytest run.

pytest's own process owns them (`Servers`), so that they end with the run however it ends; the workers of pytest-xdist ask it
over a Unix socket (`ServersElsewhere`). Both answer the same questions.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import socket
import socketserver
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Protocol

import asyncpg
import pytest

from local.broker import Broker, find_broker
from local.errors import LocalError
from local.postgres import Postgres
from local.valkey import Valkey
from shared.db.migrate import migrate

# The data is thrown away, so nothing need reach the disk.
FAST: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "300",
    "shared_buffers": "128MB",
}
TEMPLATE: Final = "chasqui_template"
LOCKS: Final = ("template", "postgres", "valkey", "rabbitmq", "directory")
"""In the order they are taken: who makes the template asks for PostgreSQL, and every server for the directory."""


class Missing(Exception):
    """A server cannot be had on this machine; the text is the one-line reason."""


class Asking(Protocol):
    """How tests get at the servers."""

    def ask(self, question: str, argument: str = "") -> str:
        """Raises `Missing`; a server that is there but fails raises `LocalError`."""
        ...


def need(servers: Asking, question: str, argument: str = "") -> str:
    """The answer; where the server is missing the test is skipped with the reason, and in CI it fails."""
    try:
        return servers.ask(question, argument)
    except Missing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


class Servers:
    """The owner. `close` stops what was started and removes its data."""

    def __init__(self) -> None:
        self._directory: Path | None = None
        self._closing: list[Callable[[], None]] = []
        self._answers: dict[tuple[str, str], str | Exception] = {}
        self._locks = {name: threading.Lock() for name in LOCKS}
        self._closed = False
        self._broker: Broker | None = None
        self._desk: socketserver.ThreadingUnixStreamServer | None = None
        self._role_password = secrets.token_urlsafe(12)

    def ask(self, question: str, argument: str = "") -> str:
        questions: Mapping[str, Callable[[], str]] = {
            "postgres": lambda: self._once("postgres", self._start_postgres),
            "template": lambda: self._once("template", self._make_template),
            "valkey": lambda: self._once("valkey", lambda: self._start_valkey(argument), of=argument),
            "rabbitmq": lambda: self._once("rabbitmq", self._start_rabbitmq),
            "create_vhost": lambda: self._with_broker(lambda broker: broker.create_vhost(argument)),
            "delete_vhost": lambda: self._with_broker(lambda broker: broker.delete_vhost(argument)),
        }
        return questions[question]()

    def listen(self) -> Path:
        """Answer the questions of other processes; returns the socket they find us at."""
        if self._desk is None:
            servers = self

            class Answer(socketserver.StreamRequestHandler):
                def handle(self) -> None:
                    question, argument = json.loads(self.rfile.readline())
                    self.wfile.write(json.dumps(_as_message(lambda: servers.ask(question, argument))).encode() + b"\n")

            self._desk = socketserver.ThreadingUnixStreamServer(str(self.directory / "desk"), Answer)
            self._desk.daemon_threads = True
            threading.Thread(target=self._desk.serve_forever, name="test servers", daemon=True).start()
        return self.directory / "desk"

    def close(self) -> None:
        self._closed = True
        if self._desk is not None:
            self._desk.shutdown()
            self._desk.server_close()
        with ExitStack() as held:
            for name in LOCKS:  # waits for a server that is just being started
                held.enter_context(self._locks[name])
            for stop in reversed(self._closing):
                stop()
            if self._directory is not None:
                shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def directory(self) -> Path:
        """Private, but open to be passed by the account that the servers run as where we are root."""
        with self._locks["directory"]:
            if self._directory is None:
                self._directory = Path(tempfile.mkdtemp(prefix="chasqui-test-"))
                self._directory.chmod(0o711)
            return self._directory

    def _once(self, name: str, start: Callable[[], str], of: str = "") -> str:
        """The answer, or the failure, of the first time; `of` tells several of a kind apart."""
        with self._locks[name]:
            if self._closed:
                raise LocalError("The test run is over.")
            if (name, of) not in self._answers:
                try:
                    self._answers[name, of] = start()
                except Exception as error:  # noqa: BLE001  # kept: every test that asks shall see it
                    self._answers[name, of] = error
            answer = self._answers[name, of]
        if isinstance(answer, Exception):
            raise answer.with_traceback(None)
        return answer

    def _start_postgres(self) -> str:
        server = Postgres(self.directory / "postgres", options=FAST)
        self._closing.append(server.stop)
        server.start()
        return server.admin_url

    def _make_template(self) -> str:
        """Migrated once; each test clones it. Answers the password of the services' roles."""
        admin_url = self.ask("postgres")

        async def make() -> None:
            connection = await asyncpg.connect(admin_url)
            try:
                await connection.execute(f"CREATE DATABASE {TEMPLATE}")
            finally:
                await connection.close()
            await migrate(admin_url.rpartition("/")[0] + f"/{TEMPLATE}", self._role_password)

        asyncio.run(make())
        return self._role_password

    def _start_valkey(self, worker: str) -> str:
        server = Valkey(self.directory / f"valkey{worker}")
        self._closing.append(server.stop)
        server.start()
        return server.url

    def _start_rabbitmq(self) -> str:
        found = find_broker(self.directory / "rabbitmq")
        if isinstance(found, str):
            raise Missing(found)
        self._closing.append(found.stop)
        found.start()
        self._broker = found
        return found.url

    def _with_broker(self, use: Callable[[Broker], str | None]) -> str:
        self.ask("rabbitmq")
        assert self._broker is not None
        with self._locks["rabbitmq"]:
            return use(self._broker) or ""


class ServersElsewhere:
    """The owner's answers, from a worker's process."""

    def __init__(self, desk: Path) -> None:
        self._desk = desk

    def ask(self, question: str, argument: str = "") -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._desk))
            connection.sendall(json.dumps([question, argument]).encode() + b"\n")
            with connection.makefile("rb") as answers:
                kind, text = json.loads(answers.readline())
        if kind == "missing":
            raise Missing(text)
        if kind == "failed":
            raise LocalError(text)
        return str(text)


def _as_message(ask: Callable[[], str]) -> tuple[str, str]:
    try:
        return "answer", ask()
    except Missing as error:
        return "missing", str(error)
    except Exception as error:  # noqa: BLE001  # raised again where it was asked
        return "failed", f"{type(error).__name__}: {error}"
