"""Seals what a service has at rest with the present master key, a page at a time, while the service runs.

Nothing is locked for longer than a page is written, a value that has changed meanwhile stays as it is, and what is sealed with the
present key is passed over: stopped anywhere and started again it goes on, and twice changes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from shared.auth.kept_keys import COLUMN, sql
from shared.auth.seal import Sealer, SealError
from shared.config import DatabaseSettings, SecuritySettings, SettingsError
from shared.db.pool import Pool, open_pool
from shared.ids import TenantId

PAGE: Final = 500
_PAUSE_SECONDS: Final = 0.02
"""After a page that was written: a replica and the vacuum keep up, and traffic goes first."""
_TURNS: Final = 5
"""More only where somebody keeps writing with another key, which ends by itself only when that process does."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A column of sealed values. `place` is what they were sealed for; `page` takes an id and a limit and gives tenant_id, id and
    sealed; `write` takes ids, old and new values and gives the ids that it wrote."""

    name: str
    place: str
    page: str
    write: str


KEPT_KEYS: Final = Sealed("kept_keys.sealed_key", COLUMN, sql["page_kept_keys"], sql["reseal_kept_keys"])


@dataclass(slots=True)
class Count:
    """Of one column. `unreadable` are the ids of what none of the master keys opens."""

    current: int = 0
    resealed: int = 0
    former: int = 0
    """Sealed with another master key, and still so."""
    unreadable: list[str] = field(default_factory=list)


async def reseal(pool: Pool, sealer: Sealer, column: Sealed, *, writes: bool = True) -> Count:
    """Go through the column once. With `writes` false it only counts."""
    count, after = Count(), ""
    while rows := await pool.fetch(column.page, after, PAGE):
        after = rows[-1]["id"]
        changes: list[tuple[str, str, str]] = []
        for row in rows:
            if sealer.is_current(row["sealed"]):
                count.current += 1
                continue
            tenant_id = TenantId(row["tenant_id"])
            try:
                secret = sealer.open(tenant_id, column.place, row["id"], row["sealed"])
            except SealError:
                count.unreadable.append(row["id"])
                continue
            changes.append((row["id"], row["sealed"], sealer.seal(tenant_id, column.place, row["id"], secret)))
        written = 0
        if changes and writes:
            written = len(await pool.fetch(column.write, *map(list, zip(*changes, strict=True))))
            await asyncio.sleep(_PAUSE_SECONDS)
        count.resealed += written
        count.former += len(changes) - written
    return count


def command(
    service: str,
    read_settings: Callable[[], tuple[DatabaseSettings, SecuritySettings]],
    columns: Sequence[Sealed],
    arguments: Sequence[str] | None = None,
) -> int:
    """The command line of a service. 0: all is sealed with the present key; 1: something is not; 2: the settings are wrong."""
    parser = argparse.ArgumentParser(
        prog=f"python -m services.{service}.reseal",
        description=f"Seal what the {service} keeps with the present master key; what the other ones sealed is opened with them.",
    )
    does = parser.add_mutually_exclusive_group()
    does.add_argument("--check", action="store_true", help="count only")
    does.add_argument("--forget", action="store_true", help="let go of kept keys that no master key opens, once it is lost")
    given = parser.parse_args(arguments)
    try:
        db, security = read_settings()
        sealer = security.sealer()
    except (SettingsError, SealError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        return asyncio.run(_run(service, db, sealer, [KEPT_KEYS, *columns], writes=not given.check, forgets=given.forget))
    except (OSError, asyncpg.PostgresError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1


async def _run(
    service: str, db: DatabaseSettings, sealer: Sealer, columns: Sequence[Sealed], *, writes: bool, forgets: bool
) -> int:
    is_done = True
    async with open_pool(db.model_copy(update={"pool_min": 0, "pool_max": 2}), service) as pool:
        for column in columns:
            count = await _until_current(pool, sealer, column, writes=writes)
            if forgets and column is KEPT_KEYS and count.unreadable:
                await pool.execute(sql["drop_kept_keys"], count.unreadable)
                sys.stdout.write(f"{column.name}: forgot {', '.join(count.unreadable)}; start the service anew\n")
                count.unreadable.clear()
            sys.stdout.write(f"{column.name}: {_line(count)}\n")
            is_done = is_done and not count.former and not count.unreadable
    return 0 if is_done else 1


async def _until_current(pool: Pool, sealer: Sealer, column: Sealed, *, writes: bool) -> Count:
    """What somebody else changed while its page was written has another turn."""
    count = await reseal(pool, sealer, column, writes=writes)
    for _ in range(_TURNS if writes else 0):
        if not count.former:
            break
        again = await reseal(pool, sealer, column)
        again.resealed += count.resealed
        again.current -= count.resealed
        count = again
    return count


def _line(count: Count) -> str:
    told = f"{count.current} current, {count.resealed} resealed, {count.former} still of another key"
    return f"{told}, {len(count.unreadable)} unreadable: {' '.join(count.unreadable)}" if count.unreadable else told
