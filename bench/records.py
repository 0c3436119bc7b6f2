"""What the platform wrote down: latencies, and how messages ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

from bench.rig import Rig

LOOK_SECONDS: Final = 0.2

LATENCIES: Final = """
SELECT extract(epoch FROM s.settled_at - m.created_at) * 1000 AS ms
FROM gateway.messages m JOIN sender.attempts s ON s.message_id = m.id AND s.state = 'sent'
WHERE m.id = ANY($1::text[])
"""
"""From acceptance to the provider's answer. Both clocks are this machine's."""
STATES: Final = "SELECT status, count(*) AS messages FROM gateway.messages WHERE id = ANY($1::text[]) GROUP BY status"
IN_STATE: Final = "SELECT id FROM gateway.messages WHERE id = ANY($1::text[]) AND status = ANY($2::text[])"


async def latency(rig: Rig, ids: Sequence[str]) -> dict[str, float]:
    """Accepted → answered by the provider, of those that were."""
    rows = await rig.database.fetch(LATENCIES, list(ids))
    return percentiles(row["ms"] for row in rows)


async def slowest(rig: Rig, ids: Sequence[str]) -> float:
    """Milliseconds, of those that were answered."""
    rows = await rig.database.fetch(LATENCIES, list(ids))
    return round(max((float(row["ms"]) for row in rows), default=0.0), 1)


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """In the unit of the values, which are milliseconds; empty where there are none."""
    ordered = sorted(float(value) for value in values)
    if not ordered:
        return {}
    return {
        name: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1)
        for name, share in (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99))
    }


async def states(rig: Rig, ids: Sequence[str]) -> dict[str, int]:
    rows = await rig.database.fetch(STATES, list(ids))
    return {row["status"]: row["messages"] for row in rows}


async def in_state(rig: Rig, ids: Sequence[str], *names: str) -> set[str]:
    """Which of them are in one of these states."""
    return {row["id"] for row in await rig.database.fetch(IN_STATE, list(ids), list(names))}


async def until_only(rig: Rig, ids: Sequence[str], names: Sequence[str], patience_seconds: float) -> dict[str, int]:
    """Wait until every message is in one of these states, or patience ends; the states then."""
    deadline = time.monotonic() + patience_seconds
    while True:
        found = await states(rig, ids)
        if found.keys() <= set(names) or time.monotonic() > deadline:
            return found
        await asyncio.sleep(LOOK_SECONDS)


def named(rows: dict[str, Any]) -> str:
    """`read 950, unknown 2`."""
    return ", ".join(f"{name} {rows[name]}" for name in sorted(rows, key=lambda name: -rows[name])) or "none"
