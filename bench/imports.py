"""Exported chats into the archive: how fast they can be searched, how much memory that takes, what twenty readers feel of it."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from bench.histories import history
from bench.rig import Rig
from bench.scenario import Report, Row, Scale, Scenario

MEGABYTES: Final = int(os.environ.get("BENCH_IMPORT_MB", "100"))
READERS: Final = 20
PATIENCE_SECONDS: Final = 3_600.0
LOOK_SECONDS: Final = 0.2
MB: Final = 1_000_000
WORDS: Final = ("parcel", "order tomorrow", "factura", "Lieferung", "спасибо", "obrigado", "nosuchword", "the")


async def run(rig: Rig, scale: Scale) -> Report:
    """One import alone, the same file again, and another one with readers beside it."""
    size = scale.of(MEGABYTES, 3) * MB
    report = Report()
    watch = _Watch(rig)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch.run(), name="watch")
        report.rows["alone"] = await _import(rig, watch, size, seed=1)
        report.rows["the same again"] = await _import(rig, watch, size, seed=1)
        times: list[float] = []
        refused: Counter[int] = Counter()
        readers = [group.create_task(_read(rig, times, refused, number), name=f"reader {number}") for number in range(READERS)]
        report.rows[f"{READERS} readers beside"] = await _import(rig, watch, size, seed=2)
        for task in (*readers, watching):
            task.cancel()
    report.rows["searches of these readers"] = {**_percentiles(times), **{f"answered_{code}": n for code, n in refused.items()}}
    report.notes.append(
        f"Files of {size // MB} MB in several languages, streamed through the gateway; seconds from the request's first byte to "
        "the last entry that can be searched. MB of memory: the most that the archive's process, and the one that reads, had."
    )
    return report


async def _import(rig: Rig, watch: _Watch, size: int, *, seed: int) -> Row:
    url = f"{rig.facts['gateway_url']}/api/imports"
    watch.reset()
    started = time.monotonic()
    query = {"file_name": f"chat {seed}.txt", "title": f"chat {seed}"}
    async with rig.session.post(url, params=query, data=_stream(size, seed)) as answer:
        made = await answer.json()
        if answer.status != 201:
            raise RuntimeError(f"the import was refused: {made}")
    uploaded = time.monotonic() - started
    done = await _done(rig, made["id"], started)
    seconds = time.monotonic() - started
    records = done["entry_count"] + done["known_count"]
    return {
        "messages": records,
        "new": done["entry_count"],
        "upload_s": round(uploaded, 1),
        "seconds": round(seconds, 1),
        "mb_per_s": round(done["size_bytes"] / MB / seconds, 1),
        "messages_per_s": round(records / seconds),
        "service_mb": watch.service_mb,
        "reading_mb": watch.reading_mb,
    }


async def _stream(size: int, seed: int) -> AsyncIterator[bytes]:
    blocks = history(size, seed=seed)
    while block := await asyncio.to_thread(next, blocks, b""):
        yield block


async def _done(rig: Rig, import_id: str, started: float) -> Any:
    """The import, once it is over. Raises `RuntimeError` where it failed, `TimeoutError`."""
    while True:
        found = await rig.api("GET", f"imports/{import_id}")
        if found["state"] == "completed":
            return found
        if found["state"] in {"failed", "canceled"}:
            raise RuntimeError(f"the import {found['state']}: {found.get('error')}")
        if time.monotonic() - started > PATIENCE_SECONDS:
            raise TimeoutError
        await asyncio.sleep(LOOK_SECONDS)


async def _read(rig: Rig, times: list[float], refused: Counter[int], number: int) -> None:
    """Searches, one after the other."""
    chance = random.Random(number)  # noqa: S311  # nothing secret
    url = f"{rig.facts['gateway_url']}/api/search"
    while True:
        started = time.monotonic()
        async with rig.session.get(url, params={"q": chance.choice(WORDS)}) as answer:
            await answer.read()
            if answer.status == 200:
                times.append(time.monotonic() - started)
            else:
                refused[answer.status] += 1


def _percentiles(times: list[float]) -> Row:
    times.sort()
    at: Callable[[float], float] = lambda share: round(1_000 * times[min(len(times) - 1, int(share * len(times)))], 1)  # noqa: E731
    return {"searches": len(times), "p50_ms": at(0.5), "p95_ms": at(0.95), "p99_ms": at(0.99)} if times else {"searches": 0}


class _Watch:
    """The most memory that the archive's process, and those it has started, had since the last `reset`."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.service_mb = self.reading_mb = 0

    def reset(self) -> None:
        self.service_mb = self.reading_mb = 0

    async def run(self) -> None:
        while True:
            pids = self._rig.pids("archive")
            self.service_mb = max([self.service_mb, *map(_rss_mb, pids)])
            self.reading_mb = max([self.reading_mb, *(_rss_mb(child) for pid in pids for child in _children(pid))])
            await asyncio.sleep(LOOK_SECONDS)


def _children(pid: int) -> Sequence[int]:
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _rss_mb(pid: int) -> int:
    with suppress(OSError, IndexError, ValueError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 2**20
    return 0


SCENARIO: Final = Scenario(
    "import",
    "exported chats imported, alone and beside readers: how fast they can be searched, and the memory that takes",
    seconds=400,
    run=run,
    apart=True,
)
