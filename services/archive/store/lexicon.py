"""The lexicon: how many entries each lexeme is in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from services.archive.follow import STEP_SECONDS, Span
from shared.db.pool import Connection
from shared.db.queries import Queries

sql = Queries(Path(__file__).with_name("lexicon.sql"))
COUNT_TERMS: Final = sql["count_terms"]
FORGET_TERMS: Final = sql["forget_terms"]
FREQUENCIES: Final = sql["frequencies"]
COMPLETIONS: Final = sql["completions"]
NEAR_LEXEMES: Final = sql["near_lexemes"]

FOLLOWER: Final = "lexicon"
"""The lexicon's name among the followers; its row is made by the migration."""
CHANGES_AT_ONCE: Final = 20_000


class Completions(NamedTuple):
    """The lexemes of a range that most entries have, how many there are of all in it, and the sum of their entries."""

    first: tuple[tuple[str, int], ...]
    lexemes: int
    entries: int


async def count_terms(connection: Connection, span: Span) -> bool:
    """Count the lexemes of the span's rows, and what was taken away or changed since; lexemes without entries go. True where more
    has changed. The effect of a `Follower`."""
    row = await connection.fetchrow(COUNT_TERMS, span.low, span.high, CHANGES_AT_ONCE, timeout=STEP_SECONDS)
    assert row is not None
    if row["fewer"]:
        await connection.execute(FORGET_TERMS, row["fewer"], timeout=STEP_SECONDS)
    return bool(row["changes"] >= CHANGES_AT_ONCE)


async def frequencies(connection: Connection, lexemes: Collection[str]) -> dict[str, int]:
    """In how many entries each lexeme is, as far as it is known."""
    return {row["lexeme"]: row["entries"] for row in await connection.fetch(FREQUENCIES, list(lexemes))}


async def completions(connection: Connection, prefix: str, limit: int) -> Completions:
    """The lexemes that begin so."""
    rows = await connection.fetch(COMPLETIONS, prefix, f"{prefix}\U0010ffff", limit)
    found = tuple((row["lexeme"], row["entries"]) for row in rows)
    return Completions(found, rows[0]["lexemes"], rows[0]["all_entries"]) if rows else Completions((), 0, 0)


async def near_lexemes(connection: Connection, lexemes: Sequence[str]) -> list[tuple[str, str, int]]:
    """To each lexeme those that may be a typing error away, with their entries, the most frequent first."""
    rows = await connection.fetch(NEAR_LEXEMES, lexemes)
    return [(row["asked"], row["lexeme"], row["entries"]) for row in rows]
