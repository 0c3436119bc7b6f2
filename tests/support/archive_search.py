"""An archive to search, made row by row, and the plain answer to every question to compare with."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from services.archive.domain.hit import Filters, Hit
from services.archive.domain.indexing import search_literal
from services.archive.domain.query import parse
from services.archive.search.answer import FIRST, Answer, Asked, Searcher
from services.archive.search.jobs import lexicon_follower
from services.archive.search.pool import open_search_pool
from services.archive.settings import SearchSettings
from services.archive.tenants import Tenants
from shared.clock import SystemClock
from shared.config import ReplicaSettings
from shared.db.pool import Pool
from shared.ids import TenantId, new_id
from shared.telemetry.metrics import Metrics
from tests.support.archive_events import TENANT
from tests.support.database import Database
from tests.support.following import follow

SINCE: Final = datetime(2024, 1, 15, tzinfo=UTC)


class Said(NamedTuple):
    """A row to be stored."""

    body: str
    at: datetime
    conversation: int = 0
    type: str = "text"
    is_outgoing: bool = False
    author: int | None = None


class Shelf(NamedTuple):
    """The archive of one tenant: `conversations` and `authors` by their numbers here, with their ids."""

    tenant_no: int
    conversations: dict[int, tuple[int, str]]
    authors: dict[int, tuple[int, str]]


@asynccontextmanager
async def searcher_of(database: Database, pool: Pool) -> AsyncIterator[Searcher]:
    """As the service opens it."""
    settings, metrics = database.settings_for("archive"), Metrics("archive")
    async with open_search_pool(settings, ReplicaSettings(), SearchSettings(statement_seconds=20), metrics) as searching:
        yield Searcher(searching, Tenants(pool), metrics, SystemClock())


async def shelve(pool: Pool, said: Sequence[Said], tenant: TenantId = TENANT) -> Shelf:
    """Store rows, one transaction a call, without the entries they stand for."""
    tenants = Tenants(pool)
    tenant_no = (await tenants.numbered([tenant]))[tenant]
    shelf = Shelf(tenant_no, {}, {})
    for number in sorted({one.conversation for one in said}):
        row = await pool.fetchrow(
            "INSERT INTO conversations (id, tenant_id, number_id, contact_phone) VALUES ($1, $2, '', $3)"
            " ON CONFLICT (tenant_id, number_id, contact_phone) DO UPDATE SET number_id = '' RETURNING conversation_no, id",
            new_id("cnv"), tenant, f"chat:{number}",
        )  # fmt: skip
        assert row is not None
        shelf.conversations[number] = row["conversation_no"], row["id"]
    for author in sorted({(one.author, one.conversation) for one in said if one.author is not None}):
        row = await pool.fetchrow(
            "INSERT INTO participants (id, tenant_no, conversation_no, key, name) VALUES ($1, $2, $3, $4, $4)"
            " RETURNING participant_no, id",
            new_id("prt"), tenant_no, shelf.conversations[author[1]][0], f"name:{author[0]}",
        )  # fmt: skip
        assert row is not None
        shelf.authors[author[0]] = row["participant_no"], row["id"]
    async with pool.acquire() as connection, connection.transaction():
        await connection.executemany(
            "INSERT INTO search_rows"
            " (sent_at, conversation_no, author_no, tenant_no, is_outgoing, entry_id, type, body, tsv)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::tsvector)",
            [_row(one, shelf) for one in said],
        )
    return shelf


async def counted(pool: Pool) -> None:
    """The lexicon knows of everything."""
    await follow(pool, lexicon_follower(pool))


def _row(one: Said, shelf: Shelf) -> tuple[Any, ...]:
    number = shelf.conversations[one.conversation][0]
    author = None if one.author is None else shelf.authors[one.author][0]
    tsv = search_literal(shelf.tenant_no, one.body, one.type, one.at, number)
    return one.at, number, author, shelf.tenant_no, one.is_outgoing, new_id("ent"), one.type, one.body, tsv


async def pages(searcher: Searcher, asked: Asked, limit: int, tenant: TenantId = TENANT) -> list[Answer]:
    """From the first to the last."""
    found, start = [], FIRST
    while True:
        answer = await searcher.answer(tenant, asked, start, limit)
        found.append(answer)
        assert len(answer.hits) <= limit
        if answer.next is None:
            return found
        assert answer.next != start
        start = answer.next


async def hits(searcher: Searcher, question: str, filters: Filters | None = None, limit: int = 50, **more: Any) -> list[Hit]:
    """All of them, page by page."""
    asked = Asked(parse(question), filters or Filters(), **more)
    return [hit for answer in await pages(searcher, asked, limit) for hit in answer.hits]


async def bodies(searcher: Searcher, question: str, filters: Filters | None = None, **more: Any) -> list[str]:
    """Of what is found."""
    return [hit.body for hit in await hits(searcher, question, filters, **more)]


def chatter(rows: int, seed: int = 3) -> list[Said]:
    """Some years of words from every message to none: `every` is in all, `half` in each second, `apart` and `never` in a tenth each
    but never together, `old` in the oldest part only, `few` in some."""
    chance = random.Random(seed)  # noqa: S311  # the same in every run
    said = []
    for number in range(rows):
        words = ["every", f"n{number}"]
        words += ["half"] * (number % 2)
        words += ["apart"] * (number % 20 < 2) + ["never"] * (number % 20 > 17)
        words += ["old"] * (number < rows // 8) + ["few"] * (number % 97 == 5)
        words += chance.choices(["car", "red", "blue", "house", "parcel"], (9, 5, 3, 1, 1), k=2)
        chance.shuffle(words)
        said.append(
            Said(
                " ".join(words),
                SINCE + timedelta(hours=6 * (number // 2)),
                conversation=0 if number % 3 else 1 + number % 7,
                type="image" if number % 50 == 0 else "text",
                is_outgoing=number % 5 == 0,
            )
        )
    return said
