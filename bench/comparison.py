"""The same messages through Celery + requests and taskiq + aiohttp: only "queue and POST", same broker, same sandbox."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final

from bench import ceiling, ledger, pipeline
from bench.rig import ACCESS_TOKEN, ROOT, Rig
from bench.rivals import celery_app, taskiq_app
from bench.scenario import Report, Row, Scale, Scenario
from local.children import Child

Publish = Callable[[int, int], Coroutine[Any, Any, None]]
"""Puts the messages from … up to … into the queue; returns when the broker has confirmed them."""

PUBLISHERS: Final = 4
"""Celery's threads, taskiq's tasks × 32: publishing one by one would be slower than working them off."""
WARM_UP: Final = 200
PATIENCE_SECONDS: Final = 120.0


async def run(rig: Rig, scale: Scale) -> Report:
    """Chasqui first, in the same minute, then the others; each gets the machine to itself."""
    numbers = await rig.connect(pipeline.NUMBERS, per_second=pipeline.PER_SECOND)
    unlimited = await rig.connect(pipeline.NUMBERS, per_second=1_000, allowed_per_second=ceiling.UNLIMITED)
    urls = [f"{rig.facts['sandbox_url']}/v23.0/{number.phone_number_id}/messages" for number in unlimited]
    how_many = scale.of(10_000, 1_000)
    report = Report()
    await pipeline.saturated(rig, numbers, pipeline.WARM_UP)
    ours = report.rows["Chasqui, everything on"] = await pipeline.saturated(rig, numbers, scale.of(20_000, 2_000))
    async with _celery(rig, urls) as publish:
        report.rows["Celery + requests"] = await _worked_off(rig, publish, how_many)
    async with _taskiq(rig, urls) as publish:
        report.rows["taskiq + aiohttp"] = await _worked_off(rig, publish, how_many)
    for name in ("Celery + requests", "taskiq + aiohttp"):
        times = ours["messages_per_second"] / max(1, report.rows[name]["messages_per_second"])
        report.notes.append(f"Chasqui does {times:.1f} × what {name} does in the same run.")
    report.notes += (
        f"Celery: prefork, {celery_app.PROCESSES} processes, late acknowledgement, confirmed publishing from {PUBLISHERS} threads.",
        f"taskiq: 1 worker, {taskiq_app.CONCURRENCY} tasks at once. Both: quorum queue, no results, no limits, no records.",
    )
    return report


async def _worked_off(rig: Rig, publish: Publish, how_many: int) -> Row:
    """From the first publish to the last POST, by the sandbox's clock."""
    await ledger.forget(rig)
    await publish(0, WARM_UP)
    warm = await ledger.until_accepted(rig, WARM_UP, PATIENCE_SECONDS)
    if warm["distinct"] < WARM_UP:
        raise RuntimeError(f"the worker did {warm['distinct']} of {WARM_UP} tasks in {PATIENCE_SECONDS:.0f} s")
    await ledger.forget(rig)
    began, began_at = time.monotonic(), time.time()
    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(publish(WARM_UP, WARM_UP + how_many))
        published: list[float] = []
        publishing.add_done_callback(lambda _: published.append(time.monotonic() - began))
        arriving = group.create_task(ledger.until_accepted(rig, how_many, PATIENCE_SECONDS))
    summary = arriving.result()
    return {
        "messages": how_many,
        "messages_per_second": round(summary["distinct"] / (summary["last_accepted_at"] - began_at)),
        "accepted_per_second": round(how_many / published[0]),
        "lost": how_many - summary["distinct"],
        "duplicates": summary["duplicates"],
    }


@asynccontextmanager
async def _celery(rig: Rig, urls: list[str]) -> AsyncIterator[Publish]:
    app = celery_app.make_app(rig.facts["servers"]["bus"])

    def publish_some(numbers: Iterator[int]) -> None:
        for n in numbers:
            arguments = (urls[n % len(urls)], ACCESS_TOKEN, ceiling.send_body(n))
            app.send_task(celery_app.TASK, arguments, ignore_result=True)

    with ThreadPoolExecutor(PUBLISHERS) as threads:

        async def publish(start: int, end: int) -> None:
            loop = asyncio.get_running_loop()
            parts = (iter(range(start + part, end, PUBLISHERS)) for part in range(PUBLISHERS))
            await asyncio.gather(*(loop.run_in_executor(threads, publish_some, part) for part in parts))

        worker = _start(rig, "celery", [sys.executable, "-m", "bench.rivals.celery_app", rig.facts["servers"]["bus"]])
        try:
            yield publish
        finally:
            worker.stop(signal.SIGQUIT, 20)
            app.close()


@asynccontextmanager
async def _taskiq(rig: Rig, urls: list[str]) -> AsyncIterator[Publish]:
    broker, task = taskiq_app.make_broker(rig.facts["servers"]["bus"])

    async def publish_some(numbers: Iterator[int]) -> None:
        for n in numbers:
            await task.kiq(urls[n % len(urls)], ACCESS_TOKEN, ceiling.send_body(n))

    async def publish(start: int, end: int) -> None:
        numbers = iter(range(start, end))
        async with asyncio.TaskGroup() as group:
            for _ in range(PUBLISHERS * 32):
                group.create_task(publish_some(numbers))

    arguments = ("--workers", "1", "--max-async-tasks", str(taskiq_app.CONCURRENCY), "--log-level", "ERROR")
    worker = _start(
        rig,
        "taskiq",
        [sys.executable, "-m", "taskiq", "worker", "bench.rivals.taskiq_app:worker_broker", *arguments],
        {taskiq_app.ADDRESS: rig.facts["servers"]["bus"]},
    )
    try:
        await broker.startup()
        try:
            yield publish
        finally:
            await broker.shutdown()
    finally:
        worker.stop(signal.SIGINT, 20)


def _start(rig: Rig, name: str, argv: list[str], more: dict[str, Any] | None = None) -> Child:
    return Child.start(
        argv,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(more or {})},
        log_path=rig.home / f"rival-{name}.log",
        cwd=ROOT,
        death_signal=signal.SIGTERM,
    )


SCENARIO: Final = Scenario("comparison", 'Celery + requests and taskiq + aiohttp doing only "queue and POST"', 50, run)
