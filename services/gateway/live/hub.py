"""All connections of this process that read live, behind one reader of Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.gateway.live.reader import End, Reader
from services.gateway.live.streams import KEPT_SECONDS, PAGE, Entry, Streams, entry_of, is_later, key_of
from services.gateway.store import updates as store
from services.gateway.updates import FRESH_SECONDS
from shared.bus.interface import StopSignal
from shared.clock import Clock
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.ids import TenantId, new_id
from shared.run import Stage
from shared.unavailable import is_unavailable

log = structlog.get_logger(__name__)

BLOCK_SECONDS: Final = 5.0
"""One question to Redis waits so long for something new."""
HEARTBEAT_SECONDS: Final = 15.0
_KEEP_SECONDS: Final = 60.0
_KEPT: Final = timedelta(seconds=KEPT_SECONDS)
_AWAY_SECONDS: Final = 1.0
_MARGIN_SECONDS: Final = 0.1
_SECONDS_A_STREAM: Final = 20e-6
"""Between two questions to Redis, for each stream that they name: what it costs is about a fifth of that, here and in Redis."""
MOST_OF_TENANT: Final = 100
MOST: Final = 5_000


class _Followed:
    """A tenant's stream as this process follows it."""

    def __init__(self, position: str, told_from: float) -> None:
        self.position = position
        self.told_from = told_from
        """The moment, by the monotonic clock, from which on every process tells what happens to the tenant."""
        self.readers: set[Reader] = set()

    def drop_gone(self) -> None:
        """Whose connection is closed has no place any more."""
        for reader in [reader for reader in self.readers if reader.is_gone()]:
            reader.end(End.LEFT)
            self.readers.discard(reader)


class Hub:
    """`redis` waits for `BLOCK_SECONDS` and must have longer time-outs than that."""

    stage = Stage.INTAKE

    def __init__(self, redis: Redis, streams: Streams, pool: Pool, clock: Clock) -> None:
        self.name = "gateway.live_hub"
        self._redis = redis
        self._streams = streams
        self._pool = pool
        self._clock = clock
        self._followed: dict[TenantId, _Followed] = {}
        self._some = asyncio.Event()
        self._wake_key = f"live:wake:{new_id('wak')}"
        self._wake_position = "0-0"
        self._is_draining = False

    @asynccontextmanager
    async def reading(self, tenant_id: TenantId, after: str | None, is_gone: Callable[[], bool]) -> AsyncIterator[Reader]:
        """A place among the tenant's readers: told everything from the moment on when this begins, or after the position `after`
        where that is known. One that `is_gone` gives its place to whoever needs it.

        Raises `Rejected` where there are too many, and where this process or Redis is going away.
        """
        self._check_room(tenant_id)
        await store.watch_live(self._pool, [tenant_id], _KEPT)
        try:
            opened = await self._streams.open(tenant_id)
            start = None if after is None else await self._streams.position_of(tenant_id, after, opened.run)
        except (RedisError, OSError):
            raise _away() from None
        self._check_room(tenant_id)  # others came meanwhile
        reader = Reader(start or opened.position, opened.run, is_reset=after is not None and start is None, is_gone=is_gone)
        followed = self._followed.get(tenant_id)
        if followed is None:
            wait = FRESH_SECONDS + _MARGIN_SECONDS - opened.age_seconds
            followed = self._followed[tenant_id] = _Followed(opened.position, self._clock.monotonic() + wait)
            self._some.set()
        followed.readers.add(reader)
        try:
            await self._wake()
            if (wait := followed.told_from - self._clock.monotonic()) > 0:
                await self._clock.sleep(wait)
            yield reader
        finally:
            followed.readers.discard(reader)
            if not followed.readers and self._followed.get(tenant_id) is followed:
                del self._followed[tenant_id]

    async def entries(self, tenant_id: TenantId, reader: Reader) -> AsyncGenerator[list[Entry], None]:
        """What the reader is to be told, in order and each once; an empty list every `HEARTBEAT_SECONDS` without anything. Ends
        when the reader has."""
        position = reader.start
        while reader.ended is None:
            try:
                page = await self._streams.after(tenant_id, position)
            except (RedisError, OSError):
                reader.end(End.AWAY)
                return
            if page is None:
                reader.end(End.LOST)
                return
            if page:
                position = page[-1].position
                yield [entry for entry in page if entry.body]
            if len(page) < PAGE:
                break
        while reader.ended is None:
            entries = await reader.next(HEARTBEAT_SECONDS)
            if reader.ended is None:
                yield [entry for entry in entries if entry.body and is_later(entry.position, position)]

    async def run(self, stop: StopSignal) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._follow(), name=f"{self.name}.follow"),
                group.create_task(self._keep(), name=f"{self.name}.keep"),
            ]
            await stop.wait()
            self._is_draining = True
            self._end_all(End.DRAINING)
            for task in tasks:
                task.cancel()  # redis-py 8 loses some that come while it connects: so they look themselves

    async def _follow(self) -> None:
        """Hand on what comes in any of the streams that somebody reads."""
        while not self._is_draining:
            self._some.clear()
            if not self._followed:
                await self._some.wait()
            asked: dict[Any, Any] = {self._wake_key: self._wake_position}
            asked |= {key_of(tenant_id): followed.position for tenant_id, followed in self._followed.items()}
            try:
                found: Any = await self._redis.xread(asked, count=PAGE, block=int(BLOCK_SECONDS * 1000))
                for key, entries in found:
                    await self._take(key.decode(), asked[key.decode()], entries)
            except (RedisError, OSError) as error:
                log.warning("live.redis_away", error=type(error).__name__, readers=self.readers)
                self._end_all(End.AWAY)
                await self._clock.sleep(_AWAY_SECONDS)
                continue
            await self._clock.sleep(len(asked) * _SECONDS_A_STREAM)

    async def _take(self, key: str, asked_from: str, found: list[Any]) -> None:
        """What came under this key after that position."""
        if key == self._wake_key:
            self._wake_position = found[-1][0].decode()
            return
        tenant_id = TenantId(key.removeprefix(key_of(TenantId(""))))
        if len(found) >= PAGE and not await self._streams.holds(tenant_id, asked_from):
            self._end(tenant_id, End.LOST)  # so much came that some of it may be gone already
            return
        self._hand_on(tenant_id, [entry_of(*one) for one in found])

    def _hand_on(self, tenant_id: TenantId, entries: list[Entry]) -> None:
        followed = self._followed.get(tenant_id)
        if followed is None:
            return
        for entry in entries:
            if is_later(entry.position, followed.position):  # who came back meanwhile begins later
                followed.position = entry.position
                for reader in followed.readers:
                    reader.offer(entry)

    async def _wake(self) -> None:
        """The question that waits now does not know of a stream that has just been added."""
        try:
            await self._streams.mark(self._wake_key)
        except (RedisError, OSError):
            raise _away() from None

    async def _keep(self) -> None:
        """Streams that are read stay, and so does that their tenants are told of updates."""
        while not self._is_draining:
            await self._clock.sleep(_KEEP_SECONDS)
            tenants = list(self._followed)
            if not tenants:
                continue
            try:
                for tenant_id in await self._streams.keep(tenants):
                    self._end(tenant_id, End.LOST)
                await store.watch_live(self._pool, tenants, _KEPT)
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning("live.not_kept", error=type(error).__name__)

    def _check_room(self, tenant_id: TenantId) -> None:
        if not self._is_draining and self.readers >= MOST:
            for followed in self._followed.values():
                followed.drop_gone()
        if self._is_draining or self.readers >= MOST:
            raise _away()
        own = self._followed.get(tenant_id)
        if own is not None and len(own.readers) >= MOST_OF_TENANT:
            own.drop_gone()
        if own is not None and len(own.readers) >= MOST_OF_TENANT:
            detail = f"There are {MOST_OF_TENANT} connections that read your updates already; close one."
            raise Rejected("events.too_many_readers", detail, status=429, retry_after_seconds=int(HEARTBEAT_SECONDS))

    @property
    def readers(self) -> int:
        """Connections that read live."""
        return sum(len(followed.readers) for followed in self._followed.values())

    def _end(self, tenant_id: TenantId, why: End) -> None:
        for reader in self._followed.pop(tenant_id, _Followed("", 0.0)).readers:
            reader.end(why)

    def _end_all(self, why: End) -> None:
        for tenant_id in list(self._followed):
            self._end(tenant_id, why)


def _away() -> Rejected:
    return Rejected("events.unavailable", "Updates cannot be read live now; try again soon.", status=503, retry_after_seconds=1)
