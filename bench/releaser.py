"""A scheduler that only releases, with its outcomes stood in: `python -m bench.releaser FILE`, ended by SIGTERM.

Its release and its outbox are the service's own; the bus is the one within a process, and what arrives there is settled at once as
sent. Each message that arrived is a line of FILE: its id, when it was due and when it arrived, in seconds. BENCH_DATABASE_URL and
BENCH_DATABASE_PASSWORD say where.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, cast

from services.scheduler import hold
from services.scheduler.jobs import release_job
from shared.bus.interface import RetryPolicy, Subscription
from shared.bus.memory import MemoryBus
from shared.bus.outbox import Outbox
from shared.bus.subscriber import Subscriber
from shared.clock import SystemClock
from shared.config import DatabaseSettings, TelemetrySettings
from shared.db.pool import open_pool
from shared.events.catalogue import MessageReleased, MessageSent
from shared.events.event import Event
from shared.run import Component, main
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing

SETTLE: Final = Subscription(
    "bench.settle", (MessageReleased,), RetryPolicy(schedule_seconds=(1,)), concurrency=2, max_events=1_024
)
DRAIN_SECONDS: Final = 10.0


async def build(stack: AsyncExitStack) -> Sequence[Component]:
    settings = DatabaseSettings.model_validate(
        {"url": os.environ["BENCH_DATABASE_URL"], "password": os.environ["BENCH_DATABASE_PASSWORD"]}
    )
    arrived = stack.enter_context(Path(sys.argv[1]).open("w"))  # noqa: SIM115  # the stack closes it
    metrics, tracing = Metrics("scheduler"), Tracing("bench", TelemetrySettings())
    pool = await stack.enter_async_context(open_pool(settings, "scheduler"))
    bus = await stack.enter_async_context(MemoryBus())
    await bus.declare([SETTLE])
    outbox = Outbox(pool, bus, metrics)
    release = release_job(outbox, tracing, metrics, SystemClock())

    async def settle(events: Sequence[Event]) -> None:
        at = time.time()
        released = cast("Sequence[MessageReleased]", events)
        for event in released:
            due = event.first_due_at.timestamp() if event.first_due_at else 0.0
            arrived.write(f"{event.message_id} {due} {at}\n")
        arrived.flush()
        await hold.settle(
            outbox,
            [
                MessageSent(
                    tenant_id=event.tenant_id,
                    message_id=event.message_id,
                    attempt=event.attempt,
                    wamid="",
                    started_at=event.occurred_at,
                )
                for event in released
            ],
            release.wake,
        )

    return [Subscriber(bus, SETTLE, settle, tracing, metrics), release, outbox]


if __name__ == "__main__":
    sys.exit(main([build], drain_seconds=DRAIN_SECONDS))
