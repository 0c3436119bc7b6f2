"""A stretch of a conversation: so many entries before a place, after it, or on both sides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.archive.domain.reading import NEWEST, OLDEST, ArchivedEntry, Place
from services.archive.store import read
from shared.db.pool import Pool
from shared.ids import TenantId

Shown = Callable[[Sequence[str]], Awaitable[None]]
"""Is told which messages will be shown, before it is read how far they got."""


class Way(StrEnum):
    """From a place, to the entries before it or after it."""

    OLDER = "<"
    NEWER = ">"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Entries next to each other, newest first. `older` and `newer` are where to go on; None: nothing is there."""

    entries: tuple[ArchivedEntry, ...]
    older: Place | None
    newer: Place | None


async def stretch(
    pool: Pool, tenant: TenantId, conversation_id: str, way: Way, place: Place, limit: int, shown: Shown
) -> Stretch:
    """At most `limit` entries on one side of a place."""
    if way is Way.OLDER:
        found = await read.older(pool, conversation_id, place, limit + 1)
        more, entries = len(found) > limit, found[:limit]
        older = entries[-1].place if more else None
        newer = None if place == NEWEST else entries[0].place if entries else place
    else:
        found = await read.newer(pool, conversation_id, place, limit + 1)
        more, entries = len(found) > limit, found[:limit][::-1]
        newer = entries[0].place if more else None
        older = None if place == OLDEST else entries[-1].place if entries else place
    return Stretch(tuple(await _with_progress(pool, tenant, entries, shown)), older, newer)


async def around(pool: Pool, tenant: TenantId, conversation_id: str, place: Place, limit: int, shown: Shown) -> Stretch:
    """At most `limit` entries, the one at the place in their middle."""
    after = limit // 2
    newer = await read.newer(pool, conversation_id, place, after + 1)
    older = await read.older(pool, conversation_id, beyond(place), limit - min(after, len(newer)) + 1)
    kept_newer, kept_older = newer[:after], older[: limit - min(after, len(newer))]
    entries = [*kept_newer[::-1], *kept_older]
    return Stretch(
        tuple(await _with_progress(pool, tenant, entries, shown)),
        older=entries[-1].place if len(older) > len(kept_older) else None,
        newer=entries[0].place if len(newer) > len(kept_newer) else None,
    )


_AFTER_ALL: Final = "~"
"""Sorts after all characters of ids."""


def beyond(place: Place) -> Place:
    """Right after a place: what is before this is the place itself, too."""
    return place._replace(id=place.id + _AFTER_ALL)


async def _with_progress(pool: Pool, tenant: TenantId, entries: Sequence[ArchivedEntry], shown: Shown) -> list[ArchivedEntry]:
    await shown([entry.message_id for entry in entries if entry.message_id is not None])
    return await read.with_progress(pool, tenant, entries)
