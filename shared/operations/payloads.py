"""What a service says of itself to operators."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import AwareDatetime, Field

from shared.http.bodies import Body
from shared.personal import Model


class QueueState(Model):
    queue: str
    waiting: int = Field(description="Bus messages that no consumer has in hand; a message is a batch of events.")
    dead: int = Field(description="Dead letters.")


class QueueStates(Model):
    data: list[QueueState]


class PoolState(Model):
    """Connections of one pool in one process."""

    name: str
    in_use: int
    idle: int
    kept_open: int
    most: int


class TableState(Model):
    name: str
    bytes: int = Field(description="With its indexes.")
    live_rows: int = Field(description="As the server estimates them.")
    dead_rows: int = Field(description="Versions that vacuum has not cleared yet: bloat, where they are many for long.")
    seq_scans: int
    seq_rows_read: int
    index_scans: int
    vacuumed_at: AwareDatetime | None = None
    analyzed_at: AwareDatetime | None = None


class UnusedIndex(Model):
    table: str
    name: str
    bytes: int


class SlowStatement(Model):
    statement: str = Field(description="With its parameters left out.")
    calls: int
    mean_ms: float
    longest_ms: float
    last_at: AwareDatetime | None = Field(None, description="Where the process itself has noted it.")


class SlowStatements(Model):
    source: str = Field(
        description="`pg_stat_statements`: of everything since the server's figures were reset, the ten with the longest mean; "
        "`process`: what took half a second or longer in the process that answers, within 24 hours."
    )
    data: list[SlowStatement]


class DatabaseState(Model):
    """The database as one service sees it: its pools, and its own schema."""

    pools: list[PoolState]
    database_bytes: int
    schema_bytes: int
    counted_since: AwareDatetime | None = Field(
        None, description="Since when the server counts scans; null: since it was made."
    )
    tables: list[TableState] = Field(description="The largest.")
    unused_indexes: list[UnusedIndex] = Field(description="Never read since then, and no guard of uniqueness.")
    slow_statements: SlowStatements


class Forget(Body):
    """What caches shall forget: what is kept of one tenant, under one prefix, or everything. Exactly one of the three."""

    tenant_id: str | None = Field(None, pattern="^tnt_[0-9a-v]{26}$")
    prefix: str | None = Field(None, min_length=1, max_length=100, pattern="^[A-Za-z0-9_:.-]+$", examples=["groups"])
    all: bool = False


class Forgotten(Model):
    entries: int = Field(description="Entries that were deleted in Redis; what processes keep by themselves goes with them.")


RESTORED_PATH: Final = "/internal/operations/restored"
"""Of the sender."""


class HeldBack(Model):
    tenant_id: str
    number_id: str
    messages: int


class RestoredState(Model):
    """What waits for a decision since the database was restored from a backup."""

    restored_at: AwareDatetime | None = Field(
        None,
        description="The last time. What was due before it may have been sent, and is not sent again by itself; null: never.",
    )
    waiting: int = Field(description="Messages that wait for a decision, of the numbers below.")
    numbers: list[HeldBack] = Field(description="Those with the most first, a thousand of them.")


class Decision(StrEnum):
    SEND = "send"
    DISCARD = "discard"


class Decide(Body):
    decision: Decision = Field(
        description="`send`: who got it before gets it twice. `discard`: it is never sent and stays `unknown`. A report that comes "
        "first makes it `sent`."
    )
    tenant_id: str | None = Field(None, max_length=100, description="Only of this tenant.")
    number_id: str | None = Field(None, max_length=100, description="Only from this number.")
    message_ids: list[str] | None = Field(None, min_length=1, max_length=1_000, description="Only these.")


class Decided(Model):
    decided: int = Field(description="Messages, by this request.")
    is_complete: bool = Field(description="False: there are more; ask again.")
