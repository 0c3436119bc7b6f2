"""What readers are given again without asking the database: near by in this process, then in Redis, each for a while and never
older than the last change.

Answers stand in groups that a change makes stale as a whole: a conversation, or a tenant's lists. Whoever has committed a change
says so once, for everything it touched: `Changes.changed`. How far messages got is told by their ids alone, because no writer knows
their conversations: readers leave word in Redis which messages they show (`Reads.show`).
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Final

from services.archive.nearby import Kept, Nearby, Reading
from shared.cache import Cache, CacheCounts, alias_of, key_of
from shared.errors import Rejected

PREFIX: Final = "archive"
"""Of the entries in Redis."""
ETAG_BYTES: Final = 16
LEVEL: Final = 1
"""Of what is kept in Redis: a page is a sixth of its size then, for a fraction of what reading it took."""

AT_ONCE: Final = 12
"""Questions to Redis and the database: more of them would only contend for the same cores, and for connections."""
WAIT_SECONDS: Final = 5.0

Load = Callable[[], Awaitable[bytes | None]]
"""Reads the JSON document that is not kept; None, which is not kept either, where there is none."""


def conversation_group(conversation_id: str) -> str:
    """All that is read of one conversation."""
    return key_of(PREFIX, "c", conversation_id)


def tenant_group(tenant_id: str) -> str:
    """The lists of a tenant that any of its conversations can change."""
    return key_of(PREFIX, "t", tenant_id)


def analytics_group(subject_id: str) -> str:
    """The analytics of a conversation or of a tenant, which change when they are counted and not with every message."""
    return key_of(PREFIX, "a", subject_id)


class _AbandonedError(Exception):
    """Whoever asked was cancelled; those who waited for the answer ask themselves."""


class Changes:
    """Tells readers what has changed; without caches it tells nobody."""

    def __init__(self, cache: Cache | None = None, nearby: Nearby | None = None) -> None:
        self._cache = cache
        self._nearby = nearby

    async def changed(
        self,
        conversation_ids: Iterable[str] = (),
        tenant_ids: Iterable[str] = (),
        message_ids: Iterable[str] = (),
    ) -> None:
        """Call it after the commit, once a batch: whoever reads from now on sees what is committed by now (in other processes once
        Redis has told them, within a millisecond or so). One command to Redis; never fails.

        `conversation_ids`: entries, participants, totals or titles of theirs are others now. `tenant_ids`: so are the tenants'
        lists of conversations, as whenever an entry came, went or was read. `message_ids`: messages that got further, no more.
        """
        groups = [conversation_group(id_) for id_ in set(conversation_ids)]
        groups += [tenant_group(id_) for id_ in set(tenant_ids)]
        await self._drop(groups, [_message_alias(id_) for id_ in set(message_ids)])

    async def counted(self, conversation_ids: Iterable[str] = (), tenant_ids: Iterable[str] = ()) -> None:
        """The same of analytics: what they say of these was counted anew, or may not be said any more."""
        await self._drop([analytics_group(id_) for id_ in {*conversation_ids, *tenant_ids}])

    async def _drop(self, groups: Sequence[str], aliases: Sequence[str] = ()) -> None:
        if self._cache is None:
            return
        if self._nearby is not None:
            self._nearby.drop(groups)
        if groups or aliases:
            await self._cache.invalidate(*groups, *aliases)

    async def catch_up(self) -> None:
        """Tell what Redis was away for: until it is told, other processes give again what was before it. Costs nothing where there
        is nothing to tell."""
        if self._cache is not None:
            await self._cache.invalidate()


class Reads:
    """Gives readers what is kept, or what they load."""

    def __init__(self, cache: Cache, nearby: Nearby) -> None:
        self._cache = cache
        self.nearby = nearby
        self._asked: dict[tuple[str, str], tuple[Reading, asyncio.Future[Kept | None]]] = {}
        self._reads = self._loads = self._shared = 0
        self._room = asyncio.Semaphore(AT_ONCE)
        self.popular: Counter[str] = Counter()
        """How often each conversation was read, as long as nobody takes these counts away (`warm.py`)."""

    @property
    def levels(self) -> tuple[CacheCounts, CacheCounts, CacheCounts]:
        """Since the process started: what readers met, and what each cache, in this process and in Redis, was asked. Those were
        asked more than that: what is made ready counts there too."""
        nearby = self.nearby
        return (
            CacheCounts(self._reads - self._loads, self._loads, 0),
            CacheCounts(nearby.hits, nearby.misses, 0),
            self._cache.counts,
        )

    @property
    def counts(self) -> dict[str, object]:
        """Since the process started. `reads` are readers' questions, `hits` those of them for which no database was asked, `shared`
        those that somebody else was just asking. Each cache was asked more than that: what is made ready counts there too. `away`
        are the questions that Redis was not there for."""
        kept, nearby = self._cache.counts, self.nearby
        hits = self._reads - self._loads
        return {
            "hit_ratio": round(hits / self._reads, 4) if self._reads else 0.0,
            "reads": self._reads,
            "hits": hits,
            "shared": self._shared,
            "process": {
                "hits": nearby.hits,
                "misses": nearby.misses,
                "groups": len(nearby),
                "size_bytes": nearby.size_bytes,
            },
            "redis": {"hits": kept.hits, "misses": kept.misses, "away": kept.away},
        }

    async def get(self, group: str, field: str, seconds: int, load: Load) -> Kept | None:
        """The answer of a field of a group. The field must name the tenant and all that the answer depends on; all fields of a
        group are kept for equally long. Raises what `load` raises, and `Rejected` 503 where too many ask for too long."""
        self._reads += 1

        async def counted() -> bytes | None:
            self._loads += 1
            return await load()

        kept = self.nearby.find(group, field)
        if kept is not None:
            return kept
        while (asked := self._asked.get((group, field))) is not None and self.nearby.is_heard and not asked[0].is_void:
            try:
                kept = await asyncio.shield(asked[1])  # what nobody has changed since it was asked is everybody's answer
            except _AbandonedError:
                continue
            self._shared += 1
            return kept
        return await self._ask(group, field, seconds, counted, self._place())

    async def make_ready(self, group: str, field: str, seconds: int, load: Load) -> Kept | None:
        """As `get`, for who comes next: it is no reader's question."""
        return self.nearby.find(group, field) or await self._ask(group, field, seconds, load, self._place())

    async def beside(self, group: str, field: str, seconds: int, load: Load) -> Kept | None:
        """As `make_ready`, for what the `load` of another field needs: it is among those who ask already, and must not wait for
        another place among them."""
        return self.nearby.find(group, field) or await self._ask(group, field, seconds, load, nullcontext())

    async def _ask(
        self, group: str, field: str, seconds: int, load: Load, place: AbstractAsyncContextManager[None]
    ) -> Kept | None:
        answer: asyncio.Future[Kept | None] = asyncio.get_running_loop().create_future()
        with self.nearby.reading(group) as reading:
            mine = self._asked[group, field] = reading, answer
            try:
                kept = None
                async with place:
                    data = await self._cache.get_or_set(group, seconds, lambda: _packed(load), field)
                if data is not None:
                    kept = Kept(data[:ETAG_BYTES].decode(), zlib.decompress(data[ETAG_BYTES:]))
                    self.nearby.keep(group, field, kept, reading)
                answer.set_result(kept)
                return kept
            except BaseException as error:  # canceled too: those who wait with it must hear of it
                answer.set_exception(error if isinstance(error, Exception) else _AbandonedError())
                answer.exception()  # perhaps nobody waits for it, which is no reason to complain
                raise
            finally:
                if self._asked.get((group, field)) is mine:
                    del self._asked[group, field]

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """One of those who ask at once."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._room.acquire()
        except TimeoutError:
            raise Rejected("archive.busy", "Too many are reading now; try again.", status=503, retry_after_seconds=1) from None
        try:
            yield
        finally:
            self._room.release()

    async def show(self, conversation_id: str, message_ids: Sequence[str], seconds: int) -> None:
        """An answer about the conversation, which is kept for so many seconds, will show how far these messages got. To be awaited
        by `load` before it reads that. The word stays for as long as anybody can show the answer: who finds it in Redis at its end
        has it near by for a while longer."""
        aliases = [_message_alias(id_) for id_ in message_ids]
        await self._cache.stand_for(aliases, conversation_group(conversation_id), seconds + math.ceil(self.nearby.seconds))


async def _packed(load: Load) -> bytes | None:
    body = await load()
    return None if body is None else etag_of(body).encode() + zlib.compress(body, LEVEL)


def etag_of(body: bytes) -> str:
    """A word that changes with the bytes."""
    return hashlib.blake2b(body, digest_size=ETAG_BYTES // 2).hexdigest()


def _message_alias(message_id: str) -> str:
    return alias_of("archive", "m", message_id)
