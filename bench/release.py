"""Very many holds that wait, and a part of them due at one instant: how fast two schedulers release them, how late, how bloated."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from bench.rig import QUIET, ROOT, Rig
from bench.scenario import Report, Row, Scale, Scenario
from local.children import Child, last_lines
from local.home import Home
from shared.db.migrate import migrate

PENDING: Final = int(os.environ.get("BENCH_PENDING", "1000000"))
DUE: Final = int(os.environ.get("BENCH_DUE", "200000"))
DATABASE: Final = "bench_release"
"""Beside the stack's own, on its server: no scheduler but the two of this scenario sees it."""
SCHEDULERS: Final = 2
NUMBERS: Final = 64
TENANTS: Final = 8
ROUNDS: Final = 10
STEADY_PER_SECOND: Final = 2_000
STEADY_SECONDS: Final = 15
AHEAD_SECONDS: Final = 3
"""From the last insert to the instant: both schedulers look at a table in which nothing is due."""
PATIENCE_SECONDS: Final = 600.0
LOOK_SECONDS: Final = 0.25
FILL_ROWS: Final = 500_000

NAPTIME: Final = "5s"
"""Ten rounds take less than the minute that autovacuum usually sleeps."""
CONNECT: Final = """
INSERT INTO scheduler.numbers (number_id, tenant_id, revision, messages_per_second, window_size)
SELECT 'num_' || n, 'tnt_' || n % $2::integer, 1, 1000, 1000 FROM generate_series(0, $1::integer - 1) AS n
"""
FILL: Final = """
INSERT INTO scheduler.holds (message_id, tenant_id, number_id, tier, due_at, recipient, content)
SELECT 'msg_' || lpad(n::text, 26, '0'), 'tnt_' || n % $3::integer % $4::integer, 'num_' || n % $3::integer, 2,
       $5::timestamptz + make_interval(secs => (n - $1::bigint) * $6::double precision), '+1666' || lpad(n::text, 8, '0'),
       '{"type":"text","text":{"body":"one of many, number ' || n || '"}}'
FROM generate_series($1::bigint, $2::bigint - 1) AS n
"""
LEFT: Final = "SELECT count(*) FROM scheduler.holds WHERE message_id >= 'msg_' || lpad($1::bigint::text, 26, '0')"
SIZES: Final = "SELECT pg_relation_size('scheduler.holds') AS rows, pg_indexes_size('scheduler.holds') AS indexes"


class Arrival(NamedTuple):
    """A message at the other end of the bus; times in seconds."""

    message_id: str
    due: float
    at: float


async def run(rig: Rig, scale: Scale) -> Report:
    """A burst behind everything that waits, then less than that steadily, then burst after burst."""
    pending, due = scale.of(PENDING, 20_000), scale.of(DUE, 5_000)
    steady = scale.of(STEADY_SECONDS, 3) * STEADY_PER_SECOND
    report = Report()
    async with _database(rig) as (url, database):
        await database.execute(CONNECT, NUMBERS, TENANTS)
        holds = _Holds(database)
        for start in range(0, pending, FILL_ROWS):
            await holds.add(min(FILL_ROWS, pending - start), due="1 day")
        await database.execute("VACUUM ANALYZE scheduler.holds")
        before = await _sizes(database)
        with _schedulers(rig, url) as schedulers:
            name = f"{due:,} due at once, {pending:,} wait"
            report.rows[name] = {**_arrived(await _burst(holds, schedulers, due)), **before}
            arrivals = await _burst(holds, schedulers, steady, every=1 / STEADY_PER_SECOND)
            report.rows[f"{STEADY_PER_SECOND:,} a second fall due"] = {**_arrived(arrivals), **await _sizes(database)}
            for turn in range(1, ROUNDS + 1):
                arrivals = await _burst(holds, schedulers, due // ROUNDS)
                report.rows[f"round {turn}"] = {**_arrived(arrivals), **await _sizes(database)}
    report.notes.append(f"{SCHEDULERS} schedulers; what they release is settled at once, over the bus within a process.")
    report.notes.append("Sizes are those before the burst, then after each line; late is due → arrived at the bus's other end.")
    return report


class _Holds:
    """What is inserted, by serial numbers."""

    def __init__(self, database: asyncpg.Connection[asyncpg.Record]) -> None:
        self.database = database
        self.next = 0

    async def add(self, how_many: int, *, due: str, every: float = 0.0) -> None:
        """Due so far from now, or one each so many seconds from then on."""
        first, self.next = self.next, self.next + how_many
        at = await self.database.fetchval("SELECT now() + $1::text::interval", due)
        await self.database.execute(FILL, first, self.next, NUMBERS, TENANTS, at, every, timeout=PATIENCE_SECONDS)


class _Schedulers:
    """The two processes, and what arrived from them since the last look."""

    def __init__(self, children: list[Child], files: list[Path], log: Path) -> None:
        self._children = children
        self._files = dict.fromkeys(files, 0)
        self._log = log

    def arrived(self) -> list[Arrival]:
        """Raises `RuntimeError` where one has ended."""
        if not all(child.running for child in self._children):
            raise RuntimeError(f"a scheduler ended: {last_lines(self._log, 20)}")
        found = []
        for path, offset in self._files.items():
            with path.open("rb") as file:
                file.seek(offset)
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._files[path] = offset + len(whole)
            for line in whole.decode().splitlines():
                message_id, due, at = line.split()
                found.append(Arrival(message_id, float(due), float(at)))
        return found


async def _burst(holds: _Holds, schedulers: _Schedulers, how_many: int, *, every: float = 0.0) -> list[Arrival]:
    """Insert them, and wait until all have arrived and are settled. Raises `TimeoutError`."""
    first = holds.next
    await holds.add(how_many, due=f"{AHEAD_SECONDS} s", every=every)
    arrivals: list[Arrival] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(arrivals) < how_many or await holds.database.fetchval(LEFT, first):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(arrivals)} of {how_many} arrived")
        await asyncio.sleep(LOOK_SECONDS)
        arrivals += schedulers.arrived()
    return arrivals


def _arrived(arrivals: Sequence[Arrival]) -> Row:
    late = sorted(1_000 * (arrival.at - arrival.due) for arrival in arrivals)
    seconds = max(arrival.at for arrival in arrivals) - min(arrival.due for arrival in arrivals)
    return {
        "released": len(arrivals),
        "per_second": round(len(arrivals) / seconds),
        "duplicates": len(arrivals) - len({arrival.message_id for arrival in arrivals}),
        "p50_late_ms": round(late[len(late) // 2], 1),
        "p99_late_ms": round(late[len(late) * 99 // 100], 1),
    }


async def _sizes(database: asyncpg.Connection[asyncpg.Record]) -> Row:
    row = await database.fetchrow(SIZES)
    assert row is not None
    return {"rows_mb": round(row["rows"] / 2**20), "indexes_mb": round(row["indexes"] / 2**20)}


@asynccontextmanager
async def _database(rig: Rig) -> AsyncIterator[tuple[str, asyncpg.Connection[asyncpg.Record]]]:
    """A database with the services' schemas, gone afterwards: its URL without login, and the superuser's connection."""
    parts = urlsplit(rig.facts["servers"]["postgres"])._replace(path=f"/{DATABASE}")
    await rig.database.execute(f"CREATE DATABASE {DATABASE}")
    await rig.database.execute(f"ALTER SYSTEM SET autovacuum_naptime = '{NAPTIME}'")
    await rig.database.execute("SELECT pg_reload_conf()")
    try:
        await migrate(urlunsplit(parts), Home(rig.home).secrets()["role_password"])
        database = await asyncpg.connect(urlunsplit(parts))
        try:
            yield urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), database
        finally:
            await database.close()
    finally:
        await rig.database.execute("ALTER SYSTEM RESET autovacuum_naptime")
        await rig.database.execute("SELECT pg_reload_conf()")
        await rig.database.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


@contextmanager
def _schedulers(rig: Rig, url: str) -> Iterator[_Schedulers]:
    environment = {
        "PATH": "/usr/bin:/bin",
        **QUIET,
        "BENCH_DATABASE_URL": url,
        "BENCH_DATABASE_PASSWORD": Home(rig.home).secrets()["role_password"],
    }
    files, children = [rig.home / f"released-{n}.txt" for n in range(SCHEDULERS)], []
    log = rig.home / "releaser.log"
    try:
        for path in files:
            path.touch()
            argv = [sys.executable, "-m", "bench.releaser", str(path)]
            children.append(Child.start(argv, env=environment, log_path=log, cwd=ROOT, death_signal=signal.SIGTERM))
        yield _Schedulers(children, files, log)
    finally:
        for child in children:
            child.stop(signal.SIGTERM, 20.0)


SCENARIO: Final = Scenario("release", "two schedulers, very many holds, a part of them due at one instant", 120, run)
