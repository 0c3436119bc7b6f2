"""The last updates of each tenant who reads live, in Redis Streams: what a reader who was away for a moment takes up again.

A stream is there while somebody reads and for an hour longer; what is told of tenants without one is not kept. It is bounded, so a
reader who was away for too long learns that something is missing, and never that nothing is. An entry's id is its position; a place
is what readers are given to go on from: the position, and the run of Redis that it is of. Another run, after a restart or a
failover, may know the position and have lost what came after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson
from redis.asyncio import Redis

from shared.events.catalogue import UpdateTold
from shared.ids import TenantId

KEPT_ENTRIES: Final = 5_000
KEPT_SECONDS: Final = 3_600
BATCH: Final = 128
BATCH_BYTES: Final = 512 * 1024
PAGE: Final = 500
"""Entries read at once from behind."""
_PLACE: Final = re.compile(r"([0-9]{1,19}-[0-9]{1,19})\.([0-9a-z]{8})")
_RUN_LETTERS: Final = 8
_OPENED: Final = b"opened"
"""The type of the entry that makes a stream: nobody is told of it, it is a position to begin at."""


class Entry(NamedTuple):
    """An update as it is written to readers: JSON of id, type, number, time and data."""

    position: str
    type: str
    number_id: str | None
    body: bytes


class Opened(NamedTuple):
    """A tenant's stream, as its reader finds it: the position at which it ends, since when it is there, and Redis' run."""

    position: str
    age_seconds: float
    run: str


def place_of(position: str, run: str) -> str:
    return f"{position}.{run}"


def key_of(tenant_id: TenantId) -> str:
    return f"live:{tenant_id}"


def is_later(position: str, other: str) -> bool:
    """True where the entry at `position` was added after the one at `other`."""
    return _parts(position) > _parts(other)


def _parts(position: str) -> tuple[int, int]:
    milliseconds, _, number = position.partition("-")
    return int(milliseconds), int(number)


class Streams:
    """`redis` may have short time-outs: nothing here waits. All of it raises redis' errors where Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def add(self, events: Sequence[UpdateTold]) -> None:
        """Keep these for tenants who have a stream. An update that comes twice is there twice, under one id."""
        pipeline, size = self._redis.pipeline(transaction=False), 0
        for event in events:
            if not event.data:
                continue
            fields: dict[Any, Any] = {"type": event.type, "number_id": event.number_id or "", "body": _body(event)}
            pipeline.xadd(key_of(event.tenant_id), fields, maxlen=KEPT_ENTRIES, approximate=True, nomkstream=True)
            size += len(fields["body"])
            if len(pipeline) >= BATCH or size >= BATCH_BYTES:
                await pipeline.execute()
                size = 0
        if len(pipeline):
            await pipeline.execute()

    async def open(self, tenant_id: TenantId) -> Opened:
        """The tenant's stream, made where there is none, and kept for an hour from now on."""
        key = key_of(tenant_id)
        pipeline = self._redis.pipeline()
        pipeline.info("server")
        pipeline.time()
        pipeline.expire(key, KEPT_SECONDS)
        pipeline.xrange(key, count=1)
        pipeline.xrevrange(key, count=1)
        server, (seconds, microseconds), _, first, last = await pipeline.execute()
        run = server["run_id"][:_RUN_LETTERS]
        if last:
            since, _ = _parts(first[0][0].decode())
            return Opened(last[0][0].decode(), seconds + microseconds / 1e6 - since / 1e3, run)
        pipeline = self._redis.pipeline()
        pipeline.xadd(key, {"type": _OPENED})
        pipeline.expire(key, KEPT_SECONDS)
        position, _ = await pipeline.execute()
        return Opened(position.decode(), 0.0, run)

    async def mark(self, key: str) -> None:
        """An entry under a key that is no tenant's, for whoever waits for one."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.xadd(key, {"type": _OPENED}, maxlen=1)
        pipeline.expire(key, KEPT_SECONDS)
        await pipeline.execute()

    async def keep(self, tenant_ids: Iterable[TenantId]) -> set[TenantId]:
        """Somebody still reads these: they stay for an hour from now on. Returns those that are gone."""
        asked = list(tenant_ids)
        pipeline = self._redis.pipeline(transaction=False)
        for tenant_id in asked:
            pipeline.expire(key_of(tenant_id), KEPT_SECONDS)
        are_there = await pipeline.execute()
        return {tenant_id for tenant_id, is_there in zip(asked, are_there, strict=True) if not is_there}

    async def position_of(self, tenant_id: TenantId, place: str, run: str) -> str | None:
        """The position that the place is; None where something after it may be missing, in this run of Redis."""
        match = _PLACE.fullmatch(place)
        if match is None or match[2] != run or any(part >= 2**64 for part in _parts(match[1])):
            return None
        return match[1] if await self.holds(tenant_id, match[1]) else None

    async def holds(self, tenant_id: TenantId, position: str) -> bool:
        """True where the entry at that position is there still, so that nothing after it is missing."""
        return bool(await self._redis.xrange(key_of(tenant_id), position, position, count=1))

    async def after(self, tenant_id: TenantId, position: str) -> list[Entry] | None:
        """Up to `PAGE` of the entries after that position; those that nobody is told of are among them. None where the entry at the
        position is gone, and with it perhaps some that followed."""
        found: Any = await self._redis.xrange(key_of(tenant_id), position, count=PAGE + 1)
        entries = [entry_of(*one) for one in found]
        return entries[1:] if entries and entries[0].position == position else None


def entry_of(position: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    """As Redis gives it."""
    number_id = fields.get(b"number_id", b"").decode() or None
    return Entry(position.decode(), fields[b"type"].decode(), number_id, fields.get(b"body", b""))


def _body(event: UpdateTold) -> bytes:
    told = {"id": event.update_id, "type": event.type, "number_id": event.number_id, "at": event.at, "data": event.data}
    return orjson.dumps({name: value for name, value in told.items() if value is not None}, option=orjson.OPT_UTC_Z)
