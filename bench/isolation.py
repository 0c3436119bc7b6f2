"""A critical message every 100 ms while a million low ones wait for the same number."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from bench import ledger, records
from bench.offer import let_wait, text
from bench.rig import Number, Rig
from bench.scenario import Report, Row, Scale, Scenario

PER_SECOND: Final = 1_000
EVERY_SECONDS: Final = 0.1
WARM_UP: Final = 20
FLOWING_SECONDS: Final = 60.0
PATIENCE_SECONDS: Final = 30.0


async def run(rig: Rig, scale: Scale) -> Report:
    """First on an idle number, then behind the million."""
    waiting = scale.of(1_000_000, 20_000)
    seconds = scale.of(30.0, 3.0)
    report = Report()
    [idle, busy] = await rig.connect(2, per_second=PER_SECOND)
    await _criticals(rig, idle, WARM_UP, "+1554")
    report.rows["nothing waits"] = await _criticals(rig, idle, int(seconds / EVERY_SECONDS), "+1555")
    await ledger.forget(rig)
    await let_wait(rig, busy, waiting)
    await ledger.until_accepted(rig, PER_SECOND, FLOWING_SECONDS)
    before = await ledger.summary(rig)
    row = await _criticals(rig, busy, int(seconds / EVERY_SECONDS), "+1556")
    after = await ledger.summary(rig)
    passed = after["last_accepted_at"] - before["last_accepted_at"]
    row["low_per_second"] = round((after["distinct"] - before["distinct"] - row["messages"]) / passed)
    report.rows[f"behind {waiting:,} low ones"] = row
    report.notes.append(f"One number of {PER_SECOND:,}/s, one sender; latency is accepted → answered by the sandbox.")
    return report


async def _criticals(rig: Rig, number: Number, how_many: int, prefix: str) -> Row:
    """By the clock, whether or not the one before was answered."""
    async with asyncio.TaskGroup() as group:
        posts = []
        for n in range(how_many):
            body = text(number, f"{prefix}{n:07d}", priority="critical")
            posts.append(group.create_task(rig.api("POST", "messages", body)))
            await asyncio.sleep(EVERY_SECONDS)
    ids: Sequence[str] = [post.result()["id"] for post in posts]
    states = await records.until_only(rig, ids, ["sent", "delivered", "read"], PATIENCE_SECONDS)
    return {
        "messages": how_many,
        **await records.latency(rig, ids),
        "slowest_ms": await records.slowest(rig, ids),
        "not_sent": how_many - sum(states.get(name, 0) for name in ("sent", "delivered", "read")),
    }


SCENARIO: Final = Scenario("isolation", "critical messages behind a million low ones of the same number", 110, run, apart=True)
