"""Operational answers while something hangs: they come in time, and what they cannot know they do not claim."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika

from services.gateway.consumers import SUBSCRIPTIONS
from shared.bus import routing
from shared.bus.interface import Bus
from shared.bus.memory import MemoryBus
from shared.bus.rabbit import open_rabbit
from shared.db.pool import open_pool
from shared.events.codec import Batch
from shared.ids import new_id
from tests.integration.gateway.serving import Gateway, serving
from tests.integration.gateway.test_operators import asked, new_operator
from tests.support.database import Database
from tests.support.platform import until
from tests.support.proxy import Proxy

LETTERS = "/admin/dead-letters"
TELLING = (
    LETTERS,
    "/admin/queues/stats",
    "/admin/cache/stats",
    "/admin/db/stats",
    "/api/workers/whatsapp",
    "/api/webhooks/whatsapp/health",
)
IN_TIME_SECONDS = 7.5
"""For answers that are due after three: less than the eight for which one service alone was waited for before."""
QUEUE = SUBSCRIPTIONS[0].name
WAITS_FOR_ME = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"


@asynccontextmanager
async def hanging_sender() -> AsyncIterator[str]:
    """As a process that is stopped: it is connected to, and says nothing."""
    ended = asyncio.Event()

    async def listen(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        ended.set()
        server.close()


@asynccontextmanager
async def without_sender(database: Database, bus: Bus) -> AsyncIterator[Gateway]:
    async with hanging_sender() as url, serving(database, bus=bus, sender_url=url) as gateway:
        yield gateway


async def test_a_service_that_hangs_keeps_no_answer_waiting_and_is_named(database: Database) -> None:
    async with MemoryBus() as bus, without_sender(database, bus) as gateway:
        key = await new_operator(gateway)
        async with asyncio.timeout(IN_TIME_SECONDS):
            answers = await asyncio.gather(*(asked(gateway, key, "GET", path) for path in TELLING))
    assert {answer.status for answer in answers} == {200}
    assert all("sender" in answer.body["unreachable"] for answer in answers), "whoever is missing is named"


async def test_a_broker_that_hangs_keeps_no_answer_waiting_and_no_list_is_empty_for_it(
    database: Database, rabbit_url: str
) -> None:
    letter = f"{LETTERS}/{new_id('dlt')}"
    async with Proxy.to(rabbit_url) as proxy, open_rabbit(proxy.url) as bus, without_sender(database, bus) as gateway:
        key = await new_operator(gateway)
        proxy.silent = True
        async with asyncio.timeout(IN_TIME_SECONDS):
            stats, page, one, gone, restarted, named, many = await asyncio.gather(
                asked(gateway, key, "GET", "/admin/queues/stats"),
                asked(gateway, key, "GET", LETTERS),
                asked(gateway, key, "GET", letter),
                asked(gateway, key, "POST", f"{letter}/discard"),
                asked(gateway, key, "POST", "/admin/queues/restart"),
                asked(gateway, key, "GET", f"{LETTERS}?queue={QUEUE}"),
                asked(gateway, key, "POST", f"{LETTERS}/replay", {"queue": QUEUE}),
            )
    assert (stats.status, {"gateway", "sender"} <= set(stats.body["unreachable"])) == (200, True)
    assert [answer.status for answer in (page, one, gone, restarted, named, many)] == [503] * 6
    assert all("Retry-After" in answer.headers for answer in (page, one, gone, restarted, named, many))


async def test_a_letter_that_may_be_where_nobody_answered_is_not_denied(database: Database) -> None:
    async with MemoryBus() as bus, without_sender(database, bus) as gateway, asyncio.TaskGroup() as group:
        publishing = group.create_task(bus.publish(Batch(SUBSCRIPTIONS[0].subjects[0], b"not json", 1)))
        key = await new_operator(gateway)

        async def dead() -> bool:
            return (await bus.stats(SUBSCRIPTIONS[0])).dead == 1

        await until(dead, "the letter to die")
        page = (await asked(gateway, key, "GET", LETTERS)).body
        [letter] = [letter for letter in page["data"] if letter["queue"] == QUEUE]
        assert "sender" in page["unreachable"]
        missing = f"{LETTERS}/{new_id('dlt')}"
        for method, path in (("GET", missing), ("POST", f"{missing}/discard"), ("POST", f"{missing}/replay")):
            answer = await asked(gateway, key, method, path)
            assert (answer.status, answer.body["code"]) == (503, "dead_letter.unreachable")
            assert "Retry-After" in answer.headers
        assert (await asked(gateway, key, "POST", f"{LETTERS}/{letter['id']}/discard")).status == 200
        named = (await asked(gateway, key, "GET", f"{LETTERS}?queue={QUEUE}")).body
        assert (named["total"], named["unreachable"]) == (0, []), "who names a queue asks no service"
        publishing.cancel()


async def test_letters_that_another_operator_has_in_hand_are_waited_for(database: Database, rabbit_url: str) -> None:
    """Meanwhile the broker says that there are none."""
    async with open_rabbit(rabbit_url) as bus, without_sender(database, bus) as gateway:
        key = await new_operator(gateway)
        async with (
            await aio_pika.connect(rabbit_url) as connection,
            open_pool(database.settings_for("gateway"), "gateway") as pool,
            pool.acquire() as other,
        ):
            channel = await connection.channel()
            queue = await channel.get_queue(routing.dead_queue(QUEUE), ensure=False)
            await channel.default_exchange.publish(aio_pika.Message(b"not json", type="a.v1"), queue.name)
            await other.execute("SELECT pg_advisory_lock(7163384)")
            await queue.get(timeout=60)
            async with asyncio.TaskGroup() as group:
                looking = group.create_task(asked(gateway, key, "GET", LETTERS))

                async def waits() -> bool:
                    return bool(await other.fetchval(WAITS_FOR_ME))

                await until(waits, "the other to wait")
                await channel.close()

                async def is_back() -> bool:
                    return (await bus.stats(SUBSCRIPTIONS[0])).dead == 1

                await until(is_back, "the letter to be back")
                await other.execute("SELECT pg_advisory_unlock(7163384)")
                page = (await looking).body
    assert [letter["queue"] for letter in page["data"]] == [QUEUE]
