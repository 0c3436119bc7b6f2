"""News that the provider tells beside messages: which were taken before, and what they say of numbers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
import orjson

from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import NumberId, TenantId

sql = Queries(Path(__file__).with_name("news.sql"))
TAKE_NEWS: Final = sql["take_news"]
PRUNE_NEWS: Final = sql["prune_news"]
NUMBERS_OF_ACCOUNTS: Final = sql["numbers_of_accounts"]
PUT_HEALTH: Final = sql["put_health"]
SELECT_HEALTH: Final = sql["select_health"]
CONTACTS_HALF_NAMED: Final = sql["contacts_half_named"]


class Word(NamedTuple):
    """What is said of one aspect of a number; None: that nothing is known of it any more."""

    tenant_id: TenantId
    number_id: NumberId
    aspect: str
    value: str | None
    told_at: datetime


async def take(connection: Connection, news: Collection[tuple[TenantId, bytes]]) -> set[tuple[str, bytes]]:
    """Which of these (tenant, digest) had not been taken before; they are now."""
    if not news:
        return set()
    rows = await connection.fetch(TAKE_NEWS, *zip(*news, strict=True))
    return {(row["tenant_id"], row["digest"]) for row in rows}


async def numbers_of(connection: Connection, accounts: Iterable[tuple[str, str]]) -> list[asyncpg.Record]:
    """The numbers that these tenants have in these accounts."""
    return await connection.fetch(NUMBERS_OF_ACCOUNTS, orjson.dumps(list(accounts)).decode())


async def put_health(connection: Connection, words: Iterable[Word]) -> list[asyncpg.Record]:
    """Keep the latest word on each aspect; returns what was written."""
    latest: dict[tuple[str, str, str], Word] = {}
    for word in words:
        known = latest.get(word[:3])
        if known is None or word.told_at >= known.told_at:
            latest[word[:3]] = word
    return [] if not latest else await connection.fetch(PUT_HEALTH, *zip(*latest.values(), strict=True))


async def health(connection: Connection | Pool, tenant_id: TenantId, number_ids: Sequence[str]) -> list[asyncpg.Record]:
    """All that is known of these numbers."""
    return await connection.fetch(SELECT_HEALTH, tenant_id, number_ids)


async def half_named(connection: Connection, named: Collection[tuple[str, str, tuple[str, ...]]]) -> list[asyncpg.Record]:
    """Those of (tenant, user id, spellings of a phone number) that say of a contact what was not known."""
    return await connection.fetch(CONTACTS_HALF_NAMED, orjson.dumps(list(named)).decode())
