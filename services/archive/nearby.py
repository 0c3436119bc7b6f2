"""What was read lately, in this process: the first of the two caches. It holds answers by group (a conversation, a tenant's lists),
and lets go of a group as soon as anybody anywhere has changed it.

It is trusted only while the process hears of changes. A reading that began before a change is not kept after it, as in
`shared/cache.py`: whoever reads takes a `Reading` first, which the change makes void.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.bus.interface import StopSignal
from shared.run import Stage

log = structlog.get_logger(__name__)

CHANNEL: Final = "archive.changed"
LISTEN_SECONDS: Final = 2.0
"""A silent channel is asked for a sign of life so often; one that gives none is not heard."""
_AWAY_SECONDS: Final = 1.0
MOST_FIELDS: Final = 64
"""Answers of one group: who reads through all of a long conversation does not drive out what everybody reads."""
LARGEST_SHARE: Final = 8
"""What is larger than the whole divided by this is not kept, for the same reason."""
_OVERHEAD_BYTES: Final = 200
"""What an answer takes beside its body, roughly."""


class Kept(NamedTuple):
    """An answer: a JSON document, and a word that changes with its bytes."""

    etag: str
    body: bytes


class Reading:
    """Somebody is reading a group."""

    __slots__ = ("is_void",)

    def __init__(self) -> None:
        self.is_void = False


class Nearby:
    """At most `max_bytes`, each answer for at most `seconds`; what was not asked for longest goes first."""

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self._max_bytes = max_bytes
        self.seconds = seconds
        self._groups: OrderedDict[str, dict[str, tuple[float, Kept]]] = OrderedDict()
        self._readings: defaultdict[str, set[Reading]] = defaultdict(set)
        self.is_heard = False
        self.size_bytes = 0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._groups)

    def find(self, group: str, field: str) -> Kept | None:
        """The answer, if it is here and can be trusted."""
        fields = self._groups.get(group)
        found = fields.get(field) if fields is not None else None
        if found is None or found[0] < time.monotonic():
            self.misses += 1
            return None
        self._groups.move_to_end(group)
        self.hits += 1
        return found[1]

    @contextmanager
    def reading(self, group: str) -> Iterator[Reading]:
        """To be held while what `keep` is to keep is read."""
        mine = Reading()
        self._readings[group].add(mine)
        try:
            yield mine
        finally:
            readings = self._readings[group]
            readings.discard(mine)
            if not readings:
                del self._readings[group]

    def keep(self, group: str, field: str, kept: Kept, reading: Reading) -> None:
        """Unless the group has changed since the reading began."""
        if reading.is_void or not self.is_heard or _size(kept) > self._max_bytes // LARGEST_SHARE:
            return
        fields = self._groups.setdefault(group, {})
        self._groups.move_to_end(group)
        outdated = field if field in fields else next(iter(fields)) if len(fields) == MOST_FIELDS else None
        if outdated is not None:
            self.size_bytes -= _size(fields.pop(outdated)[1])
        fields[field] = time.monotonic() + self.seconds, kept
        self.size_bytes += _size(kept)
        while self.size_bytes > self._max_bytes:
            self._forget(next(iter(self._groups)))

    def drop(self, groups: Iterable[str]) -> None:
        """These have changed."""
        for group in groups:
            for reading in self._readings.get(group, ()):
                reading.is_void = True
            if group in self._groups:
                self._forget(group)

    def hear(self, *, is_heard: bool) -> None:
        """Whether changes are heard from now on; what was kept until now may be old."""
        self.is_heard = is_heard
        for readings in self._readings.values():
            for reading in readings:
                reading.is_void = True
        self._groups.clear()
        self.size_bytes = 0

    def _forget(self, group: str) -> None:
        self.size_bytes -= sum(_size(kept) for _, kept in self._groups.pop(group).values())


class Listener:
    """Hears what others change. `redis` waits (`shared.redis.open_waiting_redis`)."""

    stage: Final = Stage.WORK

    def __init__(self, redis: Redis, nearby: Nearby) -> None:
        self.name = "archive.listener"
        self._redis = redis
        self._nearby = nearby

    async def run(self, stop: StopSignal) -> None:
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen(stop), name=f"{self.name}.listen")
            await stop.wait()
            listening.cancel()

    async def _listen(self, stop: StopSignal) -> None:
        is_said = False
        while not stop.is_set():
            try:
                await self._hear(stop)
            except (RedisError, OSError) as error:
                if self._nearby.is_heard or not is_said:  # once for each time that it goes away
                    is_said = True
                    log.warning("nearby.not_heard", error=type(error).__name__)
                await asyncio.sleep(_AWAY_SECONDS)
            finally:
                self._nearby.hear(is_heard=False)

    async def _hear(self, stop: StopSignal) -> None:
        async with self._redis.pubsub() as channel:
            await channel.subscribe(CHANNEL)
            has_answered = True
            while not stop.is_set():
                message = await channel.get_message(timeout=LISTEN_SECONDS)
                if message is None:
                    if not has_answered:
                        raise TimeoutError
                    has_answered = False
                    await channel.ping()
                    continue
                has_answered = True
                if message["type"] == "subscribe":
                    self._nearby.hear(is_heard=True)
                elif message["type"] == "message":
                    self._nearby.drop(message["data"].decode().split("\n"))


def _size(kept: Kept) -> int:
    return len(kept.body) + _OVERHEAD_BYTES
