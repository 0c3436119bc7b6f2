"""Keeping the lexicon."""

from __future__ import annotations

from typing import Final

from services.archive.follow import Follower
from services.archive.store import lexicon
from shared.db.pool import Pool
from shared.every import Every

LEXICON_SECONDS: Final = 5.0
"""The more rows come together, the fewer counts are written."""


def lexicon_follower(pool: Pool) -> Follower:
    """Counts the lexemes of what was stored, taken away or changed. `catch_up` leaves no word of what is gone."""
    return Follower(pool, lexicon.FOLLOWER, lexicon.count_terms)


def lexicon_job(pool: Pool) -> Every:
    """Follows the rows of search."""
    return Every("archive.lexicon", LEXICON_SECONDS, lexicon_follower(pool).step)
