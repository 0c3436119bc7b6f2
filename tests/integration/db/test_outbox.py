"""The outbox and the inbox: state and event together, and nothing lost between table and bus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from shared.bus import inbox
from shared.bus import outbox as module
from shared.bus.interface import BusError, Refused, Uncertain
from shared.bus.outbox import Outbox
from shared.db.pool import Pool, open_pool
from shared.events.catalogue import MessageCanceled
from shared.events.codec import Batch, decode, encode
from shared.ids import MessageId, TenantId, new_id
from shared.telemetry.metrics import Metrics
from shared.unavailable import is_unavailable
from tests.support.database import Database
from tests.support.platform import until


class NotedBus:
    """Takes custody of what it is given, or raises; holds publishers while the gate is shut."""

    def __init__(self, *, is_local: bool = False) -> None:
        self.is_local = is_local
        self.batches: list[Batch] = []
        self.fault: BusError | None = None
        self.offered = 0
        self.refused = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def publish(self, batch: Batch) -> None:
        self.offered += 1
        await self.gate.wait()
        if self.fault is not None:
            self.refused += 1
            raise self.fault
        self.batches.append(batch)

    @property
    def told(self) -> list[str]:
        return [str(event.model_dump()["message_id"]) for batch in self.batches for event in decode(batch.subject, batch.body)]


def event() -> MessageCanceled:
    return MessageCanceled(tenant_id=TenantId("tnt"), message_id=MessageId(new_id("msg")))


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with open_pool(database.settings_for("scheduler"), "scheduler") as pool:
        yield pool


@pytest.fixture
async def admin(database: Database) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database.admin_url)
    await connection.execute("SET search_path = scheduler")
    yield connection
    await connection.close()


@pytest.fixture(autouse=True)
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.02)


@asynccontextmanager
async def relaying(*outboxes: Outbox) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        for outbox in outboxes:
            group.create_task(outbox.run(stop))
        yield
        stop.set()


def made(pool: Pool, bus: Any) -> Outbox:
    return Outbox(pool, bus, Metrics("scheduler"))


async def rows(pool: Pool) -> int:
    return int(await pool.fetchval("SELECT count(*) FROM outbox"))


def empty(pool: Pool) -> Callable[[], Any]:
    async def nothing_left() -> bool:
        return await rows(pool) == 0

    return nothing_left


async def emit(outbox: Outbox, count: int = 1) -> list[str]:
    events = [event() for _ in range(count)]
    async with outbox.transaction() as unit:
        unit.emit(*events)
    return [one.message_id for one in events]


async def hold(connection: Any, message_id: str) -> None:
    await connection.execute(
        "INSERT INTO holds (message_id, tenant_id, number_id, tier, due_at, recipient, content) "
        "VALUES ($1, 't', 'n', 1, now(), '+1', '{}')",
        message_id,
    )


async def test_state_and_event_commit_together_and_the_row_goes_once_the_bus_has_custody(pool: Pool) -> None:
    bus = NotedBus()
    outbox = made(pool, bus)
    bus.gate.clear()
    async with relaying(outbox):
        told = event()
        async with outbox.transaction() as unit:
            await hold(unit.connection, told.message_id)
            unit.emit(told)
            assert await rows(pool) == 0, "nothing is seen before the commit"
        assert await pool.fetchval("SELECT message_id FROM holds") == told.message_id
        assert await rows(pool) == 1
        bus.gate.set()
        await until(empty(pool), "the row is deleted")
    assert bus.told == [told.message_id]


async def test_a_rollback_publishes_nothing(pool: Pool) -> None:
    bus = NotedBus()
    outbox = made(pool, bus)
    async with relaying(outbox):
        with pytest.raises(asyncpg.UniqueViolationError):  # noqa: PT012  # the block is the transaction
            async with outbox.transaction() as unit:
                await hold(unit.connection, "msg_x")
                unit.emit(event())
                await hold(unit.connection, "msg_x")
        later = await emit(outbox)
        await until(lambda: bus.told, "the later event")
    assert bus.told == later
    assert await pool.fetchval("SELECT count(*) FROM holds") == 0


async def test_events_leave_in_batches_and_in_order(pool: Pool) -> None:
    bus = NotedBus()
    outbox = made(pool, bus)
    async with relaying(outbox):
        told = await emit(outbox, 600)
        await until(empty(pool), "the rows are deleted")
    assert [batch.count for batch in bus.batches] == [256, 256, 88]
    assert bus.told == told


@pytest.mark.parametrize("fault", [Refused("no"), Uncertain("perhaps")])
async def test_rows_survive_a_bus_that_refuses_and_are_swept_when_their_lease_ends(
    fault: BusError, pool: Pool, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    bus = NotedBus()
    bus.fault = fault
    outbox = made(pool, bus)
    async with relaying(outbox):
        told = await emit(outbox, 3)
        await until(lambda: bus.refused, "the refusal")
        assert await rows(pool) == 1
        bus.fault = None
        await admin.execute("UPDATE outbox SET leased_until = now()")
        await until(empty(pool), "the sweep")
    assert bus.told == told


async def test_what_a_process_that_died_left_is_swept_by_any_replica_and_by_one_only(
    pool: Pool, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    dead = made(pool, NotedBus())  # wrote, and never relayed
    told = [message for _ in range(300) for message in await emit(dead)]
    buses = [NotedBus(), NotedBus()]
    replicas = [made(pool, bus) for bus in buses]
    async with relaying(*replicas):
        await asyncio.sleep(0.1)
        assert not buses[0].told + buses[1].told, "the lease of the dead has not ended"
        await admin.execute("UPDATE outbox SET leased_until = now()")
        await until(empty(pool), "the sweep")
    assert sorted(buses[0].told + buses[1].told) == sorted(told)


async def test_the_only_process_of_a_local_bus_does_not_wait_for_its_former_lease(pool: Pool) -> None:
    told = await emit(made(pool, NotedBus(is_local=True)))
    bus = NotedBus(is_local=True)
    async with relaying(made(pool, bus)):
        await until(empty(pool), "the sweep")
    assert bus.told == told


async def test_at_the_stop_what_was_written_is_still_published(pool: Pool) -> None:
    bus = NotedBus()
    bus.gate.clear()
    outbox = made(pool, bus)
    stop = asyncio.Event()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(outbox.run(stop))
        told = await emit(outbox, 2)
        stop.set()
        bus.gate.set()
    assert bus.told == told
    assert await rows(pool) == 0


async def test_a_bus_that_never_confirms_holds_the_stop_no_longer_than_a_publish_takes(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LAST_PUBLISHES_SECONDS", 0.05)
    bus = NotedBus()
    bus.gate.clear()
    outbox = made(pool, bus)
    async with relaying(outbox):
        await emit(outbox)
    assert await rows(pool) == 1


async def test_more_than_memory_holds_waits_in_the_table(
    pool: Pool, admin: asyncpg.Connection[asyncpg.Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PENDING_ROWS", 5)
    bus = NotedBus()
    bus.gate.clear()
    outbox = made(pool, bus)
    async with relaying(outbox):
        told = [message for _ in range(12) for message in await emit(outbox)]
        await until(lambda: bus.offered >= 5, "as many publishes as memory holds")
        assert bus.offered == 5
        bus.gate.set()
        await until(lambda: len(bus.batches) == 5, "room")

        async def swept() -> bool:
            await admin.execute("UPDATE outbox SET leased_until = now()")
            return await rows(pool) == 0

        await until(swept, "the sweep")
    assert set(bus.told) == set(told)


async def test_a_backlog_drains_as_fast_as_the_bus_takes_it(
    pool: Pool, admin: asyncpg.Connection[asyncpg.Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SWEEP_SECONDS", 3_600)
    one = event()
    (batch,) = encode([one])
    await admin.execute(
        "INSERT INTO outbox (subject, body, events, leased_until) SELECT $1, $2, 1, '-infinity' FROM generate_series(1, 3500)",
        batch.subject,
        batch.body,
    )
    bus = NotedBus()
    bus.gate.clear()
    async with relaying(made(pool, bus)):
        await until(lambda: bus.offered == module.MAX_PENDING_ROWS, "memory is full")
        bus.gate.set()
        await until(empty(pool), "all of it, without waiting for the clock")
    assert bus.told == [one.message_id] * 3_500, "each row once"


async def test_rows_are_not_leased_while_memory_has_no_room_for_them(
    pool: Pool, admin: asyncpg.Connection[asyncpg.Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PENDING_ROWS", 5)
    dead = made(pool, NotedBus())
    told = [message for _ in range(12) for message in await emit(dead)]
    await admin.execute("UPDATE outbox SET leased_until = '-infinity'")
    bus = NotedBus()
    bus.gate.clear()
    async with relaying(made(pool, bus)):
        await until(lambda: bus.offered >= 5, "as many publishes as memory holds")
        await asyncio.sleep(0.1)
        assert await pool.fetchval("SELECT count(*) FROM outbox WHERE leased_until > now()") == bus.offered == 5
        bus.gate.set()
        await until(empty(pool), "the others, as room frees")
    assert sorted(bus.told) == sorted(told)


async def test_an_outbox_lives_through_a_database_that_cuts_it_off(
    pool: Pool, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    bus = NotedBus()
    outbox = made(pool, bus)
    async with relaying(outbox):
        await emit(outbox)
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE usename = 'chasqui_scheduler' AND datname = current_database()"
        )

        async def told_more() -> bool:
            try:
                await emit(outbox)
            except Exception as error:
                if is_unavailable(error):
                    return False
                raise
            return True

        await until(told_more, "a new connection")
        await until(empty(pool), "the relay goes on")


async def test_an_event_is_unseen_once_by_each_subscription_and_in_order(pool: Pool) -> None:
    events = [event() for _ in range(5)]
    async with pool.acquire() as connection, connection.transaction():
        assert await inbox.unseen(connection, "a.b", []) == []
        assert await inbox.unseen(connection, "a.b", [events[2], events[0], events[2]]) == [events[2], events[0]]
        assert await inbox.unseen(connection, "a.b", events) == [events[1], events[3], events[4]]
        assert await inbox.unseen(connection, "a.b", events) == []
        assert await inbox.unseen(connection, "c.d", events) == events


async def test_what_was_rolled_back_is_unseen_again(pool: Pool) -> None:
    one = event()
    async with pool.acquire() as connection:
        with pytest.raises(ValueError, match="no"):  # noqa: PT012  # the block is the transaction
            async with connection.transaction():
                assert await inbox.unseen(connection, "a.b", [one]) == [one]
                raise ValueError("no")
        assert await inbox.unseen(connection, "a.b", [one]) == [one]


async def test_two_handlers_at_once_see_an_event_once(pool: Pool) -> None:
    events = [event() for _ in range(50)]

    async def handle(order: int) -> list[MessageCanceled]:
        async with pool.acquire() as connection, connection.transaction():
            return await inbox.unseen(connection, "a.b", events[::order])

    seen = await asyncio.gather(*(handle(order) for order in (1, -1, 1, -1)))
    assert sorted(one.event_id for part in seen for one in part) == sorted(one.event_id for one in events)


async def test_what_was_seen_long_ago_is_forgotten(pool: Pool) -> None:
    old, new = event(), event()
    async with pool.acquire() as connection:
        await inbox.unseen(connection, "a.b", [old, new])
        await connection.execute("UPDATE inbox SET seen_at = now() - interval '8 days' WHERE event_id = $1", old.event_id)
        assert not await inbox.prune(pool, days=7, limit=10)
        assert await inbox.unseen(connection, "a.b", [old, new]) == [old]


async def test_it_is_forgotten_in_bounded_steps(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await inbox.unseen(connection, "a.b", [event() for _ in range(5)])
        await connection.execute("UPDATE inbox SET seen_at = now() - interval '8 days'")
    assert [await inbox.prune(pool, days=7, limit=2) for _ in range(3)] == [True, True, False]
    assert await pool.fetchval("SELECT count(*) FROM inbox") == 0


async def test_a_bus_that_is_away_is_a_line_a_second_and_every_event_is_in_one(pool: Pool) -> None:
    bus = NotedBus()
    bus.fault = Uncertain("away")
    outbox = made(pool, bus)
    began = time.monotonic()
    with capture_logs() as logs:
        async with relaying(outbox):
            for _ in range(300):
                await emit(outbox, 2)
            await until(lambda: bus.refused >= 300, "all were tried")
        seconds = time.monotonic() - began
    lines = [line for line in logs if line["event"] == "outbox.not_published"]
    assert (sum(line["batches"] for line in lines), sum(line["events"] for line in lines)) == (bus.refused, 2 * bus.refused)
    assert {(line["error"], line["subject"]) for line in lines} == {("Uncertain", MessageCanceled.subject())}
    assert len(lines) <= seconds / module.TELL_SECONDS + 2, "one when it begins, one a second, one at the end"
