"""Answer a search: the plan, the page, and what is told beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

import asyncpg

from services.archive.domain.analyzer import is_word
from services.archive.domain.hit import BEGINNING, Filters, Hit, Neighbour, Spot
from services.archive.domain.indexing import term_lexeme
from services.archive.domain.query import Query
from services.archive.domain.relevance import score, weights
from services.archive.search.find import Finder, Found
from services.archive.search.frequencies import Frequencies
from services.archive.search.months import Month, by_month
from services.archive.search.plan import Plan, Search, make_plan
from services.archive.store import search as store
from services.archive.tenants import Tenants
from shared.clock import Clock
from shared.db.pool import Connection, Pool
from shared.errors import Rejected
from shared.ids import TenantId
from shared.telemetry.catalogue import SEARCH_DURATION_SECONDS
from shared.telemetry.metrics import Metrics

CANDIDATES: Final = 250
"""The newest hits, of which the most relevant are told."""
PAGES_WITHOUT_HITS: Final = 8
"""Each takes some `PATIENCE_SECONDS` at most."""
NEIGHBOUR_CHARS: Final = 200
NEAR_CHARS: Final = 4
"""Shorter words have no near ones: everything would be near."""
KNOWN_NUMBERS: Final = 20_000
NEAR: Final = "near"
"""The kind of search that allows for typing errors, whatever its order."""


class Order(StrEnum):
    NEWEST = "newest"
    RELEVANCE = "relevance"


@dataclass(frozen=True, slots=True)
class Start:
    """Where a page goes on. `newest_row`: rows that were stored later do not count. By relevance: `score` and `row_no` of the last
    hit, and `at` is the moment that what is recent is measured from."""

    at: datetime
    row_no: int = BEGINNING.row_no
    newest_row: int = BEGINNING.row_no
    score: int | None = None


FIRST: Final = Start(BEGINNING.at)


@dataclass(frozen=True, slots=True)
class Asked:
    """A search in the reader's terms. `filters` are without the conversation and the author, which are given by their ids."""

    query: Query
    filters: Filters = field(default_factory=Filters)
    conversation_id: str | None = None
    participant_id: str | None = None
    order: Order = Order.NEWEST
    typos: bool = False
    context: int = 0
    months: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A page. `query` is what was searched for in the end, near terms included. Of the first page only: `count` and whether it is
    exact, `months`, and `near` terms where nothing was found."""

    hits: tuple[Hit, ...]
    next: Start | None
    query: Query
    count: int | None = None
    is_exact: bool = True
    months: tuple[list[Month], bool] | None = None
    near: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    context: Mapping[int, tuple[list[Neighbour], list[Neighbour]]] = field(default_factory=dict)


class Searcher:
    """Answers searches on connections of their own, as many as PostgreSQL has cores for: what waits here costs nothing there."""

    def __init__(self, pool: Pool, tenants: Tenants, metrics: Metrics, clock: Clock) -> None:
        self._pool = pool
        self._tenants = tenants
        self._metrics = metrics
        self._clock = clock
        self._frequencies = Frequencies(clock)
        self._conversations: dict[tuple[TenantId, str], int] = {}

    async def answer(self, tenant: TenantId, asked: Asked, start: Start, limit: int) -> Answer:
        """A page of at most so many hits. Raises `Rejected`: 404 for a conversation or participant that the tenant does not have,
        503 where all connections stay busy or a statement takes too long."""
        began = self._clock.monotonic()
        try:
            return await self._wait_for(tenant, asked, start, limit)
        finally:
            kind = NEAR if asked.typos else asked.order.value
            self._metrics.observe(SEARCH_DURATION_SECONDS, self._clock.monotonic() - began, kind)

    async def _wait_for(self, tenant: TenantId, asked: Asked, start: Start, limit: int) -> Answer:
        tenant_no = await self._tenants.known(tenant)
        if tenant_no is None:
            if asked.conversation_id is not None:
                raise _no_conversation()
            if asked.participant_id is not None:
                raise _no_participant()
            return Answer((), None, asked.query, count=0)
        try:
            connection = await self._pool.acquire()
        except TimeoutError:
            raise Rejected(
                "search.busy", "Too many searches wait already; try again.", status=503, retry_after_seconds=1
            ) from None
        try:
            return await self._answer(connection, tenant, tenant_no, asked, start, limit)
        except (asyncpg.QueryCanceledError, TimeoutError):
            detail = "The search took too long. Add a word, a conversation or dates."
            raise Rejected("search.too_slow", detail, status=503, retry_after_seconds=5) from None
        finally:
            await self._pool.release(connection)

    async def _answer(
        self, connection: Connection, tenant: TenantId, tenant_no: int, asked: Asked, start: Start, limit: int
    ) -> Answer:
        filters = await self._numbered(connection, tenant, tenant_no, asked)
        query = asked.query
        if asked.typos:
            query = query.with_near(await self._near(connection, tenant_no, query))
        search = Search(tenant_no, query, filters)
        plan = await make_plan(connection, self._frequencies, search)
        is_first = start.newest_row == BEGINNING.row_no
        if asked.order is Order.NEWEST:
            found = await self._find(connection, search, plan, Spot(start.at, start.row_no), start.newest_row, limit)
            following = found.next and Start(found.next.at, found.next.row_no, found.newest_row)
            answer = Answer(found.hits, following, query)
        else:
            found = await self._candidates(connection, search, plan, start.newest_row)
            answer = await self._ranked(connection, search, plan, found, start, limit)
        if asked.context and answer.hits:
            around = await store.context_of(connection, answer.hits, asked.context, NEIGHBOUR_CHARS)
            answer = replace(answer, context=around)
        if not is_first:
            return answer
        answer = replace(answer, count=found.count, is_exact=found.is_exact)
        if asked.months:
            complete = found.hits if found.next is None else None
            months = await by_month(connection, search, plan, found.newest_row, complete)
            answer = replace(answer, months=months)
        if not found.hits and found.next is None and not asked.typos:
            answer = replace(answer, near=await self._near(connection, tenant_no, query))
        return answer

    async def _find(
        self, connection: Connection, search: Search, plan: Plan, after: Spot, newest_row: int, limit: int
    ) -> Found:
        return await Finder(connection, self._clock, search, plan, after, newest_row).page(limit)

    async def _candidates(self, connection: Connection, search: Search, plan: Plan, newest_row: int) -> Found:
        """The newest hits. A page of them that was given up before the first hit is gone on with: a list of nothing would say that
        there is none. Raises `TimeoutError` where even that finds none."""
        found = await self._find(connection, search, plan, BEGINNING, newest_row, CANDIDATES)
        for _ in range(PAGES_WITHOUT_HITS):
            if found.hits or found.next is None:
                return found
            found = await self._find(connection, search, plan, found.next, found.newest_row, CANDIDATES)
        if found.hits or found.next is None:
            return found
        raise TimeoutError

    async def _ranked(
        self, connection: Connection, search: Search, plan: Plan, found: Found, start: Start, limit: int
    ) -> Answer:
        """The page after a score, among the candidates."""
        now = self._clock.now() if start.score is None else start.at
        lexemes = {term_lexeme(search.tenant_no, want.term): want.term for want in search.query.wanted}
        known = await self._frequencies.of(connection, lexemes)
        total = max(1, sum(entries for _, entries in plan.months))
        weighed = weights(search.query, {lexemes[lexeme]: entries for lexeme, entries in known.items()}, total)
        ranked = sorted(((score(hit.body, hit.sent_at, weighed, now), hit.row_no, hit) for hit in found.hits), reverse=True)
        if start.score is not None:
            ranked = [one for one in ranked if one[:2] < (start.score, start.row_no)]
        page = ranked[:limit]
        following = Start(now, page[-1][1], found.newest_row, page[-1][0]) if len(ranked) > limit else None
        return Answer(tuple(hit for _, _, hit in page), following, search.query)

    async def _near(self, connection: Connection, tenant_no: int, query: Query) -> dict[str, tuple[str, ...]]:
        terms = [want.term for want in query.wanted if len(want.term) >= NEAR_CHARS and is_word(want.term)]
        return await self._frequencies.near(connection, tenant_no, terms) if terms else {}

    async def _numbered(self, connection: Connection, tenant: TenantId, tenant_no: int, asked: Asked) -> Filters:
        filters = asked.filters
        if asked.conversation_id is not None:
            filters = replace(filters, conversation_no=await self._conversation(connection, tenant, asked.conversation_id))
        if asked.participant_id is not None:
            author = await store.author_number(connection, tenant_no, asked.participant_id)
            if author is None or filters.conversation_no not in {None, author[1]}:
                raise _no_participant()
            filters = replace(filters, author_no=author[0], conversation_no=author[1])
        return filters

    async def _conversation(self, connection: Connection, tenant: TenantId, conversation_id: str) -> int:
        """Numbers never change; that a conversation is gone is told by what is found in it."""
        key = tenant, conversation_id
        if (number := self._conversations.get(key)) is None:
            number = await store.conversation_number(connection, tenant, conversation_id)
            if number is None:
                raise _no_conversation()
            if len(self._conversations) >= KNOWN_NUMBERS:
                self._conversations.clear()
            self._conversations[key] = number
        return number


def _no_conversation() -> Rejected:
    return Rejected("conversation.unknown", "No such conversation.", status=404)


def _no_participant() -> Rejected:
    return Rejected("participant.unknown", "No such participant, or not of this conversation.", status=404)
