"""Searching: hits by the index, by a walk through time, by a label; and what stands around them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg

from services.archive.domain.hit import BEGINNING, Filters, Hit, Neighbour, Spot
from shared.db.pool import Connection
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("search.sql"))
MATCHES: Final = sql["matches"]
WALK_TENANT: Final = sql["walk_tenant"]
WALK_CONVERSATION: Final = sql["walk_conversation"]
WALK_LABEL: Final = sql["walk_label"]
WALKED_TENANT: Final = sql["walked_tenant"]
WALKED_CONVERSATION: Final = sql["walked_conversation"]
WALKED_LABEL: Final = sql["walked_label"]
CONTEXT_OF: Final = sql["context_of"]
COUNT_MONTHS: Final = sql["count_months"]
SAMPLE_MONTHS: Final = sql["sample_months"]
CONVERSATION_NUMBER: Final = sql["conversation_number"]
AUTHOR_NUMBER: Final = sql["author_number"]


class Wanted(NamedTuple):
    """What every hit is, for all ways of finding it. `check` is a tsquery, or None where the way itself sees to it; rows after
    `newest_row` do not count; `pattern`, a regular expression, is for texts of ASCII only."""

    tenant_no: int
    filters: Filters
    check: str | None
    newest_row: int
    pattern: str | None = None


class Block(NamedTuple):
    """Hits, newest first. `found`: how many there are, where that is known; `newest_row`: of the whole table."""

    hits: list[Hit]
    found: int | None
    newest_row: int | None


async def matches(connection: Connection, wanted: Wanted, after: Spot, limit: int, drive: str, cap: int) -> Block:
    """The newest of what the index gives for `drive`. Where it gives `cap` entries or more, they are any: not to be used."""
    return _block(await connection.fetch(MATCHES, *_common(wanted, after, limit), drive, cap))


async def walk(connection: Connection, wanted: Wanted, after: Spot, limit: int, rows: int) -> tuple[Block, Spot | None]:
    """The first hits among the next rows of the tenant, the conversation or the label; and where to go on, None at the end."""
    filters = wanted.filters
    if filters.label is not None:
        return await _walk_label(connection, wanted, after, limit, rows)
    walking, walked, scope = WALK_TENANT, WALKED_TENANT, wanted.tenant_no
    if filters.conversation_no is not None:
        walking, walked, scope = WALK_CONVERSATION, WALKED_CONVERSATION, filters.conversation_no
    block = _block(await connection.fetch(walking, *_common(wanted, after, limit), scope, rows))
    if len(block.hits) == limit:
        return block, block.hits[-1].spot
    last = await connection.fetchrow(walked, after.at, after.row_no, filters.since, scope, rows)
    return block, Spot(last["sent_at"], last["row_no"]) if last else None


async def first_moment(connection: Connection, wanted: Wanted, after: Spot) -> datetime | None:
    """When the tenant's next row was sent; None where there is none."""
    row = await connection.fetchrow(WALKED_TENANT, after.at, after.row_no, wanted.filters.since, wanted.tenant_no, 1)
    return row["sent_at"] if row else None


async def _walk_label(connection: Connection, wanted: Wanted, after: Spot, limit: int, rows: int) -> tuple[Block, Spot | None]:
    """Labels are in the order of their entries' ids where the moment is the same, so a walk ends between two moments."""
    filters = wanted.filters
    end = await connection.fetchval(
        WALKED_LABEL, after.at, filters.since, wanted.tenant_no, filters.label, filters.conversation_no, rows
    )
    arguments = [*_common(wanted, after, limit), wanted.tenant_no, rows, filters.label, filters.conversation_no]
    block = _block(await connection.fetch(WALK_LABEL, *arguments))
    if len(block.hits) == limit:
        return block, block.hits[-1].spot
    return block, Spot(end, BEGINNING.row_no) if end else None


async def context_of(
    connection: Connection, hits: Sequence[Hit], entries: int, characters: int
) -> dict[int, tuple[list[Neighbour], list[Neighbour]]]:
    """What stands before and after each hit, by the hit's row; texts are cut."""
    spots = [hit.conversation_no for hit in hits], [hit.sent_at for hit in hits], [hit.row_no for hit in hits]
    around: dict[int, tuple[list[Neighbour], list[Neighbour]]] = {hit.row_no: ([], []) for hit in hits}
    for row in await connection.fetch(CONTEXT_OF, *spots, entries, characters):
        near = Neighbour(
            row["entry_id"], row["sent_at"], row["is_outgoing"], row["type"], row["body"], row["author_id"], row["author_name"]
        )
        around[row["hit_row"]][0 if row["is_before"] else 1].append(near)
    return around


async def count_months(connection: Connection, wanted: Wanted, drive: str) -> dict[datetime, int]:
    """How many entries of each month the index has."""
    filters = wanted.filters
    rows = await connection.fetch(
        COUNT_MONTHS,
        filters.until,
        wanted.newest_row,
        filters.since,
        drive,
        wanted.check,
        filters.is_outgoing,
        filters.types,
        filters.author_no,
    )
    return {row["month"]: row["entries"] for row in rows}


async def sample_months(
    connection: Connection, wanted: Wanted, months: Collection[tuple[datetime, datetime]], rows: int
) -> dict[datetime, tuple[int, int]]:
    """Of so many rows of each month how many there were, and how many of them are hits."""
    filters = wanted.filters
    found = await connection.fetch(
        SAMPLE_MONTHS,
        [starts for starts, _ in months],
        [ends for _, ends in months],
        wanted.tenant_no,
        rows,
        wanted.check,
        filters.is_outgoing,
        filters.types,
        filters.author_no,
    )
    return {row["month"]: (row["seen"], row["hits"]) for row in found}


async def conversation_number(connection: Connection, tenant: TenantId, conversation_id: str) -> int | None:
    """The number of a conversation of the tenant's."""
    number: int | None = await connection.fetchval(CONVERSATION_NUMBER, tenant, conversation_id)
    return number


async def author_number(connection: Connection, tenant_no: int, participant_id: str) -> tuple[int, int] | None:
    """The numbers of a participant of the tenant's and of the conversation."""
    row = await connection.fetchrow(AUTHOR_NUMBER, tenant_no, participant_id)
    return (row["participant_no"], row["conversation_no"]) if row else None


def _common(wanted: Wanted, after: Spot, limit: int) -> tuple[object, ...]:
    filters = wanted.filters
    return (
        after.at,
        after.row_no,
        filters.since,
        wanted.newest_row,
        wanted.check,
        filters.is_outgoing,
        filters.types,
        filters.author_no,
        limit,
        wanted.pattern,
    )


def _block(rows: Sequence[asyncpg.Record]) -> Block:
    # By place, which is twice as fast as by name: a hit's fields stand as the queries give them.
    hits = [Hit._make(tuple(row)[:11]) for row in rows]
    return Block(hits, rows[0]["found"] if rows else None, rows[0]["newest_row"] if rows else None)
