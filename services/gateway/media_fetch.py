"""Files that somebody sent: fetched from the provider, kept with the tenant's, told of.

That a file is wanted is written with the message that it came with; the rest is done by a worker, in its own time, for the provider
keeps it for seven days only. Its address is asked for anew on every try: it is good for five minutes. Source: WhatsApp Cloud API,
media, read 2026-11.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import structlog

from services.gateway.domain.media import LARGEST_BYTES, BadFile, MediaRecord, Wanted, clean_name, clean_type
from services.gateway.domain.update import Happened
from services.gateway.graph.client import GraphAnswer, GraphClient, GraphFailed
from services.gateway.media import Media, Taken, stored
from services.gateway.store import media as store
from services.gateway.store.media import Fetch
from services.gateway.updates import Updates
from shared.bus.outbox import Outbox, Unit
from shared.clock import Clock
from shared.events.catalogue import MediaLost
from shared.every import Every
from shared.ids import TenantId
from shared.objects.store import ObjectsAway
from shared.unavailable import is_unavailable

log = structlog.get_logger(__name__)

FETCH_SECONDS: Final = 240.0
PAUSE_SECONDS: Final = 30.0
"""Longest pause of a file that is coming."""
LEASE: Final = timedelta(seconds=FETCH_SECONDS + 60)
WAITS: Final = tuple(timedelta(seconds=s) for s in (2, 10, 60, 300, 1_800, 7_200, 21_600, 43_200, 86_400, 86_400, 86_400))
"""About four days after the first try it is given up: what kept the file away so long does so for ever."""
GONE_TRIES: Final = 4
"""An id that is unknown may become known: a webhook can be faster than its file."""
HURRIED_TRIES: Final = 3
HURRY_SECONDS: Final = 20.0
HURRY_LOOK_SECONDS: Final = 0.1
LOOK_SECONDS: Final = 1.0
WORKERS: Final = 6
"""Files at once, per process; one that comes slowly keeps one of them busy."""
PER_NUMBER: Final = 3
"""Of these, in all processes: a number whose provider does not answer, or with a whole history to fetch, does not take all."""
_NO_SUCH_OBJECT: Final = 33
_STALE: Final = frozenset({401, 403, 404, 410})
"""What an address answers that is too old."""
_FINAL: Final = frozenset({"number.unknown"})


class Unfetched(Exception):
    """A file could not be fetched now; with `is_final` it never will."""

    def __init__(self, code: str, *, is_final: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.is_final = is_final


async def want(unit: Unit, wanted: Sequence[Wanted]) -> None:
    """Have these fetched, once this transaction has committed; one statement for all. Twice is safe."""
    if wanted:
        cleaned = [one._replace(mime_type=clean_type(one.mime_type), file_name=clean_name(one.file_name)) for one in wanted]
        await store.want(unit.connection, cleaned)


class Fetcher:
    """Fetches what is wanted; `workers` are the components that do so. The session of `graph` must bear that a file takes
    `FETCH_SECONDS`."""

    def __init__(self, outbox: Outbox, media: Media, graph: GraphClient, updates: Updates, clock: Clock) -> None:
        self.workers = [Every(f"gateway.fetch_media.{n}", LOOK_SECONDS, self.fetch_due) for n in range(WORKERS)]
        self._outbox = outbox
        self._media = media
        self._graph = graph
        self._updates = updates
        self._clock = clock

    async def fetch_due(self) -> bool:
        """Fetch a file that is due; True where there may be more."""
        fetch = await store.claim_fetch(self._media.pool, lease=LEASE, per_number=PER_NUMBER)
        if fetch is None:
            return False
        if fetch.tries > len(WAITS) + 1:  # whoever had it in hand did not live to say so
            await self._end_or_put_off(fetch, "media.never_fetched", is_final=True)
            return True
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                taken = await self._take(fetch)
        except Exception as error:
            trouble = _trouble(error)
            if trouble is None:
                if is_unavailable(error):
                    raise
                # Our bug: said here, and it stops neither the other files nor, again and again, the process.
                log.exception("media.fetch_failed", tenant_id=fetch.tenant_id)
                trouble = Unfetched("internal")
            await self._end_or_put_off(fetch, trouble.code, is_final=trouble.is_final)
        else:
            async with self._outbox.transaction() as unit:
                if await store.end_fetch(unit.connection, fetch):  # else another process was faster; its bytes are kept
                    record = await self._media.name(unit, fetch.tenant_id, taken, fetch.origin)
                    if record is not None:
                        await self._updates.tell(unit, [Happened(stored(fetch.tenant_id, record))])
        return True

    async def hurry(self, tenant_id: TenantId, digits: str) -> MediaRecord | None:
        """The file that a client of the Cloud API calls so. One that is still at the provider is fetched now and waited for, some
        seconds: clients ask as soon as they have heard of it."""
        record = await self._media.of_wire(tenant_id, digits)
        until = self._clock.monotonic() + HURRY_SECONDS
        while record is None and self._clock.monotonic() < until:
            is_wanted = await store.hurry(self._media.pool, tenant_id, digits, most_tries=HURRIED_TRIES)
            if is_wanted:
                for worker in self.workers:
                    worker.wake()
                await self._clock.sleep(HURRY_LOOK_SECONDS)
            record = await self._media.of_wire(tenant_id, digits)
            if not is_wanted:
                break
        return record

    async def _take(self, fetch: Fetch) -> Taken:
        for is_last in (False, True):
            told = await self._ask(fetch)
            async with self._graph.download(fetch.tenant_id, fetch.phone_number_id, told.url) as response:
                if response.status in _STALE and not is_last:
                    continue
                if response.status != 200:
                    raise Unfetched(f"provider.http_{response.status}")
                taken = await self._media.take(
                    fetch.tenant_id,
                    _parts(response),
                    claimed=fetch.mime_type or told.mime_type,
                    file_name=fetch.file_name,
                    is_received=True,
                )
            if told.sha256 not in (None, taken.what.sha256.hex()):
                raise Unfetched("media.corrupt")
            return taken
        raise AssertionError

    async def _ask(self, fetch: Fetch) -> _Told:
        answer = await self._graph.call(
            fetch.tenant_id,
            fetch.phone_number_id,
            "GET",
            quote(fetch.origin.provider_id, safe=""),
            query={"phone_number_id": fetch.phone_number_id},
            counted=False,
        )
        return _told(answer, fetch.tries)

    async def _end_or_put_off(self, fetch: Fetch, code: str, *, is_final: bool = False) -> None:
        is_final = is_final or fetch.tries > len(WAITS)
        log.warning("media.not_fetched", tenant_id=fetch.tenant_id, code=code, tries=fetch.tries, is_final=is_final)
        if not is_final:
            await store.put_off(self._media.pool, fetch, WAITS[fetch.tries - 1])
            return
        async with self._outbox.transaction() as unit:
            if await store.end_fetch(unit.connection, fetch):
                lost = MediaLost(
                    tenant_id=fetch.tenant_id, number_id=fetch.origin.number_id, wamid=fetch.origin.wamid, code=code
                )
                unit.emit(lost)
                await self._updates.tell(unit, [Happened(lost)])


def _trouble(error: Exception) -> Unfetched | None:
    """What is in the way of a file; None where that is nothing that was to be expected."""
    match error:
        case Unfetched():
            return error
        case BadFile():
            return Unfetched(error.code, is_final=True)
        case GraphFailed():
            return Unfetched(error.code, is_final=error.code in _FINAL)
        case ObjectsAway():
            return Unfetched("objects.away")
        case TimeoutError():
            return Unfetched("provider.timeout")
        case aiohttp.ClientError() | OSError() | ValueError():  # ValueError: a token that HTTP cannot carry
            return Unfetched("provider.unreachable")
    return None


@dataclass(frozen=True, slots=True, repr=False)
class _Told:
    url: str
    mime_type: str | None
    sha256: str | None


def _told(answer: GraphAnswer, tries: int) -> _Told:
    """What the provider says of a file. Raises `Unfetched`."""
    if (error := answer.error) is not None:
        is_gone = error.get("code") == 100 and error.get("error_subcode") == _NO_SUCH_OBJECT
        code = error.get("code")
        raise Unfetched(
            f"provider.{code}" if isinstance(code, int) else "provider.refused", is_final=is_gone and tries >= GONE_TRIES
        )
    document = answer.document
    url = document.get("url") if isinstance(document, dict) else None
    if not isinstance(url, str):
        raise Unfetched("provider.answer_unreadable")
    if _size(document.get("file_size")) > LARGEST_BYTES:
        raise Unfetched("media.too_large", is_final=True)
    mime_type, digest = document.get("mime_type"), document.get("sha256")
    is_hex = isinstance(digest, str) and len(digest) == 64  # elsewhere the provider writes it in base64
    return _Told(url, mime_type if isinstance(mime_type, str) else None, digest.lower() if is_hex else None)


def _size(told: Any) -> int:
    """A number on the wire, a text in the documents."""
    if isinstance(told, str) and told.isdecimal() and len(told) < 16:
        return int(told)
    return told if isinstance(told, int) else 0


async def _parts(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    while part := await asyncio.wait_for(response.content.readany(), PAUSE_SECONDS):
        yield part
