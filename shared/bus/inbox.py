"""The inbox: effects once, for events whose effect has no natural key of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar

from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.events.event import Event

_sql = Queries(Path(__file__).with_name("outbox_queries.sql"))
INSERT_INBOX: Final = _sql["insert_inbox"]
PRUNE_INBOX: Final = _sql["prune_inbox"]

E = TypeVar("E", bound=Event)


async def unseen(connection: Connection, subscription: str, events: Sequence[E]) -> list[E]:
    """The events this subscription has not handled before, each once, in order.

    Must run in the transaction of the effect: rolled back together, they are unseen again.
    """
    if not events:
        return []
    rows = await connection.fetch(INSERT_INBOX, subscription, [event.event_id for event in events])
    new = {row["event_id"] for row in rows}
    first: list[E] = []
    for event in events:
        if event.event_id in new:
            new.discard(event.event_id)
            first.append(event)
    return first


async def prune(pool: Pool, *, days: int, limit: int) -> bool:
    """Forget what was seen more than `days` ago, longer than any event can be on its way; True where there may be more of it."""
    done = await pool.execute(PRUNE_INBOX, days, limit)
    return done == f"DELETE {limit}"
