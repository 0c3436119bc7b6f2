"""Who watches, and what they are told of numbers and messages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

import orjson

from services.gateway.domain.graph_update import Place
from services.gateway.domain.update import Own
from services.gateway.domain.wamid import mint
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import MessageId, NumberId, TenantId

sql = Queries(Path(__file__).with_name("updates.sql"))
SELECT_WATCHED: Final = sql["select_watched"]
PUT_WATCHED: Final = sql["put_watched"]
WATCH_LIVE: Final = sql["watch_live"]
SELECT_PLACES: Final = sql["select_places"]
SELECT_TOLD_MESSAGES: Final = sql["select_told_messages"]

Key = tuple[TenantId, MessageId]


async def watched(connection: Connection | Pool) -> frozenset[TenantId]:
    """The tenants who are told of updates now."""
    return frozenset(TenantId(row["tenant_id"]) for row in await connection.fetch(SELECT_WATCHED))


async def put_watched(connection: Connection, told: Mapping[TenantId, tuple[int, bool]]) -> None:
    """Of these tenants, under these revisions, whether they have callbacks that are on."""
    revisions, are_watched = [revision for revision, _ in told.values()], [is_watched for _, is_watched in told.values()]
    await connection.execute(PUT_WATCHED, list(told), revisions, are_watched)


async def watch_live(pool: Pool, tenant_ids: Iterable[TenantId], kept: timedelta) -> None:
    """These tenants read live: they are told of updates for so long from now on."""
    await pool.execute(WATCH_LIVE, list(tenant_ids), kept)


async def places(connection: Connection, number_ids: Collection[NumberId]) -> dict[NumberId, Place]:
    """How the provider names these numbers."""
    if not number_ids:
        return {}
    rows = await connection.fetch(SELECT_PLACES, list(number_ids))
    return {row["id"]: Place(row["waba_id"], row["phone_number_id"], row["display_number"]) for row in rows}


async def told_messages(connection: Connection, keys: Collection[Key]) -> dict[Key, Own]:
    """What is known of these messages beside their state; the wamid is the one that the message's sender knows it by."""
    if not keys:
        return {}
    rows = await connection.fetch(SELECT_TOLD_MESSAGES, orjson.dumps(list(keys)).decode(), len(keys))
    found = {}
    for row in rows:
        message_id, graph = MessageId(row["id"]), orjson.loads(row["graph"] or "null")
        found[TenantId(row["tenant_id"]), message_id] = Own(
            message_id,
            row["recipient"],
            row["reference"],
            orjson.loads(row["metadata"] or "null"),
            row["run_id"],
            graph,
            row["wamid"] if graph is None else mint(message_id),
        )
    return found
