"""A page of hits, newest first: each way of finding them is a statement of its own; one that disappoints goes over to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from services.archive.domain.analyzer import quote
from services.archive.domain.hit import BEGINNING, Hit, Spot
from services.archive.domain.indexing import day_lexeme, month_lexeme
from services.archive.domain.routing import (
    MONTH_DAYS,
    WALKED_ROWS,
    WIDER,
    Span,
    Way,
    first_entries,
    helpful,
    month_of,
    next_days,
    next_entries,
    next_months,
    way,
)
from services.archive.search.plan import Plan, Search
from services.archive.store import search as store
from services.archive.store.search import Block
from shared.clock import Clock
from shared.db.pool import Connection

CAP: Final = 10_000
"""Matches that one statement collects, at most: some 12 ms."""
PHRASE_BLOCK: Final = 500
PHRASE_TIMES: Final = 8
"""Phrases are checked on so many texts at a time, at most, and on so many times the hits that are wanted."""
STEPS: Final = 12
PATIENCE_SECONDS: Final = 0.25
"""After so many statements or so long a page is given as far as it has come, with a cursor to go on from."""
MONTHS_AT_ONCE: Final = 24
NEARLY_ALL: Final = 0.6
"""With more months, or where they hold more than this share of all entries, their lexemes would cost more than they save."""


@dataclass(frozen=True, slots=True)
class Found:
    """Hits, newest first. `next` is where to go on, None where nothing is left; `newest_row` is of the table when the search began.
    `count`: of all hits, or an estimate, of the first page."""

    hits: tuple[Hit, ...]
    next: Spot | None
    newest_row: int
    count: int
    is_exact: bool


class Finder:
    """Collects the hits of one page."""

    def __init__(self, connection: Connection, clock: Clock, search: Search, plan: Plan, after: Spot, newest_row: int) -> None:
        self._connection = connection
        self._clock = clock
        self._query = search.query
        self._plan = plan
        self._wanted = store.Wanted(search.tenant_no, search.filters, plan.check, newest_row, search.query.ascii_pattern)
        self._place: Spot | None = min(after, Spot(search.filters.until, -1)) if search.filters.until < BEGINNING.at else after
        self._hits: list[Hit] = []
        self._count: int | None = None
        self._entries = 0
        # Whether texts have to be turned down here: PostgreSQL sees to phrases in ASCII only.
        self._is_picky = self._query.has_phrases and self._wanted.pattern is None

    async def page(self, limit: int) -> Found:
        """At most so many hits. A page can be short, even empty, with `next` set: each call looks at a bounded number of entries,
        phrases are checked on texts, and the index does not know of every filter."""
        looked_at = (limit + 1) * (PHRASE_TIMES if self._query.has_phrases else 1)
        self._entries = first_entries(self._plan.odds, looked_at)
        is_walk = self._wanted.filters.label is not None or not self._plan.drive
        going = Way.WALK if is_walk else way(self._plan.odds, looked_at)
        until = self._clock.monotonic() + PATIENCE_SECONDS
        steps, began = 0, self._place
        while self._place is not None and len(self._hits) <= limit:
            # Never before it has come any further: the next page would begin, and end, at the same place.
            if self._place != began and (steps >= STEPS or self._clock.monotonic() >= until):
                break
            going = await self._step(going, self._place, limit + 1 - len(self._hits))
            steps += 1
        if len(self._hits) > limit:
            self._place = self._hits[limit - 1].spot
        hits = tuple(self._hits[:limit])
        newest = self._wanted.newest_row
        if self._place is None:
            return Found(hits, None, newest, len(hits), is_exact=True)
        if self._count is not None and not self._query.has_phrases:
            return Found(hits, self._place, newest, self._count, is_exact=True)
        return Found(hits, self._place, newest, max(len(hits), self._plan.odds.expected), is_exact=False)

    async def _step(self, going: Way, after: Spot, needed: int) -> Way:
        limit = min(needed * PHRASE_TIMES, PHRASE_BLOCK) if self._is_picky else needed
        match going:
            case Way.ALL:
                return await self._all(after, limit)
            case Way.WALK:
                block, self._place = await store.walk(self._connection, self._wanted, after, limit, WALKED_ROWS)
                self._take(block)
                cannot_ask = not self._plan.drive or not self._plan.months or self._wanted.filters.label is not None
                return Way.WALK if cannot_ask or len(block.hits) == limit else Way.SPANS
            case Way.SPANS:
                return await self._span(after, limit)

    async def _all(self, after: Spot, limit: int) -> Way:
        block = await self._matches(after, limit, self._plan.drive)
        if block.found is not None and block.found >= CAP:  # more than the lexicon knows of
            return Way.SPANS if self._plan.months else Way.WALK
        self._count = block.found if self._count is None else self._count
        self._take(block)
        self._place = block.hits[-1].spot if len(block.hits) == limit else None
        return Way.ALL

    async def _span(self, after: Spot, limit: int) -> Way:
        span = await self._next_span(after)
        if span is None:
            self._place = None
            return Way.SPANS
        of_span = self._of(span)
        block = await self._matches(after, limit, self._drive(span) if of_span else self._plan.drive, of_span)
        if block.found is not None and block.found >= CAP:
            # They are more than was expected, so the next ones are near, and nothing narrower has to be asked for first.
            self._entries //= WIDER
            return Way.WALK
        self._take(block)
        if len(block.hits) == limit:
            self._place = block.hits[-1].spot
        else:
            self._place = None if span.is_last or not of_span else Spot(span.oldest, -1)
            self._entries = next_entries(self._entries, len(block.hits), limit - len(block.hits))
        return Way.SPANS

    async def _matches(self, after: Spot, limit: int, drive: Sequence[str], of_span: Sequence[str] = ()) -> Block:
        is_covered = self._plan.covers and len(drive) == len(self._plan.drive)
        wanted = self._wanted._replace(check=None) if is_covered else self._wanted
        return await store.matches(self._connection, wanted, after, limit, " & ".join((*drive, *of_span)), CAP)

    async def _next_span(self, after: Spot) -> Span | None:
        """Days, where a few of them will do; otherwise months."""
        counts, odds, since = self._plan.months, self._plan.odds, self._wanted.filters.since
        # A place before all rows of its moment leaves nothing of a month that begins with it.
        last = after.at if after.row_no >= 0 else after.at - timedelta(microseconds=1)
        newest = min(month_of(last), max(counts[0][0], month_of(self._clock.now())))
        months = next_months(counts, newest, month_of(since), odds.given, self._entries)
        if months is None or months.newest > months.oldest:
            return months
        first = await store.first_moment(self._connection, self._wanted, after)
        return (first and next_days(counts, first, since, odds.given, self._entries)) or months

    def _drive(self, span: Span) -> list[str]:
        """What the index is asked for besides the span: not for lists that take longer to read than the span's rows."""
        counts, odds = self._plan.months, self._plan.odds
        entries: float = sum(entries for month, entries in counts if month_of(span.oldest) <= month <= span.newest)
        if span.is_days:
            entries *= min(1.0, len(span.each()) / MONTH_DAYS)
        helps = helpful(odds, entries)
        return [
            operand
            for operand, is_needed, does_help in zip(self._plan.drive, self._plan.needed, helps, strict=True)
            if is_needed or does_help
        ]

    def _of(self, span: Span) -> list[str]:
        """What the index is asked for a span by; nothing where it is asked for all of time."""
        if span.is_days:
            lexemes = [day_lexeme(self._wanted.tenant_no, day) for day in span.each()]
        else:
            counts, each = self._plan.months, span.each()
            covered = sum(entries for month, entries in counts if span.oldest <= month <= span.newest)
            if len(each) > MONTHS_AT_ONCE or covered >= NEARLY_ALL * sum(entries for _, entries in counts):
                return []
            lexemes = [month_lexeme(self._wanted.tenant_no, month) for month in each]
        return [f"({' | '.join(map(quote, lexemes))})"]

    def _take(self, block: Block) -> None:
        if self._wanted.newest_row == BEGINNING.row_no and block.newest_row is not None:
            self._wanted = self._wanted._replace(newest_row=block.newest_row)
        met = [hit for hit in block.hits if self._query.is_met_by(hit.body)]
        self._is_picky = self._is_picky or len(met) < len(block.hits)
        self._hits += met
