"""What becomes of events is counted the same on every bus, and so is what waits and what is dead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import pytest

from shared.bus.connect import open_bus
from shared.bus.depths import depths
from shared.bus.interface import Bus, RetryPolicy, Subscription
from shared.bus.outbox import Outbox
from shared.bus.subscriber import Subscriber
from shared.config import BusSettings, TelemetrySettings
from shared.db.pool import open_pool
from shared.errors import BatchFailed, Permanent, Retry
from shared.events.catalogue import MessageCanceled, MessageExpired
from shared.events.codec import encode
from shared.events.event import Event
from shared.ids import MessageId, TenantId, new_id
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing
from tests.support.database import Database
from tests.support.platform import until
from tests.support.scraped import ask_every_time, scraped

COUNTED = Subscription("test.counted", (MessageCanceled,), RetryPolicy(schedule_seconds=(1,)))
ELSEWHERE = Subscription("test.elsewhere", (MessageExpired,), RetryPolicy(schedule_seconds=(1,)))
SUBJECT = MessageCanceled.subject()


@pytest.fixture(autouse=True)
def _ask_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ask_every_time(monkeypatch)


@pytest.fixture(params=["memory", "rabbitmq"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    url = "memory://" if request.param == "memory" else request.getfixturevalue("rabbit_url")
    async with AsyncExitStack() as stack:
        yield await open_bus(BusSettings(url=url), stack)


async def roll_back(outbox: Outbox) -> None:
    async with outbox.transaction() as unit:
        unit.emit(canceled())
        raise ZeroDivisionError


def canceled() -> MessageCanceled:
    return MessageCanceled(tenant_id=TenantId("tnt_1"), message_id=MessageId(new_id("msg")))


async def test_done_retried_and_dead_events_are_counted_and_dead_ones_lie_in_their_queue(bus: Bus) -> None:
    metrics = Metrics("scheduler")
    metrics.source("queues", depths(bus, [COUNTED]))
    await bus.declare([COUNTED])
    events = [canceled() for _ in range(5)]
    failures: dict[str, Retry | Permanent] = {
        events[1].event_id: Permanent("test.never"),
        events[2].event_id: Retry("test.later"),
    }
    stop = asyncio.Event()

    async def handle(given: Sequence[Event]) -> None:
        mine = {event.event_id: failures.pop(event.event_id) for event in given if event.event_id in failures}
        if mine:
            raise BatchFailed(mine)

    async with asyncio.TaskGroup() as group:
        # In memory an event that is dead keeps its publisher.
        publishing = group.create_task(bus.publish(encode(events)[0]))
        subscriber = Subscriber(bus, COUNTED, handle, Tracing("scheduler", TelemetrySettings()), metrics)
        before = await scraped(metrics)
        group.create_task(subscriber.run(stop))

        async def all_done() -> bool:
            return (await scraped(metrics))("chasqui_bus_events_total", "test.counted", "done") == 4

        await until(all_done, "the retried one to be done")
        stop.set()
        publishing.cancel()
    assert [before("chasqui_bus_events_total", "test.counted", outcome) for outcome in ("done", "retried", "dead")] == [0, 0, 0]
    found = await scraped(metrics)
    assert found("chasqui_bus_events_total", "test.counted", "retried") == 1
    assert found("chasqui_bus_events_total", "test.counted", "dead") == 1
    assert found("chasqui_bus_dead_letters", "test.counted") == 1
    assert found("chasqui_bus_queue_messages", "test.counted") == 0
    assert found("chasqui_bus_handler_duration_seconds_count", "test.counted") == 2
    assert found("chasqui_bus_event_age_seconds_count", "test.counted") == 1, "only the batch that was handled whole"
    assert found("chasqui_bus_event_age_seconds_sum", "test.counted") > 0.9, "it waited for its retry"


async def test_what_nobody_takes_waits_in_its_queue(bus: Bus) -> None:
    metrics = Metrics("scheduler")
    metrics.source("queues", depths(bus, [COUNTED]))
    await bus.declare([COUNTED])
    async with asyncio.TaskGroup() as group:
        publishing = [group.create_task(bus.publish(encode([canceled()])[0])) for _ in range(3)]

        async def waiting() -> bool:
            return (await scraped(metrics))("chasqui_bus_queue_messages", "test.counted") == 3

        await until(waiting, "three messages to wait")
        for task in publishing:
            task.cancel()


async def test_the_outbox_tells_what_left_what_did_not_and_how_far_it_lags(bus: Bus, database: Database) -> None:
    metrics = Metrics("scheduler")
    told: list[Event] = []
    stop = asyncio.Event()
    await bus.declare([ELSEWHERE])
    async with open_pool(database.settings_for("scheduler"), "scheduler") as pool:
        outbox = Outbox(pool, bus, metrics, told.extend)
        async with outbox.transaction() as unit:
            unit.emit(*(canceled() for _ in range(7)))
            assert told == []
        with pytest.raises(ZeroDivisionError):
            await roll_back(outbox)
        assert len(told) == 7, "what was rolled back was not told"
        await pool.execute("UPDATE outbox SET created_at = now() - interval '90 seconds'")
        behind = await scraped(metrics)
        assert behind("chasqui_outbox_rows") == 1
        assert 90 <= behind("chasqui_outbox_oldest_age_seconds") < 120
        async with asyncio.TaskGroup() as group:
            group.create_task(outbox.run(stop))

            async def refused() -> bool:
                return (await scraped(metrics))("chasqui_bus_publish_failures_total", "refused") >= 1

            await until(refused, "a bus without a subscription to refuse it")
            await bus.declare([COUNTED])
            stop.set()
        group_stop = asyncio.Event()

        async def handle(_: Sequence[Event]) -> None:
            """Takes them."""

        async with asyncio.TaskGroup() as group:
            again = Outbox(pool, bus, other := Metrics("scheduler"))
            await pool.execute("UPDATE outbox SET leased_until = '-infinity'")
            group.create_task(again.run(group_stop))
            group.create_task(bus.consume(COUNTED, handle, group_stop))

            async def published() -> bool:
                return (await scraped(other))("chasqui_outbox_rows") == 0

            await until(published, "the row to have left")
            group_stop.set()
        found = await scraped(other)
    assert found("chasqui_bus_published_total", SUBJECT) == 7
    assert found("chasqui_outbox_oldest_age_seconds") == 0
