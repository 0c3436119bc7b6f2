"""The ceiling: a bare aiohttp client against the same sandbox, with no queue, no database and no limit."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import aiohttp
import orjson

from bench import ledger
from bench.rig import ACCESS_TOKEN, Rig
from bench.scenario import Report, Scale, Scenario

CONCURRENCY: Final = 128
NUMBERS: Final = 12
UNLIMITED: Final = 100_000
"""Messages a second that the sandbox allows: the client keeps no limit, so none must stop it."""


async def run(rig: Rig, scale: Scale) -> Report:
    """POST the same messages, as fast as one process can."""
    how_many = scale.of(30_000, 3_000)
    numbers = await rig.connect(NUMBERS, per_second=1_000, allowed_per_second=UNLIMITED)
    await ledger.forget(rig)
    headers = {"Authorization": f"Bearer {ACCESS_TOKEN}", "Content-Type": "application/json"}
    left = iter(range(how_many))
    refused = 0

    async def work(session: aiohttp.ClientSession) -> None:
        nonlocal refused
        for n in left:
            url = f"{rig.facts['sandbox_url']}/v23.0/{numbers[n % NUMBERS].phone_number_id}/messages"
            async with session.post(url, data=orjson.dumps(send_body(n)), headers=headers) as answer:
                await answer.read()
                refused += answer.status != 200

    began = time.monotonic()
    connector = aiohttp.TCPConnector(limit=CONCURRENCY)
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session, asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(work(session))
    seconds = time.monotonic() - began
    row = {"messages": how_many, "messages_per_second": round(how_many / seconds), "refused": refused}
    return Report({"bare aiohttp client": row}, [f"{CONCURRENCY} requests at once from one process."])


def send_body(n: int) -> dict[str, object]:
    """The nth message as the provider takes it."""
    return {
        "messaging_product": "whatsapp",
        "to": f"+1776{n:07d}",
        "type": "text",
        "text": {"body": f"a message to +1776{n:07d}"},
        "biz_opaque_callback_data": f"bare-{n}",
    }


SCENARIO: Final = Scenario("ceiling", "the same sandbox under a bare aiohttp client", 8, run)
