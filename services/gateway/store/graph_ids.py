"""Which message of ours a provider's wamid names: kept for messages that were accepted at the front door only, whose callers know
them by a minted wamid (`domain/wamid.py`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import asyncpg

from services.gateway.domain.state import State
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import MessageId, TenantId

sql = Queries(Path(__file__).with_name("graph.sql"))
INSERT_GRAPH_IDS: Final = sql["insert_graph_ids"]
SELECT_GRAPH_IDS: Final = sql["select_graph_ids"]
SELECT_WAMIDS: Final = sql["select_wamids"]
PRUNE_GRAPH_IDS: Final = sql["prune_graph_ids"]

KEPT: Final = timedelta(days=90)
"""The provider keeps messages that can be quoted for about 30 days; an older one is then told by the provider's wamid."""

Name = tuple[TenantId, str]
"""A provider's wamid, with the tenant that is told of it."""


Learned = tuple[TenantId, str, MessageId]
"""A tenant, a provider's wamid, and the message that it names."""


async def learn(connection: Connection, learned: Sequence[Learned]) -> None:
    """Remember these; what is known stays."""
    if learned:
        await connection.execute(INSERT_GRAPH_IDS, *map(list, zip(*learned, strict=True)))


async def message_ids(connection: Pool | Connection, names: Iterable[Name]) -> Mapping[Name, MessageId]:
    """The messages of those wamids that are of the front door; nothing is asked where there are no names."""
    wanted = sorted(set(names))
    if not wanted:
        return {}
    rows = await connection.fetch(SELECT_GRAPH_IDS, *map(list, zip(*wanted, strict=True)))
    return {(TenantId(row["tenant_id"]), row["wamid"]): MessageId(row["message_id"]) for row in rows}


async def wamids(connection: Pool | Connection, tenant_id: TenantId, message_ids: Iterable[str]) -> Mapping[str, str]:
    """The provider's wamids of the tenant's messages, by message; those that the provider has not taken are left out."""
    return {row["id"]: row["wamid"] for row in await connection.fetch(SELECT_WAMIDS, tenant_id, list(message_ids))}


def newly_known(row: asyncpg.Record, before: State, after: State) -> list[Learned]:
    """What `learn` is to remember of a locked message whose state changes: nothing, unless it is of the front door and its wamid
    was not known before."""
    if row["graph"] is None or after.wamid is None or after.wamid == before.wamid:
        return []
    return [(TenantId(row["tenant_id"]), after.wamid, MessageId(row["id"]))]
