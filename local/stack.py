"""`make stack`: the services as separate processes on a real RabbitMQ; each, and each server, is restarted when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local.assembly import check_settings
from local.broker import RunningBroker, running_broker
from local.errors import LocalError
from local.home import HOST, Home, ports_from_environment, presumed_environment, service_environment
from local.servers import Servers, running_servers, step
from local.supervise import Program, Supervised
from local.welcome import banner, connect_sandbox
from services.topology import declare
from shared.config import BusSettings, SettingsError
from shared.telemetry.logging import setup_logging

ROOT: Final = Path(__file__).resolve().parents[1]
START_ORDER: Final = ("sandbox", "archive", "sender", "scheduler", "gateway")
"""Stopped in reverse: the door first, the memory last."""
DRAIN_SECONDS: Final = 25.0
LOOK_SECONDS: Final = 0.05


@dataclass(slots=True)
class Stack:
    """The services' processes, and the servers they need. `facts` are those of `run.json` that do not change."""

    home: Home
    programs: Mapping[str, Program]
    processes: Sequence[Supervised]
    facts: Mapping[str, object]

    def tend(self) -> None:
        """Start again what has died, servers first. To be called again and again; takes as long as such a start."""
        started = [one for one in self.processes if one.tend()]
        if started:
            self.write_run()

    def stop_all(self) -> None:
        """The services; the servers belong to who started them."""
        for name in reversed(START_ORDER):
            self.programs[name].stop(DRAIN_SECONDS)

    def write_run(self) -> None:
        self.home.write_run(**self.facts, processes=[one.facts() for one in self.processes])


def stack_environment(
    home: Home, servers: Servers, broker: RunningBroker, ports: Mapping[str, int], kept: Mapping[str, str]
) -> dict[str, str]:
    """Of every service."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("CHASQUI_")},
        **service_environment(
            ports,
            kept,
            database_url=servers.database_url,
            redis_url=servers.redis_url,
            bus_url=broker.url,
            journal=home.path / "journal",
        ),
        "CHASQUI_BUS__URL": broker.url,  # the configured one, or our own where that one does not answer
    }


def stack_of(
    home: Home,
    servers: Servers,
    broker: RunningBroker,
    ports: Mapping[str, int],
    test_key: str,
    environment: Mapping[str, str],
) -> Stack:
    """Nothing of it runs yet but the servers."""
    programs = {
        name: Program((sys.executable, "-m", f"services.{name}"), env=environment, log_path=home.path / f"{name}.log", cwd=ROOT)
        for name in START_ORDER
    }
    processes = [Supervised("postgres", servers.postgres), Supervised("valkey", servers.valkey)]
    if broker.process is not None:
        processes.append(Supervised("rabbitmq", broker.process))
    processes += [Supervised(name, program, ports[name]) for name, program in programs.items()]
    facts = {
        "mode": "stack",
        "gateway_url": f"http://{HOST}:{ports['gateway']}",
        "sandbox_url": f"http://{HOST}:{ports['sandbox']}",
        "servers": {"postgres": servers.admin_url, "redis": servers.redis_url, "bus": broker.url},
        "test_key": test_key,
    }
    return Stack(home, programs, processes, facts)


def run() -> int:
    """Start everything, keep it running until Ctrl-C, stop everything."""
    setup_logging("warning")
    home = Home.from_environment()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    with ExitStack() as opened:
        home.folder.claim()
        opened.callback(home.folder.release)
        opened.callback(home.forget_run)
        ports = ports_from_environment()
        kept = home.secrets()
        check_settings(presumed_environment(ports, kept))  # said here, once, and not in five logs again and again
        sys.stdout.write(f"Starting Chasqui in {home.path}\n")
        home.change_mode("stack")
        servers = opened.enter_context(running_servers(home, kept))
        with step("RabbitMQ"):
            broker = opened.enter_context(running_broker(home.path / "rabbitmq"))
            asyncio.run(declare(BusSettings(url=broker.url)))
        environment = stack_environment(home, servers, broker, ports, kept)
        os.environ.update(environment)
        stack = stack_of(home, servers, broker, ports, kept["test_key"], environment)
        opened.callback(stack.stop_all)
        with step("services"):
            for name in START_ORDER:
                stack.programs[name].start()
            sender = asyncio.run(connect_sandbox(ports, kept))
        stack.write_run()
        sys.stdout.write(banner(ports, kept["test_key"], home.path, sender))
        sys.stdout.flush()
        while not ended.wait(LOOK_SECONDS):
            stack.tend()
    sys.stdout.write("Stopped.\n")
    return 0


def entry() -> int:
    """Faults that the user can mend are one sentence."""
    try:
        return run()
    except (LocalError, SettingsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(entry())
