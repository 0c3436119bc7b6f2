"""The ceiling: a bare aiohttp client against the same sandbox, with no queue, no database and no limit."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import aiohttp
import orjson

from bench.rig import Rig

CONCURRENCY: Final = 128


async def bare_client(rig: Rig, count: int) -> dict[str, Any]:
    """POST the same messages, as fast as one process can."""
    phone_number_ids = list(rig.numbers.values())
    headers = {"Authorization": f"Bearer {rig.token}", "Content-Type": "application/json"}
    left = iter(range(count))
    refused = 0

    async def work(session: aiohttp.ClientSession) -> None:
        nonlocal refused
        for n in left:
            url = f"{rig.facts['sandbox_url']}/v23.0/{phone_number_ids[n % len(phone_number_ids)]}/messages"
            body = orjson.dumps(
                {"messaging_product": "whatsapp", "to": f"+1777{n:07d}", "type": "text", "text": {"body": f"message {n}"}}
            )
            async with session.post(url, data=body, headers=headers) as answer:
                await answer.read()
                refused += answer.status != 200

    began = time.monotonic()
    connector = aiohttp.TCPConnector(limit=CONCURRENCY)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(work(session))
    return {"messages": count, "messages_per_second": round(count / (time.monotonic() - began)), "refused": refused}
