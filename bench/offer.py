"""How messages are offered: through the API in batches, or, where a million must wait, straight into the tables."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bench.rig import Number, Rig

Message = dict[str, Any]
"""The body of one message as the API takes it."""

BATCH: Final = 1_000
FLIGHT: Final = 3
"""Batch requests at once: enough to keep the gateway busy, not so many that accepting starves sending."""
TICK_SECONDS: Final = 0.05

WAITING_MESSAGES: Final = """
INSERT INTO gateway.messages (id, tenant_id, number_id, recipient, content, tier, status, status_rank)
SELECT 'msg_' || lpad(n::text, 26, '0'), $1, $2, '+1666' || lpad(n::text, 7, '0'),
       jsonb_build_object('type', 'text', 'text', jsonb_build_object('body', 'one of many, number ' || n)), 3, 'accepted', 0
FROM generate_series(1, $3::integer) AS n
"""
WAITING_HOLDS: Final = """
INSERT INTO scheduler.holds (message_id, tenant_id, number_id, state, tier, due_at, recipient, content)
SELECT id, tenant_id, number_id, 'waiting', tier, now(), recipient, content::text
FROM gateway.messages WHERE tenant_id = $1 AND number_id = $2
"""


async def accept(rig: Rig, messages: Sequence[Message]) -> list[str]:
    """All at once, as fast as the gateway takes them; their ids in the order given."""
    flight = asyncio.Semaphore(FLIGHT)

    async def send(start: int) -> list[str]:
        async with flight:
            return await accept_batch(rig, messages[start : start + BATCH])

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(send(start)) for start in range(0, len(messages), BATCH)]
    return [message_id for task in tasks for message_id in task.result()]


async def accept_batch(rig: Rig, messages: Sequence[Message], headers: Mapping[str, str] | None = None) -> list[str]:
    """One request. Raises `RuntimeError` where a message was not taken."""
    answer = await rig.api("POST", "messages/batch", messages, headers)
    if answer["rejected"]:
        raise RuntimeError(f"{answer['rejected']} messages were rejected: {answer['results'][0]}")
    return [result["id"] for result in answer["results"]]


async def steady(rig: Rig, make: Callable[[int], Message], *, per_second: float, seconds: float) -> list[str]:
    """That many a second, evenly, by the clock: late requests do not slow the next ones down. The nth message is `make(n)`,
    the nth id returned is its."""
    began = time.monotonic()
    requests: list[asyncio.Task[list[str]]] = []
    made = 0
    async with asyncio.TaskGroup() as group:
        while (passed := time.monotonic() - began) < seconds:
            due = int(passed * per_second)
            if due > made:
                requests.append(group.create_task(accept_batch(rig, [make(n) for n in range(made, due)])))
                made = due
            await asyncio.sleep(TICK_SECONDS)
    return [message_id for request in requests for message_id in request.result()]


def text(number: Number, to: str, **more: Any) -> Message:
    """A text from a number; `more` are further fields."""
    return {"to": to, "from": number.id, "text": {"body": f"a message to {to}"}, **more}


async def let_wait(rig: Rig, number: Number, how_many: int) -> None:
    """Put low messages of a number where the gateway and the scheduler would have put them: a million in seconds, not minutes.

    Written as the superuser, past both services; only what the path of a message reads is filled in.
    """
    tenant_id = await rig.database.fetchval("SELECT tenant_id FROM gateway.numbers WHERE id = $1", number.id)
    async with rig.database.transaction():
        await rig.database.execute(WAITING_MESSAGES, tenant_id, number.id, how_many)
        await rig.database.execute(WAITING_HOLDS, tenant_id, number.id)
    for table in ("gateway.messages", "scheduler.holds"):
        await rig.database.execute(f"ANALYZE {table}")
