"""`make stack`: the same services as separate processes on a real RabbitMQ, each restarted when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from local.broker import running_broker
from local.children import Child
from local.errors import LocalError
from local.home import HOST, Home, ports_from_environment, service_environment
from local.servers import Servers, running_servers, step
from local.welcome import banner, connect_sandbox
from services.topology import declare
from shared.config import BusSettings
from shared.telemetry.logging import setup_logging

ROOT: Final = Path(__file__).resolve().parents[1]
START_ORDER: Final = ("sandbox", "archive", "sender", "scheduler", "gateway")
"""Stopped in reverse: the door first, the memory last."""
RESTART_SECONDS: Final = (0.2, 1.0, 3.0, 5.0)
"""Waits before the first, second, … restart in a row; a process that lived a minute starts over."""
LIVED_SECONDS: Final = 60.0
DRAIN_SECONDS: Final = 25.0
LOOK_SECONDS: Final = 0.05


@dataclass(slots=True)
class Supervised:
    """One service's process and its history."""

    name: str
    child: Child
    started_at: float
    restarts: int = 0
    due_at: float | None = None


@dataclass(slots=True)
class Stack:
    """The services' processes. `tend` is called again and again and restarts what has died."""

    home: Home
    environment: Mapping[str, str]
    ports: Mapping[str, int]
    facts: dict[str, Any]
    running: dict[str, Supervised] = field(default_factory=dict)

    def start_all(self) -> None:
        for name in START_ORDER:
            self.running[name] = Supervised(name, self._start(name), time.monotonic())

    def tend(self) -> None:
        """Restart what has died, after its wait."""
        for one in self.running.values():
            now = time.monotonic()
            if one.child.running:
                continue
            if one.due_at is None:
                if now - one.started_at > LIVED_SECONDS:
                    one.restarts = 0
                one.due_at = now + RESTART_SECONDS[min(one.restarts, len(RESTART_SECONDS) - 1)]
                one.restarts += 1
                sys.stdout.write(f"{one.name} ended with {one.child.exit_code}; starting it again\n")
            elif now >= one.due_at:
                one.child, one.started_at, one.due_at = self._start(one.name), now, None
                self.write_run()

    def stop_all(self) -> None:
        for name in reversed(START_ORDER):
            if name in self.running:
                self.running[name].child.stop(signal.SIGTERM, DRAIN_SECONDS)

    def write_run(self) -> None:
        processes = [
            {"name": name, "pid": one.child.pid, "port": self.ports[name], "restarts": one.restarts}
            for name, one in self.running.items()
        ]
        self.home.write_run(**{**self.facts, "processes": [*processes, *self.facts["processes"]]})

    def _start(self, name: str) -> Child:
        argv = (sys.executable, "-m", f"services.{name}")
        return Child.start(argv, env=self.environment, log_path=self.home.path / f"{name}.log", cwd=ROOT)


def facts_of(servers: Servers, bus_url: str, broker_pid: int | None, ports: Mapping[str, int], test_key: str) -> dict[str, Any]:
    """The part of `run.json` that does not change."""
    pids = {**servers.pids, **({"rabbitmq": broker_pid} if broker_pid else {})}
    return {
        "mode": "stack",
        "processes": [{"name": name, "pid": pid} for name, pid in pids.items()],
        "gateway_url": f"http://{HOST}:{ports['gateway']}",
        "sandbox_url": f"http://{HOST}:{ports['sandbox']}",
        "servers": {"postgres": servers.admin_url, "redis": servers.redis_url, "bus": bus_url},
        "test_key": test_key,
    }


def run() -> int:
    """Start everything, keep it running until Ctrl-C, stop everything."""
    setup_logging("warning")
    home = Home.from_environment()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with ExitStack() as opened:
        home.folder.claim()
        opened.callback(home.folder.release)
        opened.callback(home.forget_run)
        ports = ports_from_environment()
        kept = home.secrets()
        sys.stdout.write(f"Starting Chasqui in {home.path}\n")
        servers = opened.enter_context(running_servers(home, kept))
        with step("RabbitMQ"):
            broker = opened.enter_context(running_broker(home.path / "rabbitmq"))
            asyncio.run(declare(BusSettings(url=broker.url)))
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CHASQUI_")},
            **service_environment(
                ports,
                kept,
                database_url=servers.database_url,
                redis_url=servers.redis_url,
                bus_url=broker.url,
                journal=home.path / "journal",
            ),
        }
        stack = Stack(home, environment, ports, facts_of(servers, broker.url, broker.pid, ports, kept["test_key"]))
        opened.callback(stack.stop_all)
        with step("services"):
            stack.start_all()
            asyncio.run(connect_sandbox(ports, kept))
        stack.write_run()
        sys.stdout.write(banner(ports, kept["test_key"], home.path))
        sys.stdout.flush()
        while not ended.wait(LOOK_SECONDS):
            stack.tend()
    sys.stdout.write("Stopped.\n")
    return 0


def entry() -> int:
    """Faults that the user can mend are one sentence."""
    try:
        return run()
    except LocalError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(entry())
