"""How a search is begun: what the index is asked for, what is checked on the rows, and what can be expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from services.archive.domain.analyzer import quote
from services.archive.domain.hit import Filters
from services.archive.domain.indexing import PLAIN_TYPE, conversation_lexeme, file_lexeme, term_lexeme, type_lexeme
from services.archive.domain.query import Query
from services.archive.domain.routing import BEGINNING_COST, POSTING_COST, Listed, Odds
from services.archive.search.frequencies import Frequencies
from shared.db.pool import Connection

DIRECTION_SHARE: Final = 0.5
AUTHOR_SHARE: Final = 0.1
"""Guesses; a wrong one costs a walk."""
BEGINNING_SHARE: Final = 0.01
WORD_SHARE: Final = 0.2
"""What more entries have is checked on the rows, unless nothing is rarer: a word that nearly all candidates have only costs, and of
a beginning the index would have to read the entries of all its words."""


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for, by which tenant."""

    tenant_no: int
    query: Query
    filters: Filters


@dataclass(frozen=True, slots=True)
class Plan:
    """`drive`: operands of a tsquery, all of which the index is asked for; empty where only a walk will do. `check`: a tsquery that
    hits must meet on that; where the index was asked for all of `drive` and it `covers` this, nothing is left of it. `needed`:
    which operands `check` does not see to. `months`: the tenant's entries by month, the newest first."""

    odds: Odds
    drive: tuple[str, ...]
    needed: tuple[bool, ...]
    check: str | None
    covers: bool
    months: Sequence[tuple[datetime, int]]


class _Operand(NamedTuple):
    """Of a tsquery, with the number of entries that meet it. The index is not asked where they are more than `share` of all; for
    operands of filters it always is, because nothing else sees to them."""

    entries: int
    tsquery: str
    share: float = 1.0

    @property
    def listed(self) -> Listed:
        return Listed(self.entries, self.entries * (BEGINNING_COST if self.share == BEGINNING_SHARE else POSTING_COST))


async def make_plan(connection: Connection, frequencies: Frequencies, search: Search) -> Plan:
    """By the frequencies of all that the index knows of the search."""
    months = await frequencies.months(connection, search.tenant_no)
    total = max(1, sum(entries for _, entries in months))
    operands = sorted(await _operands(connection, frequencies, search, total))
    share = 1.0
    for operand in operands:
        share *= min(1.0, operand.entries / total)
    scope = total
    if search.filters.conversation_no is not None:
        lexeme = conversation_lexeme(search.tenant_no, search.filters.conversation_no)
        scope = max(1, (await frequencies.of(connection, [lexeme]))[lexeme])
        share = min(1.0, share * total / scope)
    share *= 1.0 if search.filters.is_outgoing is None else DIRECTION_SHARE
    share *= 1.0 if search.filters.author_no is None else AUTHOR_SHARE
    rarest = operands[0].entries if operands else total
    drive = [operand for place, operand in enumerate(operands) if place == 0 or operand.entries <= total * operand.share]
    return Plan(
        Odds(rarest, scope, share, total, len(months), tuple(operand.listed for operand in drive)),
        tuple(operand.tsquery for operand in drive),
        tuple(operand.share == 1 for operand in drive),
        _check(search),
        len(drive) == len(operands) and not search.query.unwanted and search.filters.has_file is not False,
        months,
    )


async def _operands(connection: Connection, frequencies: Frequencies, search: Search, total: int) -> list[_Operand]:
    """Of the words, then of the filters that the index has lexemes for."""
    tenant_no, wanted = search.tenant_no, search.query.wanted
    words = [[] if want.prefix else [term_lexeme(tenant_no, term) for term in (want.term, *want.near)] for want in wanted]
    marks = _marks(search)
    known = await frequencies.of(connection, {lexeme for lexemes in (*words, *marks) for lexeme in lexemes})
    found = []
    for want, lexemes in zip(wanted, words, strict=True):
        entries = sum(known[lexeme] for lexeme in lexemes)
        if want.prefix:
            entries = (await frequencies.completions(connection, tenant_no, want.term)).entries
        found.append(_Operand(min(entries, total), want.tsquery(tenant_no), BEGINNING_SHARE if want.prefix else WORD_SHARE))
    found += [_Operand(sum(known[lexeme] for lexeme in lexemes), f"({' | '.join(map(quote, lexemes))})") for lexemes in marks]
    return found


def _marks(search: Search) -> list[list[str]]:
    """Lexemes of the filters; one of each list will do."""
    filters, tenant_no = search.filters, search.tenant_no
    found = []
    if filters.conversation_no is not None:
        found.append([conversation_lexeme(tenant_no, filters.conversation_no)])
    if filters.types and PLAIN_TYPE not in filters.types:
        found.append([type_lexeme(tenant_no, type_) for type_ in filters.types])
    if filters.has_file:
        found.append([file_lexeme(tenant_no)])
    return found


def _check(search: Search) -> str | None:
    """What has no column of its own in the rows."""
    filters, tenant_no = search.filters, search.tenant_no
    parts = [search.query.tsquery(tenant_no)]
    if filters.has_file is not None:
        parts.append(f"{'' if filters.has_file else '!'}{quote(file_lexeme(tenant_no))}")
    return " & ".join(part for part in parts if part) or None
