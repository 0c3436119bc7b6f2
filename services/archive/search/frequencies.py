"""How frequent words are, remembered for a while: searches are routed by it, so being a little behind costs time, nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar

from rapidfuzz.distance import OSA

from services.archive.domain.indexing import month_lexeme, term_lexeme
from services.archive.store import lexicon
from services.archive.store.lexicon import Completions
from shared.clock import Clock
from shared.db.pool import Connection

KEPT_SECONDS: Final = 30.0
KEPT_ANSWERS: Final = 20_000
"""Of each kind; some megabytes."""
COMPLETIONS: Final = 20
NEAR_TERMS: Final = 5
LONG_CHARS: Final = 8
"""Words of so many letters may have two typing errors, shorter ones one."""


_SOME_MONTH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_SOME_MONTH_DIGITS: Final = "200001"

T = TypeVar("T")


class Frequencies:
    """The lexicon as this process remembers it."""

    def __init__(self, clock: Clock) -> None:
        self._entries: _Kept[int] = _Kept(clock)
        self._months: _Kept[Sequence[tuple[datetime, int]]] = _Kept(clock)
        self._completions: _Kept[Completions] = _Kept(clock)

    async def of(self, connection: Connection, lexemes: Collection[str]) -> dict[str, int]:
        """In how many entries each lexeme is; 0 where it is not known."""
        found = {lexeme: entries for lexeme in lexemes if (entries := self._entries.get(lexeme)) is not None}
        if missing := [lexeme for lexeme in lexemes if lexeme not in found]:
            new = dict.fromkeys(missing, 0) | await lexicon.frequencies(connection, missing)
            self._entries.keep(new)
            found |= new
        return found

    async def months(self, connection: Connection, tenant_no: int) -> Sequence[tuple[datetime, int]]:
        """The tenant's months that have entries, by their first moments, and how many; the newest first."""
        prefix = month_lexeme(tenant_no, _SOME_MONTH).removesuffix(_SOME_MONTH_DIGITS)
        if (kept := self._months.get(prefix)) is not None:
            return kept
        found = await lexicon.completions(connection, prefix, 12 * 100)
        months = sorted(((_month(lexeme[len(prefix) :]), entries) for lexeme, entries in found.first), reverse=True)
        self._months.keep({prefix: months})
        return months

    async def completions(self, connection: Connection, tenant_no: int, beginning: str) -> Completions:
        """The tenant's lexemes of words that begin so."""
        prefix = term_lexeme(tenant_no, beginning)
        if (kept := self._completions.get(prefix)) is not None:
            return kept
        found = await lexicon.completions(connection, prefix, COMPLETIONS)
        self._completions.keep({prefix: found})
        return found

    async def near(self, connection: Connection, tenant_no: int, terms: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """To each word those that are a typing error or two away: the nearest, then the most frequent first."""
        before = len(term_lexeme(tenant_no, ""))
        asked = [term_lexeme(tenant_no, term) for term in terms]
        found: dict[str, list[tuple[int, int, str]]] = {}
        for lexeme, near, entries in await lexicon.near_lexemes(connection, asked):
            term, other = lexeme[before:], near[before:]
            limit = 2 if len(term) >= LONG_CHARS else 1
            if (distance := OSA.distance(term, other, score_cutoff=limit)) <= limit:
                found.setdefault(term, []).append((distance, -entries, other))
        return {term: tuple(other for _, _, other in sorted(ranked)[:NEAR_TERMS]) for term, ranked in found.items()}


class _Kept(Generic[T]):
    """Answers for `KEPT_SECONDS`. All are dropped when they become too many, which is seldom."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._answers: dict[str, tuple[float, T]] = {}

    def get(self, key: str) -> T | None:
        kept = self._answers.get(key)
        return kept[1] if kept is not None and kept[0] > self._clock.monotonic() else None

    def keep(self, answers: Mapping[str, T]) -> None:
        if len(self._answers) + len(answers) > KEPT_ANSWERS:
            self._answers.clear()
        until = self._clock.monotonic() + KEPT_SECONDS
        self._answers.update((key, (until, answer)) for key, answer in answers.items())


def _month(digits: str) -> datetime:
    """Of YYYYMM."""
    return datetime(int(digits[:4]), int(digits[4:]), 1, tzinfo=UTC)
