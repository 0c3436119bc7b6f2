"""More sender processes beside the stack's own: same settings, a journal folder of their own, started again when they die."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, redirect_stdout
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from bench.rig import ROOT, Rig, until_up
from local.home import Home, service_environment
from local.ports import free_port
from local.supervise import Program, Supervised

LOOK_SECONDS: Final = 0.05


@asynccontextmanager
async def more_senders(rig: Rig, how_many: int) -> AsyncIterator[Sequence[Supervised]]:
    """They are up when this yields, and gone when it ends."""
    senders = [_sender(rig, index) for index in range(how_many)]
    programs = [program for _, program in senders]
    supervised = [one for one, _ in senders]
    try:
        for program in programs:
            program.start()
        for one in supervised:
            assert one.port is not None
            await until_up(rig.session, one.port)
        async with asyncio.TaskGroup() as group:
            tending = group.create_task(_tend(supervised))
            try:
                yield supervised
            finally:
                tending.cancel()
    finally:
        for program in programs:
            program.stop(25.0)


def _sender(rig: Rig, index: int) -> tuple[Supervised, Program]:
    servers = rig.facts["servers"]
    ports = {one["name"]: one["port"] for one in rig.facts["processes"] if "port" in one}
    database = urlsplit(servers["postgres"])
    environment = service_environment(
        {**ports, "sender": free_port()},
        Home(rig.home).secrets(),
        database_url=urlunsplit(database._replace(netloc=database.netloc.rpartition("@")[2])),
        redis_url=servers["redis"],
        bus_url=servers["bus"],
        journal=rig.home / f"journal-{index}",
    )
    name = f"sender-{index}"
    program = Program(
        (sys.executable, "-m", "services.sender"),
        env={"PATH": "/usr/bin:/bin", **environment, **rig.settings},
        log_path=rig.home / f"{name}.log",
        cwd=ROOT,
    )
    return Supervised(name, program, int(environment["CHASQUI_SENDER__PORT"])), program


async def _tend(senders: Sequence[Supervised]) -> None:
    while True:
        with redirect_stdout(sys.stderr):  # standard output is for the tables
            for one in senders:
                one.tend()
        await asyncio.sleep(LOOK_SECONDS)
