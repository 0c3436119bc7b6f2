"""`make run`: the whole platform in one process, on an in-process bus, with its own PostgreSQL and Valkey."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from typing import Final

from local.assembly import AllSettings, build_all, check_settings
from local.errors import LocalError
from local.home import HOST, Home, ports_from_environment, presumed_environment, service_environment
from local.servers import Servers, running_servers
from local.supervise import Supervised
from local.welcome import banner, connect_sandbox
from shared.bus.interface import StopSignal
from shared.config import SettingsError
from shared.http.server import PortTaken
from shared.run import Builder, Component, Stage, main
from shared.telemetry.logging import setup_logging

DRAIN_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Welcome:
    """Connects the sandbox's number once the gateway answers, then says where everything is."""

    home: Home
    ports: dict[str, int]
    kept: dict[str, str]
    servers: Servers
    name: str = "local.welcome"
    stage: Stage = Stage.INTAKE

    async def run(self, stop: StopSignal) -> None:
        async with asyncio.TaskGroup() as group:
            connecting = group.create_task(connect_sandbox(self.ports, self.kept), name="local.connect")
            stopping = group.create_task(stop.wait(), name="local.stop")
            await asyncio.wait((connecting, stopping), return_when=asyncio.FIRST_COMPLETED)
            connecting.cancel()
            stopping.cancel()
        if stop.is_set():
            return
        processes = [{"name": "chasqui", "services": list(self.ports), "pid": os.getpid(), "ports": self.ports}]
        processes += [{"name": name, "pid": pid} for name, pid in self.servers.pids.items()]
        self.home.write_run(
            mode="run",
            processes=processes,
            gateway_url=f"http://{HOST}:{self.ports['gateway']}",
            sandbox_url=f"http://{HOST}:{self.ports['sandbox']}",
            servers={"postgres": self.servers.admin_url, "redis": self.servers.redis_url, "bus": "memory://"},
            test_key=self.kept["test_key"],
            admin_key=self.kept["admin_key"],
        )
        sys.stdout.write(banner(self.ports, self.kept, self.home.path / "chasqui.log", connecting.result()))
        sys.stdout.flush()
        await stop.wait()


@dataclass(frozen=True, slots=True)
class Nurse:
    """Starts the servers again when they die; the services wait for them meanwhile."""

    servers: Servers
    name: str = "local.nurse"
    stage: Stage = Stage.RELAY

    async def run(self, stop: StopSignal) -> None:
        patients = [Supervised("postgres", self.servers.postgres), Supervised("valkey", self.servers.valkey)]
        while not stop.is_set():
            for patient in patients:
                await asyncio.to_thread(patient.tend)
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await stop.wait()
            except TimeoutError:
                pass  # look again


def builder(welcome: Welcome, faults: list[str]) -> Builder:
    """All services on one bus. Raises `SettingsError`; what keeps a service from starting is added to `faults` as a sentence."""
    settings = AllSettings.from_environment()

    async def build(stack: AsyncExitStack) -> Sequence[Component]:
        try:
            return [welcome, *await build_all(stack, settings), Nurse(welcome.servers)]
        except Exception as error:
            faults.append(f"A service could not start: {error}.\n")
            raise

    return build


def run() -> int:
    """Start everything, serve until Ctrl-C, stop everything; returns the exit code."""
    # Shells have what they start in the background ignore it. It ends us later, so it does from the first moment on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    home = Home.from_environment()
    with ExitStack() as stack:
        home.folder.claim()
        stack.callback(home.folder.release)
        stack.callback(home.forget_run)
        ports = ports_from_environment()
        kept = home.secrets()
        check_settings(presumed_environment(ports, kept))
        sys.stdout.write(f"Starting Chasqui in {home.path}\n")
        if home.change_mode("run"):
            sys.stdout.write("  What `make stack` had in RabbitMQ stays there until it runs again.\n")
        servers = stack.enter_context(running_servers(home, kept))
        os.environ.update(
            service_environment(
                ports,
                kept,
                database_url=servers.database_url,
                redis_url=servers.redis_url,
                bus_url="memory://",
                journal=home.path / "journal",
            )
        )
        log = stack.enter_context((home.path / "chasqui.log").open("a", buffering=1))
        setup_logging(os.environ.get("CHASQUI_TELEMETRY__LOG_LEVEL", "info"), stream=log)
        faults: list[str] = []
        code = main([builder(Welcome(home, ports, kept, servers), faults)], drain_seconds=DRAIN_SECONDS)
        if code:
            sys.stderr.write(f"{' '.join(faults)}Chasqui ended with an error; see {home.path / 'chasqui.log'}\n")
        else:
            sys.stdout.write("Stopped.\n")
        return code


def entry() -> int:
    """Faults that the user can mend are one sentence."""
    try:
        return run()
    except (LocalError, SettingsError, PortTaken) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):  # which of the two asyncio.run makes of Ctrl-C depends on when it comes
        return 130


if __name__ == "__main__":
    sys.exit(entry())
