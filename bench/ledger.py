"""The witness: what the sandbox says it received, when, and how often."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.rig import Number, Rig

PAGE: Final = 10_000
LOOK_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt that was accepted, `count` times; `at` is the first of them, seconds since 1970."""

    message_id: str
    to: str
    count: int
    at: float


async def forget(rig: Rig) -> None:
    await rig.sandbox("DELETE", "ledger")


async def summary(rig: Rig) -> dict[str, Any]:
    return dict(await rig.sandbox("GET", "ledger/summary"))


async def entries(rig: Rig) -> list[Entry]:
    """All of them, in the order of acceptance. The sandbox answers nothing else meanwhile: ask when the load is over."""
    found: list[Entry] = []
    cursor: str | None = "0"
    while cursor is not None:
        page = await rig.sandbox("GET", f"ledger?limit={PAGE}&cursor={cursor}")
        found.extend(Entry(one["id"].partition(".")[0], one["to"], one["count"], one["first_at"]) for one in page["data"])
        cursor = page["next_cursor"]
    return sorted(found, key=lambda entry: entry.at)


def within(moments: Sequence[float], start: float, seconds: float) -> int:
    """How many fall in the window that begins at `start`; the moments are in order."""
    return bisect_left(moments, start + seconds) - bisect_left(moments, start)


def busiest(moments: Sequence[float], seconds: float) -> int:
    """The most that ever fell within so many seconds, wherever the window begins; the moments are in order."""
    first = greatest = 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - seconds:
            first += 1
        greatest = max(greatest, last - first + 1)
    return greatest


def excess(moments: Sequence[float], limit: int, seconds: float) -> int:
    """How many of them somebody would have refused who allows `limit` in any window of so many seconds, bursts or not."""
    counted: deque[float] = deque()
    refusals = 0
    for moment in moments:
        while counted and counted[0] <= moment - seconds:
            counted.popleft()
        if len(counted) < limit:
            counted.append(moment)
        else:
            refusals += 1
    return refusals


def accepted(totals: dict[str, Any], numbers: Sequence[Number]) -> int:
    """Messages of these numbers, by a `summary`."""
    of_numbers = totals["numbers"]
    return sum(of_numbers.get(number.phone_number_id, {}).get("accepted", 0) for number in numbers)


def refused(totals: dict[str, Any], number: Number) -> int:
    """Calls of this number that were refused, by a `summary`."""
    return sum(totals["numbers"].get(number.phone_number_id, {}).get("refused", {}).values())


def repeats(received: Sequence[Entry]) -> int:
    """Acceptances beyond the first of each message, whichever attempt they belong to."""
    acceptances: Counter[str] = Counter()
    for entry in received:
        acceptances[entry.message_id] += entry.count
    return sum(count - 1 for count in acceptances.values())


async def until_accepted(rig: Rig, how_many: int, patience_seconds: float) -> dict[str, Any]:
    """Wait until the sandbox has so many messages, or patience ends; its summary then."""
    deadline = time.monotonic() + patience_seconds
    while True:
        found = await summary(rig)
        if found["distinct"] >= how_many or time.monotonic() > deadline:
            return found
        await asyncio.sleep(LOOK_SECONDS)
