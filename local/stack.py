"""`make stack`: the services as separate processes on a real RabbitMQ; each, and each server, is restarted when it dies.

Their listening sockets are opened here and handed down, so that a service that is replaced (`make reload`) or restarted refuses no
connection: callers wait for its successor.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

from local.assembly import check_settings
from local.broker import RunningBroker, running_broker
from local.errors import LocalError
from local.home import HOST, PORTS, Home, ports_from_environment, presumed_environment, service_environment
from local.servers import Servers, running_servers, step
from local.supervise import Program, Supervised
from local.welcome import banner, connect_sandbox
from services.gateway.routes.traces import RECEIVER
from services.topology import declare
from shared.config import BusSettings, SettingsError
from shared.telemetry.logging import setup_logging

ROOT: Final = Path(__file__).resolve().parents[1]
START_ORDER: Final = ("sandbox", "archive", "sender", "scheduler", "gateway")
"""Stopped in reverse: the door first, the memory last."""
RELOAD_ORDER: Final = ("archive", "sender", "scheduler", "gateway")
"""Who consumes before who produces: an event of a new kind finds somebody who knows it."""
DRAIN_SECONDS: Final = 25.0
NOTICE_SECONDS: Final = 0.5
"""Long enough for connections in use to be answered once more, and short enough for who waits for Ctrl-C."""
LOOK_SECONDS: Final = 0.05
_BACKLOG: Final = 1024


@dataclass(slots=True)
class Stack:
    """The services' processes, and the servers they need. `facts` are those of `run.json` that do not change."""

    home: Home
    programs: Mapping[str, Program]
    processes: Sequence[Supervised]
    facts: Mapping[str, object]
    reloads: list[str] = field(default_factory=list)
    """What became of each `reload`: a fault's sentence, or nothing."""

    def tend(self) -> None:
        """Start again what has died, servers first. To be called again and again; takes as long as such a start."""
        started = [one for one in self.processes if one.tend()]
        if started:
            self.write_run()

    def reload(self) -> None:
        """Replace each service in turn by a new process, of the code and the settings as they are on disk and were at the start.
        Where a new one does not become ready, the old one and those after it stay."""
        fault = ""
        for name in RELOAD_ORDER:
            try:
                self.programs[name].replace(DRAIN_SECONDS)
            except LocalError as error:
                fault = f"{name} was not replaced. {error}"
                break
            self.write_run()
        self.reloads.append(fault)
        self.write_run()
        sys.stdout.write(f"{fault or 'Every service was replaced.'}\n")
        sys.stdout.flush()

    def stop_all(self) -> None:
        """The services; the servers belong to who started them."""
        for name in reversed(START_ORDER):
            self.programs[name].stop(DRAIN_SECONDS)

    def write_run(self) -> None:
        self.home.write_run(
            **self.facts, reloads=self.reloads, pid=os.getpid(), processes=[one.facts() for one in self.processes]
        )


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
        **span_environment(ports, kept),
        "CHASQUI_BUS__URL": broker.url,  # the configured one, or our own where that one does not answer
        "CHASQUI_RUN__DRAIN_NOTICE_SECONDS": os.environ.get("CHASQUI_RUN__DRAIN_NOTICE_SECONDS", str(NOTICE_SECONDS)),
    }


def span_environment(ports: Mapping[str, int], kept: Mapping[str, str]) -> dict[str, str]:
    """Every service sends its spans to the gateway, which keeps them; unless the caller has set an endpoint, if to nothing."""
    if "CHASQUI_TELEMETRY__OTLP_ENDPOINT" in os.environ:
        return {}
    return {
        "CHASQUI_TELEMETRY__OTLP_ENDPOINT": f"http://{HOST}:{ports['gateway']}{RECEIVER}",
        "CHASQUI_TELEMETRY__OTLP_HEADERS": f"authorization=Bearer%20{quote(kept['internal_token'])}",
        # The exporter goes through HTTP_PROXY, and the token is nobody else's.
        "no_proxy": ",".join(filter(None, (os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), HOST))),
    }


def listening_sockets(opened: ExitStack, ports: Mapping[str, int], environment: Mapping[str, str]) -> dict[str, socket.socket]:
    """Of each service that can be replaced, where it answers. Raises `LocalError` where a port is taken."""
    sockets = {}
    for name in RELOAD_ORDER:
        host = environment.get(PORTS[name][0].replace("__PORT", "__HOST"), HOST)
        try:
            sockets[name] = opened.enter_context(socket.create_server((host, ports[name]), backlog=_BACKLOG))
        except OSError as error:
            raise LocalError(f"Port {ports[name]} on {host} cannot be had: {error.strerror}.") from None
    return sockets


def stack_of(
    home: Home,
    servers: Servers,
    broker: RunningBroker,
    ports: Mapping[str, int],
    kept: Mapping[str, str],
    environment: Mapping[str, str],
    sockets: Mapping[str, socket.socket],
) -> Stack:
    """Nothing of it runs yet but the servers."""
    programs = {
        name: Program(
            (sys.executable, "-m", f"services.{name}"),
            env=environment,
            log_path=home.path / f"{name}.log",
            cwd=ROOT,
            listen=sockets.get(name),
        )
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
        "test_key": kept["test_key"],
        "admin_key": kept["admin_key"],
    }
    return Stack(home, programs, processes, facts)


def run() -> int:
    """Start everything, keep it running until Ctrl-C, stop everything."""
    setup_logging("warning")
    home = Home.from_environment()
    ended = threading.Event()
    reload_asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    signal.signal(signal.SIGUSR2, lambda *_: reload_asked.set())
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
        sockets = listening_sockets(opened, ports, environment)
        stack = stack_of(home, servers, broker, ports, kept, environment, sockets)
        opened.callback(stack.stop_all)
        with step("services"):
            for name in START_ORDER:
                stack.programs[name].start()
            sender = asyncio.run(connect_sandbox(ports, kept))
        stack.write_run()
        sys.stdout.write(banner(ports, kept, home.path, sender))
        sys.stdout.flush()
        while not ended.wait(LOOK_SECONDS):
            stack.tend()
            if reload_asked.is_set():
                reload_asked.clear()
                stack.reload()
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
