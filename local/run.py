"""`make run`: the whole platform in one process, on an in-process bus, with its own PostgreSQL and Valkey."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from typing import Final

from local.assembly import AllSettings, build_all
from local.errors import LocalError
from local.home import HOST, Home, ports_from_environment, service_environment
from local.servers import Servers, running_servers, step
from local.welcome import banner, connect_sandbox
from shared.bus.interface import StopSignal
from shared.config import SettingsError
from shared.http.server import PortTaken
from shared.run import Builder, Component, Stage, main
from shared.telemetry.logging import setup_logging

DRAIN_SECONDS: Final = 15.0


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
        )
        sys.stdout.write(banner(self.ports, self.kept["test_key"], self.home.path / "chasqui.log"))
        sys.stdout.flush()
        await stop.wait()


def builder(welcome: Welcome) -> Builder:
    """All services on one bus. Raises `SettingsError`."""
    settings = AllSettings.from_environment()

    async def build(stack: AsyncExitStack) -> Sequence[Component]:
        return [welcome, *await build_all(stack, settings)]

    return build


def run() -> int:
    """Start everything, serve until Ctrl-C, stop everything; returns the exit code."""
    home = Home.from_environment()
    with ExitStack() as stack:
        home.folder.claim()
        stack.callback(home.folder.release)
        stack.callback(home.forget_run)
        ports = ports_from_environment()
        kept = home.secrets()
        sys.stdout.write(f"Starting Chasqui in {home.path}\n")
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
        with step("services"):
            build = builder(Welcome(home, ports, kept, servers))
        code = main([build], drain_seconds=DRAIN_SECONDS)
        sys.stdout.write("Stopped.\n" if code == 0 else f"Chasqui ended with an error; see {home.path / 'chasqui.log'}\n")
        return code


def entry() -> int:
    """Faults that the user can mend are one sentence."""
    try:
        return run()
    except (LocalError, SettingsError, PortTaken) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(entry())
