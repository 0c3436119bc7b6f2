"""Find entries by their words, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.archive.domain.query import Query
from services.archive.domain.reading import FoundEntry, Place
from services.archive.store import read
from shared.db.pool import Pool
from shared.ids import TenantId

PHRASE_BLOCK: Final = 200
PHRASE_BLOCKS: Final = 5
"""A phrase is checked on the text of entries that hold its words: so many at a time, so often for one page."""


@dataclass(frozen=True, slots=True)
class Found:
    """A page of matches. `next` is where to go on; None where nothing is left."""

    entries: tuple[FoundEntry, ...]
    next: Place | None


async def search(pool: Pool, tenant: TenantId, query: Query, after: Place, limit: int) -> Found:
    """The page of at most `limit` matches after a place.

    A page of a phrase whose words are common but seldom hang together can be short, even empty, with `next` set: each call
    looks at a bounded number of entries.
    """
    if query.is_empty:
        return Found((), None)
    if not query.phrases:
        entries = await read.search(pool, tenant, query.tsquery(), after, limit + 1)
        page = tuple(entries[:limit])
        return Found(page, page[-1].place if len(entries) > limit else None)
    hits: list[FoundEntry] = []
    for _ in range(PHRASE_BLOCKS):
        block = await read.search(pool, tenant, query.tsquery(), after, PHRASE_BLOCK)
        for entry in block:
            if query.is_met_by(entry.body):
                if len(hits) == limit:
                    return Found(tuple(hits), hits[-1].place)
                hits.append(entry)
            after = entry.place
        if len(block) < PHRASE_BLOCK:
            return Found(tuple(hits), None)
    return Found(tuple(hits), after)
