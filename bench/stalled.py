"""What a number that cannot send costs the others, who have work without end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from statistics import mean
from typing import Any, Final

from bench import ledger, records
from bench.offer import accept, text
from bench.rig import Number, Rig
from bench.scenario import Report, Row, Scale, Scenario

HEALTHY: Final = 11
PER_SECOND: Final = 1_000
BACKLOG: Final = 2_000
"""Messages of the stalled number: two seconds' worth of its rate, so it has always more than its window."""
STALLING_SECONDS: Final = 2.0
"""From its messages' acceptance until it stands."""
PATIENCE_SECONDS: Final = 60.0

LAST: Final = (
    "SELECT extract(epoch FROM max(settled_at)) FROM sender.attempts WHERE message_id = ANY($1::text[]) AND state = 'sent'"
)
CLEAR: Final = "DELETE FROM scheduler.holds WHERE number_id = $1"

Stall = Callable[[Rig, Number], Awaitable[Any]]


async def run(rig: Rig, scale: Scale) -> Report:
    """With and without in turn, each compared with its neighbours: a machine that gets slower is not the number's fault."""
    healthy = await rig.connect(HEALTHY, per_second=PER_SECOND)
    how_many = scale.of(24_000, 3_000)
    stalls: dict[str, Stall] = {
        "paused": lambda rig, number: rig.api("POST", f"numbers/{number.id}/pause", {}),
        "throttled (130429)": lambda rig, number: _at_sandbox(rig, number, state="throttled"),
        "breaker open (503)": lambda rig, number: _at_sandbox(rig, number, faults={"http_503": 1.0}),
        "hanging": lambda rig, number: _at_sandbox(rig, number, faults={"hang_after_accept": 1.0}),
    }
    await _others(rig, healthy, how_many // 4)
    measured = {"none (1)": await _others(rig, healthy, how_many)}
    for turn, (name, stall) in enumerate(stalls.items(), 2):
        [number] = await rig.connect(1, per_second=PER_SECOND)
        await stall(rig, number)
        await accept(rig, [text(number, f"+1444{n:07d}") for n in range(scale.of(BACKLOG, 200))])
        await asyncio.sleep(STALLING_SECONDS)
        measured[name] = await _others(rig, healthy, how_many)
        await rig.database.execute(CLEAR, number.id)
        await _at_sandbox(rig, number, state="connected", faults=None)
        measured[f"none ({turn})"] = await _others(rig, healthy, how_many)
    return Report(
        _with_costs(measured),
        [
            f"{HEALTHY} numbers of {PER_SECOND}/s offered {how_many:,} messages at once; cost: against the mean of the rows around."
        ],
    )


def _with_costs(measured: dict[str, Row]) -> dict[str, Row]:
    names = list(measured)
    for at, name in enumerate(names):
        if not name.startswith("none"):
            plain = mean(measured[other]["others_per_second"] for other in (names[at - 1], names[at + 1]))
            measured[name]["cost_percent"] = round(100 * (1 - measured[name]["others_per_second"] / plain), 1)
    return measured


async def _others(rig: Rig, healthy: Sequence[Number], how_many: int) -> Row:
    await ledger.forget(rig)
    began_at = time.time()
    ids = await accept(rig, [text(healthy[n % len(healthy)], f"+1888{n:07d}") for n in range(how_many)])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while ledger.accepted(await ledger.summary(rig), healthy) < how_many and time.monotonic() < deadline:
        await asyncio.sleep(ledger.LOOK_SECONDS)
    states = await records.until_only(rig, ids, ["read"], PATIENCE_SECONDS)
    last = float(await rig.database.fetchval(LAST, ids) or 0.0)
    return {
        "others_per_second": round(how_many / (last - began_at)),
        "p99_ms": (await records.latency(rig, ids)).get("p99_ms"),
        "unread": how_many - states.get("read", 0),
    }


async def _at_sandbox(rig: Rig, number: Number, **changes: Any) -> None:
    await rig.sandbox("PATCH", f"numbers/{number.phone_number_id}", changes)


SCENARIO: Final = Scenario("stalled", "what a number that stands still costs the others", 100, run)
