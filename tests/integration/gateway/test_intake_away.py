"""The intake while the database, the bus or both are away: what is answered 200 is durable, and told once when all are back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from services.gateway import numbers
from services.gateway.store import webhooks
from services.gateway.webhooks import intake, spool
from shared.bus.interface import Refused
from shared.bus.rabbit import open_rabbit
from shared.db.pool import Pool
from shared.events.catalogue import MessageReceived, WebhookSpooled
from shared.events.codec import Batch, decode
from shared.events.event import Event
from tests.integration.gateway.serving import Answer, Gateway, NoBus, serving
from tests.integration.gateway.test_webhooks import inbound, payload, value
from tests.support.database import Database
from tests.support.platform import until
from tests.support.proxy import Proxy
from tests.support.told import told


class Taking(NoBus):
    """Outlives us, it says, and keeps what it is given; or refuses it."""

    is_local = False

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.taken: list[Event] = []

    async def publish(self, batch: Batch) -> None:
        if self.refuses:
            raise Refused("no room")
        self.taken += decode(batch.subject, batch.body)


class Hanging(Taking):
    """Takes what it is given and never says so."""

    asked = 0

    async def publish(self, batch: Batch) -> None:  # noqa: ARG002  # as a bus does
        self.asked += 1
        await asyncio.Event().wait()


@asynccontextmanager
async def behind_proxy(database: Database, bus: Any) -> AsyncIterator[tuple[Gateway, Proxy]]:
    """A gateway whose way to its database can fall silent, with number 1001 connected and known to it."""
    async with (
        Proxy.to(database.admin_url) as proxy,
        serving(replace(database, admin_url=proxy.url), bus=bus) as gateway,
    ):
        tenant = await gateway.new_tenant()
        await gateway.connect(tenant, "1001")
        assert (await news(gateway, "wamid.first")).status == 200
        yield gateway, proxy
        proxy.silent = False


async def news(gateway: Gateway, wamid: str, secret: str = "secret-1001", number: str = "1001") -> Answer:  # noqa: S107  # a test's
    return await gateway.webhook(payload(value(number, messages=[inbound(wamid)])), secret)


async def received(pool: Pool, into: Counter[str]) -> Counter[str]:
    into.update(event.wamid for event in await told(pool) if isinstance(event, MessageReceived))
    return into


@pytest.fixture
def stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that is remembered is fresh."""
    monkeypatch.setattr(numbers, "FRESH_SECONDS", -1.0)


@pytest.mark.usefixtures("stale")
async def test_while_the_database_hangs_the_broker_has_custody_and_all_is_told_once(
    database: Database, pool: Pool, rabbit_url: str
) -> None:
    async with open_rabbit(rabbit_url) as bus, behind_proxy(database, bus) as (gateway, proxy):
        told_of = await received(pool, Counter())
        proxy.silent = True
        wamids = [f"wamid.{number}" for number in range(50)]
        answers = await asyncio.gather(*(news(gateway, wamid) for wamid in wamids + wamids))
        assert {answer.status for answer in answers} == {200}
        assert not await received(pool, Counter()), "the database was to be away"
        proxy.silent = False

        async def all_told() -> bool:
            return (await received(pool, told_of)).keys() >= {*wamids, "wamid.first"}

        await until(all_told, "what the broker kept to be read")
        assert (await news(gateway, "wamid.last")).status == 200
        wamids.append("wamid.last")
        await until(all_told, "the last one")
        assert set(told_of.values()) == {1}


@pytest.mark.usefixtures("stale")
async def test_what_the_bus_is_given_is_the_signed_bytes_and_nothing_is_kept_that_nobody_signed(database: Database) -> None:
    bus = Taking()
    async with behind_proxy(database, bus) as (gateway, proxy):
        proxy.silent = True
        assert (await news(gateway, "wamid.1")).status == 200
        unsure = [await news(gateway, "wamid.2", "another"), await news(gateway, "wamid.3", "secret-1002", number="1002")]
        assert [(answer.status, answer.headers["Retry-After"]) for answer in unsure] == [(503, "1")] * 2, (
            "its secret may be new"
        )
    (event,) = bus.taken
    assert isinstance(event, WebhookSpooled)
    assert "wamid.1" not in repr(event)


async def test_with_both_away_nothing_is_answered_200(database: Database, pool: Pool) -> None:
    bus = Taking(refuses=True)
    async with behind_proxy(database, bus) as (gateway, proxy):
        proxy.silent = True
        answers = [await news(gateway, f"wamid.{number}") for number in range(3)]
        assert [(answer.status, answer.headers["Retry-After"]) for answer in answers] == [(503, "1")] * 3
        bus.refuses, proxy.silent = False, False

        async def taken_again() -> bool:
            return (await news(gateway, "wamid.0")).status == 200

        await until(taken_again, "the intake to go on")
    assert await pool.fetchval("SELECT count(*) FROM inbound") <= 2


async def test_a_bus_that_hangs_is_not_waited_for_by_one_batch_after_the_other(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "CUSTODY_SECONDS", 0.05)
    bus = Hanging()
    async with behind_proxy(database, bus) as (gateway, proxy):
        proxy.silent = True
        statuses = [(await news(gateway, f"wamid.{number}")).status for number in range(3)]
    assert statuses == [503] * 3
    assert bus.asked < 3


async def test_no_more_bytes_wait_than_there_is_room_for(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(database) as gateway:
        await gateway.connect(await gateway.new_tenant(), "1001")
        monkeypatch.setattr(intake, "HELD_BYTES", 100)
        answer = await news(gateway, "wamid.1")
        assert (answer.status, answer.body["code"], answer.headers["Retry-After"]) == (503, "gateway.overloaded", "1")
        monkeypatch.setattr(intake, "HELD_BYTES", 1_000)
        assert [(await news(gateway, f"wamid.{number}")).status for number in range(5)] == [200] * 5, (
            "what is stored waits no more"
        )


async def test_a_bus_of_this_process_is_no_place_to_keep_anything(database: Database) -> None:
    async with behind_proxy(database, None) as (gateway, proxy):
        proxy.silent = True
        assert (await news(gateway, "wamid.1")).status == 503


async def test_a_database_that_refuses_everything_costs_no_waiting(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away is away whether it hangs or says so; and what is our own fault is not called that."""

    errors: Sequence[Exception] = (ConnectionResetError(), ZeroDivisionError())
    bus = Taking()
    async with serving(database, bus=bus) as gateway:
        tenant = await gateway.new_tenant()
        await gateway.connect(tenant, "1001")
        statuses = []
        for error in errors[::-1]:

            async def failing(*_: object, error: Exception = error) -> None:
                raise error

            monkeypatch.setattr(webhooks, "insert", failing)
            statuses.append((await news(gateway, "wamid.1")).status)
    assert statuses == [500, 200]
    assert len(bus.taken) == 1
