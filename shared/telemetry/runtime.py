"""What the process itself shows: how promptly its event loop turns, what it reads and writes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from shared.bus.interface import StopSignal
from shared.run import Stage
from shared.telemetry.catalogue import EVENT_LOOP_LAG_SECONDS, NETWORK_BYTES_TOTAL, PROCESS_IO_BYTES_TOTAL
from shared.telemetry.metrics import Metrics, Reading

TRIED_EVERY_SECONDS: Final = 0.25
_IO: Final = Path("/proc/self/io")
_NETWORK: Final = Path("/proc/self/net/dev")


class Runtime:
    """Sets a timer again and again and notes how late it fires: what every wait in this process is worth. Runs to the end of the
    drain, when it matters most."""

    stage = Stage.RELAY

    def __init__(self, metrics: Metrics) -> None:
        self.name = f"{metrics.service}.runtime"
        self._metrics = metrics
        metrics.source("process", read_process)

    async def run(self, stop: StopSignal) -> None:
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            due = loop.time() + TRIED_EVERY_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await stop.wait()
                    return
            self._metrics.observe(EVENT_LOOP_LAG_SECONDS, max(0.0, loop.time() - due))


async def read_process() -> Iterable[Reading]:
    """Linux tells in microseconds, so nobody waits; elsewhere, or where it may not be read, there is nothing to tell."""
    readings: list[Reading] = []
    with suppress(OSError):
        io = dict(line.split(": ") for line in _IO.read_text().splitlines())
        readings += [Reading(PROCESS_IO_BYTES_TOTAL, int(io[f"{way}_bytes"]), (way,)) for way in ("read", "write")]
    with suppress(OSError):
        received, sent = network_bytes(_NETWORK.read_text())
        readings += [
            Reading(NETWORK_BYTES_TOTAL, received, ("receive",)),
            Reading(NETWORK_BYTES_TOTAL, sent, ("transmit",)),
        ]
    return readings


def network_bytes(table: str) -> tuple[int, int]:
    """What all interfaces but loopback have received and sent, of the table that proc(5) shows: two lines of heads, then a line
    each, whose first and ninth number are bytes."""
    received = sent = 0
    for line in table.splitlines()[2:]:
        name, _, rest = line.partition(":")
        if name.strip() != "lo":
            numbers = rest.split()
            received += int(numbers[0])
            sent += int(numbers[8])
    return received, sent
