"""The whole pipeline: accept → held → released → sent → answered at the sandbox, with limits, records and reports on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from bench.rig import Rig

BATCH: Final = 1_000
FLIGHT: Final = 3
"""Batch requests at once: enough to keep the gateway busy, not so many that accepting starves sending."""
PATIENCE_SECONDS: Final = 180.0

LATENCIES: Final = """
SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM s.settled_at - m.created_at) * 1000) AS ms
FROM gateway.messages m JOIN sender.attempts s ON s.message_id = m.id AND s.state = 'sent'
WHERE m.id = ANY($1::text[])
"""


async def saturated(rig: Rig, count: int) -> dict[str, Any]:
    """As fast as it goes: `count` messages offered at once, in batches, over all numbers."""
    await rig.sandbox("DELETE", "ledger")
    number_ids = list(rig.numbers)
    flight = asyncio.Semaphore(FLIGHT)
    ids: list[str] = []

    async def send(start: int) -> None:
        batch = [
            {"to": f"+1888{n:07d}", "from": number_ids[n % len(number_ids)], "text": {"body": f"message {n}"}}
            for n in range(start, min(start + BATCH, count))
        ]
        async with flight:
            answer = await rig.post("/api/messages/batch", batch)
        ids.extend(result["id"] for result in answer["results"])

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for start in range(0, count, BATCH):
            group.create_task(send(start))
    accepted_seconds = time.monotonic() - began
    summary = await _until_sent(rig, count, began)
    seconds = time.monotonic() - began
    backlog = await _until_reported(rig, ids)
    return {
        "messages": count,
        "messages_per_second": round(count / seconds),
        "accept_per_second": round(count / accepted_seconds),
        "reports_done_after_seconds": round(time.monotonic() - began, 2),
        **await _latency(rig, ids),
        "lost": count - summary["distinct"],
        "duplicates": summary["duplicates"],
        "not_read": backlog,
    }


async def alone(rig: Rig, count: int, pause_seconds: float) -> dict[str, Any]:
    """One message at a time, the platform otherwise idle."""
    number_id = next(iter(rig.numbers))
    ids = []
    for n in range(count):
        answer = await rig.post(
            "/api/messages", {"to": f"+1999{n:07d}", "from": number_id, "text": {"body": "one message alone"}}
        )
        ids.append(answer["id"])
        await asyncio.sleep(pause_seconds)
    await _until_reported(rig, ids)
    return {"messages": count, **await _latency(rig, ids)}


async def _latency(rig: Rig, ids: Sequence[str]) -> dict[str, float]:
    row = await rig.database.fetchval(LATENCIES, list(ids))
    return {name: round(value, 1) for name, value in zip(("p50_ms", "p95_ms", "p99_ms"), row or (0, 0, 0), strict=True)}


async def _until_sent(rig: Rig, count: int, began: float) -> dict[str, Any]:
    """Wait for the sandbox's own count."""
    while True:
        summary = await rig.accepted_by_sandbox()
        if summary["distinct"] >= count or time.monotonic() - began > PATIENCE_SECONDS:
            return summary
        await asyncio.sleep(0.02)


async def _until_reported(rig: Rig, ids: Sequence[str]) -> int:
    """Wait until every message is read; returns how many are not when patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        left = await rig.database.fetchval(
            "SELECT count(*) FROM gateway.messages WHERE id = ANY($1::text[]) AND status <> 'read'", list(ids)
        )
        if not left or time.monotonic() > deadline:
            return int(left)
        await asyncio.sleep(0.1)
