"""Processes that are started again when they die."""

from __future__ import annotations

import signal
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
    """A program without data of its own: restarting it is starting it."""

    def __init__(self, argv: Sequence[str | Path], *, env: Mapping[str, str], log_path: Path, cwd: Path) -> None:
        self._argv = argv
        self._env = env
        self._log_path = log_path
        self._cwd = cwd
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.running else None

    @property
    def exit_code(self) -> int | None:
        return self._child.exit_code if self._child is not None else None

    def start(self) -> None:
        self._child = Child.start(self._argv, env=self._env, log_path=self._log_path, cwd=self._cwd)

    def restart(self) -> None:
        self.start()

    def stop(self, seconds: float) -> None:
        """SIGTERM, and past `seconds` SIGKILL. Twice is safe."""
        if self._child is not None:
            self._child.stop(signal.SIGTERM, seconds)


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
