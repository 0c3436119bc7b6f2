"""The whole pipeline: accept → held → released → sent → answered at the sandbox, with limits, records and reports on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from bench import ledger, records
from bench.offer import Message, accept, steady, text
from bench.rig import Number, Rig
from bench.scenario import Report, Row, Scale, Scenario

NUMBERS: Final = 12
PER_SECOND: Final = 1_000
PATIENCE_SECONDS: Final = 120.0
WARM_UP: Final = 2_000
Offer = Callable[[Rig, Sequence[Message]], Coroutine[Any, Any, list[str]]]
"""Has messages accepted and returns their ids."""
STEADY_SHARE: Final = 0.5
"""Of what it does at most: where latency is the way through, and not the queue in front of it."""


async def run(rig: Rig, scale: Scale) -> Report:
    """One at a time, at half load, as fast as it goes."""
    numbers = await rig.connect(NUMBERS, per_second=PER_SECOND)
    await saturated(rig, numbers, WARM_UP)
    alone = await _alone(rig, numbers[0], scale.of(200, 20), 0.02)
    full = await saturated(rig, numbers, scale.of(30_000, 3_000))
    half = await _at_half_load(rig, numbers, per_second=full["messages_per_second"] * STEADY_SHARE, seconds=scale.of(8.0, 1.0))
    return Report(
        {"as fast as it goes": full, "at half of that": half, "one at a time": alone},
        [
            f"{NUMBERS} numbers of {PER_SECOND:,}/s; latency is accepted → answered, and at full speed mostly the queue in front."
        ],
    )


async def saturated(rig: Rig, numbers: Sequence[Number], how_many: int, offer: Offer = accept) -> Row:
    """All offered at once, over all numbers in turn."""
    await ledger.forget(rig)
    messages = [text(numbers[n % len(numbers)], f"+1888{n:07d}") for n in range(how_many)]
    began, began_at = time.monotonic(), time.time()
    async with asyncio.TaskGroup() as group:
        accepting = group.create_task(offer(rig, messages))
        accepting.add_done_callback(lambda _: accepted_seconds.append(time.monotonic() - began))
        accepted_seconds: list[float] = []
        arriving = group.create_task(ledger.until_accepted(rig, how_many, PATIENCE_SECONDS))
    ids, summary = accepting.result(), arriving.result()
    reported = await records.until_only(rig, ids, ["read"], PATIENCE_SECONDS)
    return {
        "messages": how_many,
        "messages_per_second": round(summary["distinct"] / (summary["last_accepted_at"] - began_at)),
        "accepted_per_second": round(how_many / accepted_seconds[0]),
        **await records.latency(rig, ids),
        "lost": how_many - summary["distinct"],
        "duplicates": summary["duplicates"],
        "unread": how_many - reported.get("read", 0),
    }


async def _at_half_load(rig: Rig, numbers: Sequence[Number], *, per_second: float, seconds: float) -> Row:
    await ledger.forget(rig)
    ids = await steady(rig, lambda n: text(numbers[n % len(numbers)], f"+1889{n:07d}"), per_second=per_second, seconds=seconds)
    summary = await ledger.until_accepted(rig, len(ids), PATIENCE_SECONDS)
    reported = await records.until_only(rig, ids, ["read"], PATIENCE_SECONDS)
    return {
        "messages": len(ids),
        "messages_per_second": round(len(ids) / seconds),
        **await records.latency(rig, ids),
        "lost": len(ids) - summary["distinct"],
        "duplicates": summary["duplicates"],
        "unread": len(ids) - reported.get("read", 0),
    }


async def _alone(rig: Rig, number: Number, how_many: int, pause_seconds: float) -> Row:
    """The platform otherwise idle."""
    await ledger.forget(rig)
    ids = []
    for n in range(how_many):
        ids.append((await rig.api("POST", "messages", text(number, f"+1777{n:07d}")))["id"])
        await asyncio.sleep(pause_seconds)
    reported = await records.until_only(rig, ids, ["read"], PATIENCE_SECONDS)
    summary = await ledger.summary(rig)
    return {
        "messages": how_many,
        **await records.latency(rig, ids),
        "lost": how_many - summary["distinct"],
        "duplicates": summary["duplicates"],
        "unread": how_many - reported.get("read", 0),
    }


SCENARIO: Final = Scenario("pipeline", "accept → answered at the sandbox, everything on", 40, run)
