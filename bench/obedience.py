"""Never over a limit and never far under it: numbers, pairs and tiers at once, with one sender process and with three."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bench import ledger
from bench.ledger import Entry
from bench.offer import Message, accept, text
from bench.rig import Number, Rig
from bench.scenario import Report, Row, Scale, Scenario
from bench.senders import more_senders

NUMBER_RATES: Final = (80, 1_000)
SETTLING_SECONDS: Final = 2.0
"""From the first message of a number to where counting begins."""
PAIRS: Final = 10
PAIR_BURST: Final = 45
PAIR_SECONDS: Final = 6.0
TIERS: Final = {"critical": 200, "high": 100, "normal": 60, "low": 30}
"""Messages a minute under the device profile."""
MINUTE: Final = 60.0
MARGIN: Final = 1.3
"""How much more is offered than may leave while it is watched, so that there is always one waiting."""
LEAD_SECONDS: Final = 15.0
"""All becomes due at one moment, when all of it has been accepted."""


@dataclass(frozen=True, slots=True)
class Watch:
    """One limit under test. Its messages go to recipients that begin with `prefix`; at most `limit` may leave in `per_seconds`."""

    name: str
    prefix: str
    number: Number
    limit: int
    per_seconds: float
    messages: Sequence[Message]
    from_second: float
    for_seconds: float
    allowed: float
    """So many may leave between `from_second` and `for_seconds` later, counted from the first."""
    is_each: bool = False
    """The limit is of every recipient for itself."""


async def run(rig: Rig, scale: Scale) -> Report:
    """The same twice, on fresh numbers."""
    await rig.behave(pair_limit=True)
    report = Report()
    report.rows |= await _watched(rig, scale, "1 sender", series=0)
    async with more_senders(rig, 2):
        report.rows |= await _watched(rig, scale, "3 senders", series=1)
    report.notes += (
        "used: share of what was allowed that was accepted, by the sandbox's clock. refused: by the sandbox, for a limit, as Meta",
        "does. greatest: the most it accepted in any window of that length, wherever it begins. excess: what somebody would have",
        "refused who allows no burst in such a window. The tiers of the device profile are the platform's own promise.",
    )
    return report


async def _watched(rig: Rig, scale: Scale, suffix: str, series: int) -> dict[str, Row]:
    await ledger.forget(rig)
    watches = await _watches(rig, scale, series)
    due = datetime.now(UTC) + timedelta(seconds=scale.of(LEAD_SECONDS, 4.0))
    async with asyncio.TaskGroup() as group:
        for watch in watches:
            group.create_task(accept(rig, [{**one, "scheduled_time": due.isoformat()} for one in watch.messages]))
    longest = max(watch.from_second + watch.for_seconds for watch in watches)
    await asyncio.sleep(max(0.0, due.timestamp() - time.time()) + longest + 2.0)
    summary = await ledger.summary(rig)
    received = await ledger.entries(rig)
    return {f"{watch.name}, {suffix}": _row(watch, received, summary) for watch in watches}


async def _watches(rig: Rig, scale: Scale, series: int) -> list[Watch]:
    seconds = scale.of(25.0, 4.0)
    watches = []
    for place, per_second in enumerate(NUMBER_RATES):
        [number] = await rig.connect(1, per_second=per_second)
        prefix = f"17{series}{place}"
        how_many = int(per_second * (SETTLING_SECONDS + seconds) * MARGIN)
        messages = [text(number, f"+{prefix}{n:07d}") for n in range(how_many)]
        allowed = per_second * seconds
        name = f"number of {per_second:,}/s"
        watches.append(Watch(name, prefix, number, per_second, 1.0, messages, SETTLING_SECONDS, seconds, allowed))
    if not scale.quick:
        watches += [await _pairs(rig, series), *await _tiers(rig, series)]
    return watches


async def _pairs(rig: Rig, series: int) -> Watch:
    """A burst to each of several people, and one every six seconds after it."""
    [number] = await rig.connect(1, per_second=1_000)
    prefix = f"17{series}5"
    messages = [text(number, f"+{prefix}{pair:07d}") for _ in range(PAIR_BURST + 20) for pair in range(PAIRS)]
    window = MINUTE + PAIR_SECONDS / 2  # half a step past the last one that is allowed
    allowed = PAIR_BURST + MINUTE // PAIR_SECONDS
    return Watch("pair, 45 and 1 per 6 s", prefix, number, int(allowed), MINUTE, messages, 0.0, window, allowed, is_each=True)


async def _tiers(rig: Rig, series: int) -> list[Watch]:
    [number] = await rig.connect(1, per_second=80, profile="device")
    watches = []
    for place, (tier, limit) in enumerate(TIERS.items()):
        prefix = f"18{series}{place}"
        messages = [text(number, f"+{prefix}{n:07d}", priority=tier) for n in range(int(limit * MARGIN * 1.2))]
        watches.append(Watch(f"{tier}, {limit}/min", prefix, number, limit, MINUTE, messages, 5.0, MINUTE, limit))
    return watches


def _row(watch: Watch, received: Sequence[Entry], summary: dict[str, Any]) -> Row:
    groups: dict[str, list[float]] = {}
    for entry in received:
        if entry.to.startswith(watch.prefix):
            groups.setdefault(entry.to if watch.is_each else watch.prefix, []).append(entry.at)
    accepted = sum(map(len, groups.values()))
    used = [ledger.within(moments, moments[0] + watch.from_second, watch.for_seconds) for moments in groups.values()]
    share = sum(used) / (watch.allowed * len(groups)) if groups else 0.0
    refused = ledger.refused(summary, watch.number)
    return {
        "accepted": accepted,
        "used_percent": round(100 * share, 2),
        "refused": refused,
        "refused_percent": round(100 * refused / (accepted + refused), 3) if accepted else 0.0,
        "greatest": max((ledger.busiest(moments, watch.per_seconds) for moments in groups.values()), default=0),
        "limit": watch.limit,
        "in_seconds": round(watch.per_seconds),
        "excess": sum(ledger.excess(moments, watch.limit, watch.per_seconds) for moments in groups.values()),
    }


SCENARIO: Final = Scenario("obedience", "allowed rate used, and limits kept, with 1 and 3 senders", 200, run, apart=True)
