"""From released to called: each attempt once, however often and however concurrently it is told."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.sender import numbers as directory
from services.sender.calls import Calls
from services.sender.deliver import Delivery
from services.sender.journal import Journal
from services.sender.numbers import Numbers
from shared.auth.seal import Sealer
from shared.bus.outbox import Outbox
from shared.clock import SystemClock
from shared.config import TelemetrySettings
from shared.db.pool import Pool, open_pool
from shared.events.catalogue import MessageDeferred, MessageReleased, MessageSent, NumberConnected
from shared.ids import MessageId, NumberId, TenantId, new_id
from shared.limits.pacing import LocalPacing
from shared.telemetry.tracing import Tracing
from tests.support.database import Database
from tests.support.platform import until
from tests.support.told import silent_outbox, told

TENANT = TenantId("tnt_a")
NUMBER = NumberId("num_1")
SEALER = Sealer(base64.b64encode(bytes(32)).decode())


class Provider:
    """Counts what it gets, by our name for the attempt."""

    def __init__(self) -> None:
        self.got: Counter[str] = Counter()

    async def take(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.got[body["biz_opaque_callback_data"]] += 1
        return web.json_response({"messages": [{"id": f"wamid.{body['biz_opaque_callback_data']}"}]})


class Scene:
    def __init__(self, provider: Provider, delivery: Delivery, outbox: Outbox, pool: Pool) -> None:
        self.provider = provider
        self.delivery = delivery
        self.outbox = outbox
        self.pool = pool

    async def until_settled(self, count: int) -> None:
        async def settled() -> bool:
            return bool(await self.pool.fetchval("SELECT count(*) FROM attempts WHERE state <> 'submitting'") >= count)

        await until(settled, "the attempts to be settled")


@asynccontextmanager
async def scene(database: Database, folder: Path, *, per_second: int = 1000) -> AsyncIterator[Scene]:
    provider = Provider()
    app = web.Application()
    app.router.add_post("/{version}/{number}/messages", provider.take)
    stop = asyncio.Event()
    async with (
        TestServer(app) as server,
        open_pool(database.settings_for("sender"), "sender") as pool,
        aiohttp.ClientSession() as session,
        asyncio.TaskGroup() as group,
    ):
        outbox, clock = silent_outbox(pool, "sender"), SystemClock()
        numbers = Numbers(pool, SEALER, clock)
        number = NumberConnected(
            tenant_id=TENANT,
            number_id=NUMBER,
            revision=1,
            phone_number_id="1",
            provider_url=str(server.make_url("/")),
            sealed_access_token=SEALER.seal(TENANT, "numbers.access_token", NUMBER, "token"),
            messages_per_second=per_second,
        )
        await directory.know(outbox, numbers, [number])
        tracing = Tracing("sender", TelemetrySettings())
        calls = Calls(outbox, session, Journal(folder), tracing, clock, concurrency=16, max_in_flight=200)
        group.create_task(calls.run(stop))
        await until(lambda: calls.is_open, "the calls to be open")
        yield Scene(provider, Delivery(outbox, numbers, LocalPacing(clock), calls, clock), outbox, pool)
        stop.set()


def released(**changes: object) -> MessageReleased:
    event = MessageReleased(
        tenant_id=TENANT, message_id=MessageId(new_id("msg")), attempt=1, number_id=NUMBER, to="+1", content={"type": "text"}
    )
    return event.model_copy(update=changes)


async def test_told_twice_in_one_batch_it_is_called_once(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        events = [released() for _ in range(20)]
        await there.delivery.take([*events, *events])
        await there.until_settled(20)
    assert set(there.provider.got.values()) == {1}
    assert len(there.provider.got) == 20


async def test_told_to_many_handlers_at_once_it_is_called_once(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        events = [released() for _ in range(20)]
        await asyncio.gather(*(there.delivery.take(events) for _ in range(8)))
        await there.until_settled(20)
        await there.delivery.take(events)
        sent = [event for event in await told(there.pool) if isinstance(event, MessageSent)]
    assert set(there.provider.got.values()) == {1}
    assert len({event.message_id for event in sent}) == 20, "told again, the known outcome is told again"


async def test_what_is_put_down_for_pace_is_never_called_as_well(database: Database, tmp_path: Path) -> None:
    """Ten a second leave no room for a hundred within the horizon; a second telling must not find any."""
    async with scene(database, tmp_path, per_second=10) as there:
        events = [released() for _ in range(100)]
        await there.delivery.take([*events, *events])
        deferred = {event.message_id for event in await told(there.pool) if isinstance(event, MessageDeferred)}
        assert deferred
        await there.delivery.take(events)
        rows = await there.pool.fetch("SELECT message_id, state, code FROM attempts")
    put_down = {row["message_id"] for row in rows if row["code"] == "number.pace"}
    assert put_down == deferred
    assert not put_down & {name.rpartition(".")[0] for name in there.provider.got}


async def test_a_claim_whose_answer_was_lost_is_taken_up_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(database, tmp_path) as there:
        events = [released() for _ in range(5)]
        commit = there.outbox.transaction

        @asynccontextmanager
        async def losing() -> AsyncIterator[object]:
            async with commit() as unit:
                yield unit
            raise ConnectionResetError

        monkeypatch.setattr(there.outbox, "transaction", losing)
        with pytest.raises(ConnectionResetError):
            await there.delivery.take(events)
        monkeypatch.undo()
        assert await there.pool.fetchval("SELECT count(*) FROM attempts WHERE state = 'submitting'") == 5
        await there.delivery.take(events)
        await there.until_settled(5)
    assert len(there.provider.got) == 5
    assert set(there.provider.got.values()) == {1}


async def test_an_expired_message_is_not_called_but_given_back(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        await there.delivery.take([released(expires_at=datetime.now(UTC) - timedelta(seconds=1))])
        await there.until_settled(1)
        (event,) = await told(there.pool)
    assert isinstance(event, MessageDeferred)
    assert (event.code, event.counted) == ("message.expired", False)
    assert not there.provider.got
