"""Processes that are started again when they die, and programs that give way to their successors."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from local.children import Child
from local.errors import LocalError

RESTART_SECONDS: Final = (0.2, 1.0, 3.0, 5.0)
"""Waits before the first, second, … restart in a row; a process that lived a minute starts over."""
LIVED_SECONDS: Final = 60.0
READY_SECONDS: Final = 30.0
"""A successor that is not ready by then is given up."""

# Hands a listening socket over as systemd does (sd_listen_fds(3)): as descriptor 3, to the very process that is named.
HAND_OVER: Final = ("/bin/bash", "-c", 'export LISTEN_FDS=1 LISTEN_PID=$$; exec "${@:2}" 3<&"$1"', "hand-over")


class Process(Protocol):
    """A service or a server."""

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        ...

    def restart(self) -> None:
        """Start it anew, where it was; raises `LocalError`."""
        ...


class Program:
    """A program without data of its own: restarting it is starting it.

    `listen` is the socket that it answers on, ours and kept open: while the program is away, callers wait instead of being refused.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        log_path: Path,
        cwd: Path,
        listen: socket.socket | None = None,
    ) -> None:
        self._argv = argv
        self._env = env
        self._log_path = log_path
        self._cwd = cwd
        self._listen = listen
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.running else None

    @property
    def exit_code(self) -> int | None:
        return self._child.exit_code if self._child is not None else None

    def start(self) -> None:
        self._child = self._spawn({})

    def restart(self) -> None:
        self.start()

    def replace(self, drain_seconds: float) -> None:
        """Start a successor and, once it says that it is ready, end the one that runs: SIGTERM, and past `drain_seconds` SIGKILL.

        Raises `LocalError` where the successor does not become ready; the one that runs goes on then.
        """
        name = f"@chasqui-{os.getpid()}-{time.monotonic_ns()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.bind(name.replace("@", "\0", 1))
            successor = self._spawn({"NOTIFY_SOCKET": name})
            if not _says_ready(channel, successor):
                code = successor.exit_code
                successor.stop(signal.SIGTERM, drain_seconds)
                how = f"was not ready within {READY_SECONDS:.0f} s" if code is None else f"ended with {code}"
                raise LocalError(f"The new process {how}; see {self._log_path}.")
        former, self._child = self._child, successor
        if former is not None:
            former.stop(signal.SIGTERM, drain_seconds)

    def stop(self, seconds: float) -> None:
        """For good: SIGTERM, past `seconds` SIGKILL, and who calls then is refused. Twice is safe."""
        if self._child is not None:
            self._child.stop(signal.SIGTERM, seconds)
        if self._listen is not None:
            self._listen.close()

    def _spawn(self, more: Mapping[str, str]) -> Child:
        descriptors = () if self._listen is None else (self._listen.fileno(),)
        argv = [*HAND_OVER, str(descriptors[0]), *self._argv] if descriptors else self._argv
        env = {**self._env, **more}
        return Child.start(argv, env=env, log_path=self._log_path, cwd=self._cwd, descriptors=descriptors)


def _says_ready(channel: socket.socket, child: Child) -> bool:
    deadline = time.monotonic() + READY_SECONDS
    channel.settimeout(0.05)
    while child.running and time.monotonic() < deadline:
        try:
            if b"READY=1" in channel.recv(4096).split(b"\n"):
                return True
        except TimeoutError:
            pass  # look again whether it runs
    return False


@dataclass(slots=True)
class Supervised:
    """A process and its history. `exit_code` is a program's last one."""

    name: str
    process: Process
    port: int | None = None
    restarts: int = 0
    exit_code: int | None = None
    _in_a_row: int = 0
    _started_at: float = field(default_factory=time.monotonic)
    _due_at: float | None = None

    def tend(self) -> bool:
        """Start it again if it has died and its wait is over; True where that happened. Takes as long as the start."""
        if self.process.pid is not None:
            return False
        now = time.monotonic()
        if self._due_at is None:
            self._mourn(now)
        elif now >= self._due_at:
            self._due_at, self._started_at = None, now
            try:
                self.process.restart()
            except LocalError as error:  # one more death
                sys.stdout.write(f"{error}\n")
                return False
            self.restarts += 1
            return True
        return False

    def _mourn(self, now: float) -> None:
        self._in_a_row = 0 if now - self._started_at > LIVED_SECONDS else self._in_a_row
        self._due_at = now + RESTART_SECONDS[min(self._in_a_row, len(RESTART_SECONDS) - 1)]
        self._in_a_row += 1
        how = ""
        if isinstance(self.process, Program):
            self.exit_code = self.process.exit_code
            how = f" with {self.exit_code}"
        sys.stdout.write(f"{self.name} ended{how}; starting it again\n")
        sys.stdout.flush()

    def facts(self) -> dict[str, object]:
        """Its line in `run.json`."""
        known = {"pid": self.process.pid, "port": self.port, "exit_code": self.exit_code}
        return {"name": self.name, **{n: v for n, v in known.items() if v is not None}, "restarts": self.restarts}
