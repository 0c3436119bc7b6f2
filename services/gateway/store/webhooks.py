"""Payloads between their 200 and their events, and the inbound messages already taken.

A payload of some length is kept compressed: to a tenth, and PostgreSQL writes every byte twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.events.codec import packed, unpacked
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("queries.sql"))
INSERT_WEBHOOKS: Final = sql["insert_webhooks"]
INSERT_SPOOLED_WEBHOOKS: Final = sql["insert_spooled_webhooks"]
CLAIM_WEBHOOKS: Final = sql["claim_webhooks"]
DELETE_WEBHOOKS: Final = sql["delete_webhooks"]
QUARANTINE_WEBHOOKS: Final = sql["quarantine_webhooks"]
INSERT_INBOUND: Final = sql["insert_inbound"]

NOBODY: Final = TenantId("")
"""Of payloads that are signed and nobody's alone: several tenants have the secret, and nothing says which of them is meant. They
are for operators."""
NOBODYS: Final = "nobody's alone"

Payload = tuple[TenantId, bytes, str | None]
"""Of (tenant, body, trace context)."""


class Waiting(NamedTuple):
    """A payload that is to be read."""

    id: int
    tenant_id: TenantId
    body: bytes
    traceparent: str | None


async def insert(pool: Pool, payloads: Sequence[Payload]) -> None:
    """Payloads, durable when this returns."""
    await pool.execute(INSERT_WEBHOOKS, *_columns(payloads), NOBODYS)


async def insert_spooled(pool: Pool, payloads: Sequence[Payload], came_at: Sequence[datetime]) -> None:
    """Payloads that came at these moments, durable when this returns."""
    await pool.execute(INSERT_SPOOLED_WEBHOOKS, *_columns(payloads), came_at, NOBODYS)


async def claim(connection: Connection, *, limit: int, limit_bytes: int) -> list[Waiting]:
    """The oldest that wait, locked until the transaction ends: so many, and so many bytes of them, at most, but one at least."""
    rows = await connection.fetch(CLAIM_WEBHOOKS, limit, limit_bytes)
    return [Waiting(row["id"], row["tenant_id"], whole(row["body"], row["length"]), row["traceparent"]) for row in rows]


async def delete(connection: Connection, ids: Sequence[int]) -> None:
    await connection.execute(DELETE_WEBHOOKS, ids)


async def quarantine(connection: Connection, reasons: dict[int, str]) -> None:
    """Set payloads aside, each with its reason."""
    await connection.execute(QUARANTINE_WEBHOOKS, list(reasons), list(reasons.values()))


async def new_inbound(connection: Connection, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which of these (number, wamid) had not been taken before; they are now."""
    rows = await connection.fetch(INSERT_INBOUND, [k[0] for k in keys], [k[1] for k in keys])
    return {(row["number_id"], row["wamid"]) for row in rows}


def _columns(payloads: Sequence[Payload]) -> tuple[Sequence[object], ...]:
    return (
        [tenant_id for tenant_id, _, _ in payloads],
        [min(packed(body), body, key=len) for _, body, _ in payloads],
        [len(body) for _, body, _ in payloads],
        [traceparent for _, _, traceparent in payloads],
    )


def whole(kept: bytes, length: int) -> bytes:
    """What came. Only what is shorter than it was is compressed: what else looks so was sent like that."""
    return kept if len(kept) == length else unpacked(kept)
