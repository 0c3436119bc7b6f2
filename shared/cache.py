"""What was read before, kept in Redis for a while; never older than the last write that it was told of.

An entry is a hash: `v`, a word that occurs once, and `d`, the data. Who misses finds the entry's word or leaves a new one, reads
the database, and stores what was found only if that word is still there. Whoever has written deletes the entry after the commit,
its word too: what was read before is not kept, however long the reading took. Within a process those who miss under one word share
one reading.

While Redis is away everything is a miss, nothing is an error, and nobody waits for it more than once a second; what could not be
deleted is deleted before the first entry is trusted again. A writer that dies between its commit and the deletion leaves an entry
behind for as long as it was to be kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.ids import new_id

log = structlog.get_logger(__name__)

LONGEST_SECONDS: Final = 3_600
"""No entry is kept longer."""
_WORD_SECONDS: Final = 60
"""What takes longer to read is not kept."""
_AWAY_SECONDS: Final = 1.0
_DELETED_AT_ONCE: Final = 1_000

# Takes an entry, a new word and its seconds; returns the data and the word, which is the new one where there was none.
_LOOK: Final = """
local found = redis.call('HMGET', KEYS[1], 'd', 'v')
if found[2] then return found end
redis.call('HSET', KEYS[1], 'v', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return {false, ARGV[1]}
"""
# Takes an entry, the word under which the data was read, the data, and how many seconds it is kept.
_FILL: Final = """
if redis.call('HGET', KEYS[1], 'v') ~= ARGV[1] then return end
redis.call('HSET', KEYS[1], 'd', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
"""

T = TypeVar("T")
Load = Callable[[], Awaitable[bytes | None]]
"""Reads what the cache does not have; None is not kept."""


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """Reads since the process started. `away` are those of the misses that Redis was not there for."""

    hits: int
    misses: int
    away: int

    @property
    def hit_ratio(self) -> float:
        """0 to 1; 0 before the first read."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else 0.0


class _AbandonedError(Exception):
    """Whoever was reading was cancelled; those who waited for it read themselves."""


def key_of(*parts: str) -> str:
    """`groups:tnt_…:grp_…`."""
    return ":".join(parts)


class Cache:
    """`redis` should have short timeouts and not retry (`shared.redis`)."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._look = redis.register_script(_LOOK)
        self._fill = redis.register_script(_FILL)
        self._reading: dict[tuple[str, bytes], asyncio.Future[bytes | None]] = {}
        self._owed: dict[str, float] = {}
        """Entries to be deleted, with the time at which they will have ended by themselves."""
        self._is_away = False
        self._away_until = 0.0
        self._hits = self._misses = self._misses_away = 0

    @property
    def counts(self) -> CacheCounts:
        return CacheCounts(self._hits, self._misses, self._misses_away)

    async def get_or_set(self, key: str, seconds: int, load: Load) -> bytes | None:
        """What is kept under `key`, or else what `load` finds, which is then kept for `seconds`. Raises what `load` raises."""
        if not 0 < seconds <= LONGEST_SECONDS:
            raise ValueError(f"an entry is kept for 1 to {LONGEST_SECONDS} seconds")
        while True:
            looked = await self._try(lambda: self._looked(key))
            if looked is None:
                self._misses += 1
                self._misses_away += 1
                return await load()
            data, word = looked
            if data is not None:
                self._hits += 1
                return data
            try:
                found = await self._read(key, word, seconds, load)
            except _AbandonedError:
                continue
            self._misses += 1
            return found

    async def invalidate(self, *keys: str) -> None:
        """Call it after the commit: whoever reads one of these from now on sees what is committed by now. Never fails, twice is
        safe; other processes trust an entry that could not be deleted until this one has reached Redis again."""
        now = asyncio.get_running_loop().time()
        for key in keys:
            self._owed.pop(key, None)  # so that they stand in the order in which they end
            self._owed[key] = now + LONGEST_SECONDS
        while self._owed and self._owed[first := next(iter(self._owed))] < now:
            del self._owed[first]
        await self._try(self._delete_owed)

    async def _looked(self, key: str) -> tuple[bytes | None, bytes]:
        await self._delete_owed()
        data, word = await self._look(keys=[key], args=[new_id("wrd"), _WORD_SECONDS])
        return data, word

    async def _delete_owed(self) -> None:
        while owed := dict(islice(self._owed.items(), _DELETED_AT_ONCE)):
            pipeline = self._redis.pipeline(transaction=False)
            for key in owed:
                pipeline.delete(key)
            await pipeline.execute()
            for key, until in owed.items():
                if self._owed.get(key) == until:  # else it was written again meanwhile
                    del self._owed[key]

    async def _read(self, key: str, word: bytes, seconds: int, load: Load) -> bytes | None:
        other = self._reading.get((key, word))
        if other is not None:
            return await asyncio.shield(other)  # one who waits may be cancelled alone
        reading = self._reading[key, word] = asyncio.get_running_loop().create_future()
        try:
            found = await load()
            reading.set_result(found)
            if found is not None:
                data = found
                await self._try(lambda: self._fill(keys=[key], args=[word, data, seconds]))
            return found
        except BaseException as error:  # canceled too: those who wait with it must hear of it
            if not reading.done():
                reading.set_exception(error if isinstance(error, Exception) else _AbandonedError())
                reading.exception()  # perhaps nobody waits for it, which is no reason to complain
            raise
        finally:
            del self._reading[key, word]

    async def _try(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """The answer; None while Redis is away, which one caller a second finds out."""
        now = asyncio.get_running_loop().time()
        if self._is_away:
            if now < self._away_until:
                return None
            self._away_until = now + _AWAY_SECONDS
        try:
            answer = await ask()
        except (RedisError, OSError) as error:
            self._away_until = asyncio.get_running_loop().time() + _AWAY_SECONDS
            if not self._is_away:
                self._is_away = True
                log.warning("cache.redis_away", error=type(error).__name__)
            return None
        if self._is_away:
            self._is_away = False
            log.info("cache.redis_back")
        return answer
