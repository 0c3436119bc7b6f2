"""What was read before, kept in Redis for a while; never older than the last write that it was told of.

An entry is a hash: `v`, a word that occurs once, and its data: one field, or several that one write makes all stale. Who misses
finds the entry's word or leaves a new one, reads the database, and stores what was found only if that word is still there. Whoever
has written deletes the entry after the commit, its word too: what was read before is not kept, however long the reading took.
Within a process those who miss under one word share one reading.

Where a writer does not know the entry, a reader can leave an alias of it, by what the writer does know, before it reads. Whoever
keeps entries nearer than Redis can subscribe to a channel that says which ones were deleted.

While Redis is away everything is a miss, nothing is an error, and nobody waits for it more than once a second; what could not be
deleted is deleted before the first entry is trusted again. A writer that dies between its commit and the deletion leaves an entry
behind for as long as it was to be kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.ids import new_id
from shared.telemetry.catalogue import CACHE_READS_TOTAL
from shared.telemetry.metrics import Reading

log = structlog.get_logger(__name__)

LONGEST_SECONDS: Final = 3_600
"""No entry is kept longer."""
_WORD_SECONDS: Final = 60
"""What takes longer to read is not kept."""
_AWAY_SECONDS: Final = 1.0
_DELETED_AT_ONCE: Final = 4_096
_MOST_FIELDS: Final = 32
"""An entry does not grow further: what is asked for seldom is not worth the room."""
_ALIAS: Final = "alias:"

# Takes an entry, a new word and its seconds, and a field; returns the data and the word, which is the new one where there was none.
_LOOK: Final = """
local found = redis.call('HMGET', KEYS[1], ARGV[3], 'v')
if found[2] then return found end
redis.call('HSET', KEYS[1], 'v', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return {false, ARGV[1]}
"""
# Takes an entry, the word under which the data was read, the data, how many seconds it is kept, and its field. Of several fields
# the first one says how long.
_FILL: Final = f"""
if redis.call('HGET', KEYS[1], 'v') ~= ARGV[1] then return end
local size = redis.call('HLEN', KEYS[1])
if size > {_MOST_FIELDS} then return end
redis.call('HSET', KEYS[1], ARGV[4], ARGV[2])
if size == 1 then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
"""
# Takes aliases, and the entry and the seconds that they stand for.
_STAND_FOR: Final = """
for _, alias in ipairs(KEYS) do redis.call('SET', alias, ARGV[1], 'EX', ARGV[2]) end
"""
# Takes entries, then aliases, how many entries there are, and the channel that is told, or ''; deletes the entries, the aliases and
# what they stand for.
_DELETE: Final = """
local count = tonumber(ARGV[1])
local gone, seen = {}, {}
for i = 1, count do gone[i] = KEYS[i] end
if count < #KEYS then
    for _, entry in ipairs(redis.call('MGET', unpack(KEYS, count + 1))) do
        if entry and not seen[entry] then
            seen[entry] = true
            gone[#gone + 1] = entry
            redis.call('UNLINK', entry)
        end
    end
end
redis.call('UNLINK', unpack(KEYS))
if ARGV[2] ~= '' and #gone > 0 then redis.call('PUBLISH', ARGV[2], table.concat(gone, '\\n')) end
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

    def readings(self, cache: str) -> list[Reading]:
        """For the metrics; `cache` is the name that they show."""
        misses = self.misses - self.away
        return [
            Reading(CACHE_READS_TOTAL, reads, (cache, result))
            for result, reads in (("hit", self.hits), ("miss", misses), ("away", self.away))
        ]


class _AbandonedError(Exception):
    """Whoever was reading was cancelled; those who waited for it read themselves."""


def key_of(*parts: str) -> str:
    """`groups:tnt_…:grp_…`."""
    return ":".join(parts)


def alias_of(*parts: str) -> str:
    """The name of an alias, to be used as a key: invalidating it invalidates the entry that it stands for."""
    return _ALIAS + ":".join(parts)


class Cache:
    """`redis` should have short timeouts and not retry (`shared.redis`). `channel` hears what was deleted, a line each."""

    def __init__(self, redis: Redis, *, channel: str = "") -> None:
        self._channel = channel
        self._look = redis.register_script(_LOOK)
        self._fill = redis.register_script(_FILL)
        self._delete = redis.register_script(_DELETE)
        self._stand_for = redis.register_script(_STAND_FOR)
        self._reading: dict[tuple[str, str, bytes], asyncio.Future[bytes | None]] = {}
        self._owed: dict[str, float] = {}
        """Entries to be deleted, with the time at which they will have ended by themselves."""
        self._is_away = False
        self._away_until = 0.0
        self._hits = self._misses = self._misses_away = 0

    @property
    def counts(self) -> CacheCounts:
        return CacheCounts(self._hits, self._misses, self._misses_away)

    async def get_or_set(self, key: str, seconds: int, load: Load, field: str = "d") -> bytes | None:
        """What is kept under `key`, or else what `load` finds, which is then kept for `seconds`. Raises what `load` raises.

        Fields of one key are kept for equally long and invalidated together.
        """
        if not 0 < seconds <= LONGEST_SECONDS:
            raise ValueError(f"an entry is kept for 1 to {LONGEST_SECONDS} seconds")
        while True:
            looked = await self._try(lambda: self._looked(key, field))
            if looked is None:
                self._misses += 1
                self._misses_away += 1
                return await load()
            data, word = looked
            if data is not None:
                self._hits += 1
                return data
            try:
                found = await self._read((key, field, word), seconds, load)
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

    async def stand_for(self, aliases: Sequence[str], key: str, seconds: int) -> None:
        """Let `aliases` stand for `key` for as long as what is loaded now is kept. To be called by a `load` before it reads what is
        known by them. Never fails."""
        if aliases:  # the entry's time begins when the load has ended
            await self._try(lambda: self._stand_for(keys=aliases, args=[key, seconds + _WORD_SECONDS]))

    async def _looked(self, key: str, field: str) -> tuple[bytes | None, bytes]:
        await self._delete_owed()
        data, word = await self._look(keys=[key], args=[new_id("wrd"), _WORD_SECONDS, field])
        return data, word

    async def _delete_owed(self) -> None:
        while owed := dict(islice(self._owed.items(), _DELETED_AT_ONCE)):
            entries = [key for key in owed if not key.startswith(_ALIAS)]
            aliases = [key for key in owed if key.startswith(_ALIAS)] if len(entries) < len(owed) else []
            await self._delete(keys=entries + aliases, args=[len(entries), self._channel])
            for key, until in owed.items():
                if self._owed.get(key) == until:  # else it was written again meanwhile
                    del self._owed[key]

    async def _read(self, place: tuple[str, str, bytes], seconds: int, load: Load) -> bytes | None:
        other = self._reading.get(place)
        if other is not None:
            return await asyncio.shield(other)  # one who waits may be cancelled alone
        reading = self._reading[place] = asyncio.get_running_loop().create_future()
        try:
            found = await load()
            reading.set_result(found)
            if found is not None:
                (key, field, word), data = place, found
                await self._try(lambda: self._fill(keys=[key], args=[word, data, seconds, field]))
            return found
        except BaseException as error:  # canceled too: those who wait with it must hear of it
            if not reading.done():
                reading.set_exception(error if isinstance(error, Exception) else _AbandonedError())
                reading.exception()  # perhaps nobody waits for it, which is no reason to complain
            raise
        finally:
            del self._reading[place]

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
