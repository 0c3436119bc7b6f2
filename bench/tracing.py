"""What it costs to record traces: the whole pipeline with nobody recording, one message in a hundred, and all of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from bench import pipeline
from bench.offer import FLIGHT, Message, accept, accept_batch
from bench.rig import QUIET, Rig, running_rig
from bench.scenario import Report, Row, Scale, Scenario

BATCH: Final = 1_000
RECORDED: Final[Mapping[str, str]] = {"X-Chasqui-Trace": "record"}
SERVICES: Final = ("gateway", "scheduler", "sender", "archive")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_CPU_AT: Final = slice(11, 13)
"""utime and stime (proc_pid_stat(5)), counted from after the name, which may hold spaces."""


@dataclass(slots=True)
class Drain:
    """A collector that takes everything and keeps nothing; the cost of keeping spans is another program's."""

    url: str = ""
    received_bytes: int = 0

    async def take(self, request: web.Request) -> web.StreamResponse:
        async for chunk in request.content.iter_any():
            self.received_bytes += len(chunk)
        return web.Response()


@asynccontextmanager
async def draining() -> AsyncIterator[Drain]:
    drain = Drain()
    app = web.Application()
    app.router.add_post("/v1/traces", drain.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        drain.url = f"http://{host}:{port}"
        yield drain
    finally:
        await runner.cleanup()


async def run(_rig: Rig, scale: Scale) -> Report:
    """A stack for each, one after the other, beside one that does nothing."""
    how_many = scale.of(30_000, 3_000)
    report = Report()
    async with draining() as drain:
        collected = {"CHASQUI_TELEMETRY__OTLP_ENDPOINT": drain.url}
        on_request = {**collected, "CHASQUI_TELEMETRY__SAMPLE_RATIO": "0"}
        report.rows["off"] = await _measured({}, drain, how_many, accept)
        report.rows["0 %, failures only"] = await _measured(on_request, drain, how_many, accept)
        report.rows["1 %"] = await _measured(on_request, drain, how_many, _accept_one_percent)
        report.rows["100 %"] = await _measured(collected, drain, how_many, accept)
    report.notes += (
        "cpu_us: of the four services, user and system, a message from the request to `read`; RabbitMQ and PostgreSQL apart.",
        "Recorded spans go as OTLP to a collector in the bench's own process, which throws them away.",
    )
    return report


async def _measured(settings: Mapping[str, str], drain: Drain, how_many: int, offer: pipeline.Offer) -> Row:
    async with running_rig({**QUIET, **settings}) as rig:
        numbers = await rig.connect(pipeline.NUMBERS, per_second=pipeline.PER_SECOND)
        await pipeline.saturated(rig, numbers, pipeline.WARM_UP)
        cpu, received = _cpu_seconds(rig), drain.received_bytes
        row = await pipeline.saturated(rig, numbers, how_many, offer)
        spent = _cpu_seconds(rig) - cpu
    received = drain.received_bytes - received  # with what the end of the stack has flushed
    return {**row, "cpu_us": round(spent / how_many * 1e6), "span_bytes": round(received / how_many)}


async def _accept_one_percent(rig: Rig, messages: Sequence[Message]) -> list[str]:
    """As `accept`, with every hundredth message recorded: whole requests are, so those have one of their own."""
    flight = asyncio.Semaphore(FLIGHT)

    async def send(batch: Sequence[Message]) -> list[str]:
        few = len(batch) // 100
        async with flight:
            return [*await accept_batch(rig, batch[:few], RECORDED), *await accept_batch(rig, batch[few:])]

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(send(messages[at : at + BATCH])) for at in range(0, len(messages), BATCH)]
    return [message_id for task in tasks for message_id in task.result()]


def _cpu_seconds(rig: Rig) -> float:
    ticks = 0
    for pid in (pid for name in SERVICES for pid in rig.pids(name)):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(int(field) for field in fields[_CPU_AT])
    return ticks / _TICKS


SCENARIO: Final = Scenario("tracing", "what recording traces costs: off, failures only, 1 %, 100 %", 150, run, apart=True)
