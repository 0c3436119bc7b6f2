"""How many hits each month has: counted where they are few, otherwise estimated from a sample of each month."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from services.archive.domain.hit import BEGINNING, Hit, Spot
from services.archive.domain.routing import following, month_of
from services.archive.search.plan import Plan, Search
from services.archive.store import search as store
from shared.db.pool import Connection

COUNTED: Final = 20_000
"""Hits that are counted one by one, at most: some 20 ms."""
SAMPLED_ROWS: Final = 200
"""A month's newest; of a share of a tenth the estimate is right within a third, nineteen times of twenty."""


class Month(NamedTuple):
    """A month, by its first moment, and its hits."""

    month: datetime
    hits: int


async def by_month(
    connection: Connection, search: Search, plan: Plan, newest_row: int, complete: Sequence[Hit] | None
) -> tuple[list[Month], bool]:
    """The months that have hits, the newest first, and whether their numbers are exact. `complete`: all hits, if they are known."""
    if complete is not None:
        return _told(Counter(month_of(hit.sent_at) for hit in complete)), True
    filters, phrases = search.filters, search.query.has_phrases
    wanted = store.Wanted(search.tenant_no, filters, plan.check, newest_row)
    if filters.label is not None:
        start = Spot(filters.until, -1)
        block, rest = await store.walk(connection, wanted, start, COUNTED, COUNTED)
        hits = [hit for hit in block.hits if search.query.is_met_by(hit.body)]
        return _told(Counter(month_of(hit.sent_at) for hit in hits)), rest is None
    if plan.drive and (plan.odds.rarest <= COUNTED or filters.conversation_no is not None):
        counted = await store.count_months(connection, wanted, " & ".join(plan.drive))
        return _told(counted), not phrases
    months = [(month, entries) for month, entries in plan.months if month_of(filters.since) <= month < filters.until]
    bounds = [
        (max(month, filters.since), min(following(month), filters.until) if filters.until < BEGINNING.at else following(month))
        for month, _ in months
    ]
    seen = await store.sample_months(connection, wanted, bounds, SAMPLED_ROWS)
    estimated: dict[datetime, int] = {}
    for (month, entries), (starts, _) in zip(months, bounds, strict=True):
        rows, hits_of = seen[starts]
        estimated[month] = hits_of if rows < SAMPLED_ROWS else round(hits_of / rows * entries)
    return _told(estimated), False


def _told(counts: dict[datetime, int]) -> list[Month]:
    return [Month(month, count) for month, count in sorted(counts.items(), reverse=True) if count]
