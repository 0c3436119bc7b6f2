"""Texts that wait for the models, and what these said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from shared.db.pool import Connection
from shared.db.queries import Queries

sql = Queries(Path(__file__).with_name("annotations.sql"))
BEAR_SILENCE: Final = sql["bear_silence"]
TEXTS_TO_ANNOTATE: Final = sql["texts_to_annotate"]
TEXTS_TO_ANNOTATE_AGAIN: Final = sql["texts_to_annotate_again"]
STORE_ANNOTATIONS: Final = sql["store_annotations"]
CONVERSATIONS_NUMBERED: Final = sql["conversations_numbered"]

SLOW_SECONDS: Final = 60.0


class Text(NamedTuple):
    """What an entry says."""

    entry_id: str
    sent_at: datetime
    conversation_no: int
    body: str


class Told(NamedTuple):
    """An annotation as it is kept; `entities` are pairs of kind and text."""

    entry_id: str
    sent_at: datetime
    conversation_no: int
    state: str
    language: str | None
    sentiment: float | None
    entities: Sequence[dict[str, str]] | None


async def bear_silence(connection: Connection, seconds: float) -> None:
    """Nothing may be asked for so long in this transaction; the role's limit is for those who forget theirs."""
    await connection.execute(BEAR_SILENCE, f"{seconds:.0f}s")


async def texts(connection: Connection, low: int, high: int, block: int) -> AsyncIterator[list[Text]]:
    """What transactions from `low`, up to `high`, stored, so many at a time, within the caller's transaction; nothing of entries
    without text. One transaction can have stored millions: an import's block has thousands, a migration all there was."""
    cursor = await connection.cursor(TEXTS_TO_ANNOTATE, low, high)
    while rows := await cursor.fetch(block, timeout=SLOW_SECONDS):
        yield [Text(*row) for row in rows]


async def changed_texts(connection: Connection, limit: int) -> list[Text]:
    """What was changed since it was annotated."""
    return [Text(*row) for row in await connection.fetch(TEXTS_TO_ANNOTATE_AGAIN, limit)]


async def keep(connection: Connection, model: str, told: Sequence[Told]) -> None:
    """Keep what the models said, one annotation an entry."""
    await connection.execute(
        STORE_ANNOTATIONS, model, orjson.dumps([tuple(one) for one in told]).decode(), timeout=SLOW_SECONDS
    )


async def conversation_ids(connection: Connection, conversation_nos: Collection[int]) -> list[str]:
    """The conversations with these numbers."""
    return [row["id"] for row in await connection.fetch(CONVERSATIONS_NUMBERED, list(conversation_nos))]
