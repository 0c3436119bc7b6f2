"""Webhooks are tried again as Meta does: at once, then ever later, for seven days; other updates do not wait for them."""

from __future__ import annotations

import asyncio

from services.sandbox.webhooks import META_SECONDS, META_WAITS_SECONDS
from tests.contract.sandbox.running import DEADLINE_SECONDS, Client, receiving, running

TALKER = "15551234567"


async def say(client: Client, text: str) -> None:
    await client.control("POST", "inbound", {"from": TALKER, "text": text})


async def until_dropped(client: Client, updates: int) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (await client.control("GET", "ledger/summary"))[1]["webhooks"]["dropped"] < updates:
            await asyncio.sleep(0.01)


def test_the_waits_grow() -> None:
    assert list(META_WAITS_SECONDS) == sorted(META_WAITS_SECONDS)
    assert META_WAITS_SECONDS[0] == 0
    assert META_WAITS_SECONDS[-1] < META_SECONDS


async def test_what_failed_comes_again_and_holds_up_nothing() -> None:
    async with receiving() as receiver, running(receiver.url, webhook_concurrency=1) as client:
        await client.control("PATCH", "behaviour", {"webhook_retries": "meta"})
        receiver.answers = [500, 500]
        await say(client, "first")
        await receiver.until(lambda: len(receiver.bodies) == 2)  # the second try comes at once, the third in five seconds
        await say(client, "second")
        await receiver.until(lambda: len(receiver.messages()) == 1)
        assert receiver.messages()[0]["text"] == {"body": "second"}
        _, summary = await client.control("GET", "ledger/summary")
        assert (summary["webhooks"]["pending"], summary["webhooks"]["retries"]) == (1, 1)


async def test_time_can_be_sped_up() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("PATCH", "behaviour", {"webhook_retries": "meta", "time_scale": 1000})
        receiver.answers = [500] * 6
        await say(client, "hello")
        await receiver.until(lambda: len(receiver.messages()) == 1)
        assert len(set(receiver.bodies)) == 1
        assert receiver.all_are_signed()
        assert (await client.control("GET", "ledger/summary"))[1]["webhooks"]["pending"] == 0


async def test_after_seven_days_it_is_given_up() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("PATCH", "behaviour", {"webhook_retries": "meta", "time_scale": 2_000_000})
        receiver.answers = [500] * 1000
        await say(client, "hello")
        await until_dropped(client, 1)
        assert len(receiver.bodies) >= len(META_WAITS_SECONDS)
        assert receiver.messages() == []
