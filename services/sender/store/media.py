"""The tenants' files, under which ids the provider has them, and what it is to delete."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg

from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.events.catalogue import MediaDeleted, MediaStored
from shared.ids import NumberId, TenantId

sql = Queries(Path(__file__).with_name("media.sql"))
UPSERT_MEDIA: Final = sql["upsert_media"]
BEGIN_DELETION: Final = sql["begin_deletion"]
LOCK_MEDIA: Final = sql["lock_media_of_bytes"]
DELETE_MEDIA: Final = sql["delete_media"]
PASS_ON: Final = sql["pass_uploads_on"]
DROP_UPLOADS: Final = sql["drop_uploads"]
WANT_REMOVAL: Final = sql["want_removal"]
CLAIM_REMOVAL: Final = sql["claim_removal"]
PUT_OFF_REMOVAL: Final = sql["put_off_removal"]
END_REMOVAL: Final = sql["end_removal"]
FIND_UPLOADS: Final = sql["find_uploads"]
WANT_UPLOADS: Final = sql["want_uploads"]
CLAIM_UPLOAD: Final = sql["claim_upload"]
SETTLE_UPLOAD: Final = sql["settle_upload"]
PUT_OFF_UPLOAD: Final = sql["put_off_upload"]
FORGET_UPLOADS: Final = sql["forget_uploads"]
PRUNE_UPLOADS: Final = sql["prune_uploads"]
PRUNE_DELETED: Final = sql["prune_deleted"]

REFUSAL_COUNTS: Final = timedelta(minutes=10)
"""So long a refused file is not uploaded again: another message with it fails the same way."""
UNUSED_KEPT: Final = timedelta(days=2)
DELETED_KEPT: Final = timedelta(days=30)
"""Longer than any queue holds the news of a file that came before it was deleted."""
REMOVED_AFTER: Final = timedelta(minutes=10)
"""The provider may still be fetching the file for messages that it has just taken; and it is longer than any process takes an id to
be good without looking."""


class Name(NamedTuple):
    """A file as a number sends it."""

    tenant_id: TenantId
    number_id: NumberId
    media_id: str


class Handle(NamedTuple):
    """The provider's id of a file."""

    text: str
    uploaded_at: datetime
    expires_at: datetime


class Refused(NamedTuple):
    """The provider does not take the file."""

    code: str
    detail: str


class Coming(NamedTuple):
    """It is being uploaded, or will be; probably there in so many seconds."""

    seconds: float


class Job(NamedTuple):
    """An upload in hand. `tries` counts the present one; `faults` are those before it that count against it."""

    number_id: NumberId
    sha256: str
    tries: int
    faults: int
    object_key: str
    mime_type: str
    size_bytes: int
    file_name: str | None


class Removal(NamedTuple):
    """A copy at the provider that is to be deleted; not so where it is in use again. `tries` counts the present one."""

    number_id: NumberId
    handle: str
    tries: int
    is_in_use: bool


Found = Handle | Refused | Coming | None
"""None: nobody has told of such a file."""

_DELETED: Final = Refused("media.deleted", "The file was deleted.")
_BYTES_PER_SECOND: Final = 4_000_000.0
_SHORTEST_SECONDS: Final = 0.5
_LONGEST_SECONDS: Final = 30.0


async def know(connection: Connection, events: Sequence[MediaStored]) -> None:
    """These files are there."""
    rows = [(e.tenant_id, e.media_id, e.object_key, e.mime_type, e.size_bytes, e.sha256, e.file_name) for e in events]
    await connection.execute(UPSERT_MEDIA, *_columns(sorted(rows, key=lambda row: row[:2])))


async def drop(connection: Connection, events: Sequence[MediaDeleted]) -> None:
    """These files are no more, whether they were told of or will be. What the provider has of their bytes is to be deleted, unless
    another file has the same."""
    gone = {(event.tenant_id, event.media_id) for event in events}
    names = _columns(sorted(gone))
    await connection.execute(BEGIN_DELETION, *names)
    rows = await connection.fetch(LOCK_MEDIA, *names)
    if not rows:
        return
    await connection.execute(DELETE_MEDIA, *names)
    named: dict[tuple[str, str, str], str] = {}
    unnamed: set[tuple[str, str, str]] = set()
    for row in rows:
        content = row["tenant_id"], row["sha256"], row["mime_type"]
        if (row["tenant_id"], row["media_id"]) in gone:
            unnamed.add(content)
        else:
            named[content] = row["media_id"]
    if passed := sorted((*content, named[content]) for content in unnamed & named.keys()):
        await connection.execute(PASS_ON, *_columns(passed))
    if dropped := sorted(unnamed - named.keys()):
        await connection.execute(DROP_UPLOADS, *_columns(dropped), REMOVED_AFTER)


async def find(pool: Pool, names: Sequence[Name]) -> list[Found]:
    """What is known of each; those that are neither there nor on their way are to be uploaded from now on."""
    rows = await pool.fetch(FIND_UPLOADS, *_columns(names), REFUSAL_COUNTS)
    wanted = [
        (name.number_id, row["sha256"], row["mime_type"], name.tenant_id, name.media_id)
        for name, row in zip(names, rows, strict=True)
        if row["sha256"] is not None and not row["is_settled"] and row["state"] != "wanted"
    ]
    if wanted:
        await pool.execute(WANT_UPLOADS, *_columns(wanted), REFUSAL_COUNTS)
    return [_found(row) for row in rows]


async def claim(pool: Pool, *, lease: timedelta, bytes_per_second: float, per_number: int) -> Job | None:
    """An upload that is due, of a number of which fewer than `per_number` are in hand; this process's for `lease` and as long as
    its bytes take."""
    row = await pool.fetchrow(CLAIM_UPLOAD, per_number, lease, bytes_per_second)
    return None if row is None else Job(**dict(row))


async def uploaded(pool: Pool, job: Job, handle: str, *, good_for: timedelta) -> None:
    """The provider has it; where the file was deleted meanwhile, for nothing."""
    settled = await pool.execute(SETTLE_UPLOAD, *_key(job), "uploaded", handle, good_for, None, None)
    if settled.endswith(" 0"):
        await pool.execute(WANT_REMOVAL, job.number_id, job.sha256, job.mime_type, handle, REMOVED_AFTER)


async def refused(pool: Pool, job: Job, code: str, detail: str) -> None:
    """The provider does not want it."""
    await pool.execute(SETTLE_UPLOAD, *_key(job), "refused", None, None, code, detail)


async def put_off(db: Pool | Connection, job: Job, seconds: float, *, counted: bool) -> None:
    """Again after so long; what is not `counted` may happen any number of times."""
    await db.execute(PUT_OFF_UPLOAD, *_key(job), timedelta(seconds=seconds), counted)


async def forget(pool: Pool, number_id: NumberId, handles: Sequence[str]) -> None:
    """The provider does not know these any more."""
    await pool.execute(FORGET_UPLOADS, number_id, list(handles))


async def prune(pool: Pool, *, limit: int) -> bool:
    """Forget what has expired, what nobody asks for, and what was deleted long ago; True where there may be more."""
    done = [await pool.execute(PRUNE_UPLOADS, limit, UNUSED_KEPT), await pool.execute(PRUNE_DELETED, limit, DELETED_KEPT)]
    return any(int(tag.rpartition(" ")[2]) >= limit for tag in done)


async def claim_removal(pool: Pool, *, lease: timedelta) -> Removal | None:
    """A copy at the provider that is due to be deleted, this process's for `lease`."""
    row = await pool.fetchrow(CLAIM_REMOVAL, lease)
    return None if row is None else Removal(**dict(row))


async def put_off_removal(pool: Pool, removal: Removal, wait: timedelta) -> None:
    """Again after so long."""
    await pool.execute(PUT_OFF_REMOVAL, *removal[:3], wait)


async def end_removal(pool: Pool, removal: Removal) -> None:
    """It is deleted, or nothing can be done about it."""
    await pool.execute(END_REMOVAL, *removal[:3])


def _key(job: Job) -> tuple[str, str, str, int]:
    return job.number_id, job.sha256, job.mime_type, job.tries


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _found(row: asyncpg.Record) -> Found:
    if row["deleted_at"] is not None:
        return _DELETED
    if row["sha256"] is None:
        return None
    if row["is_settled"]:
        if row["state"] == "uploaded":
            return Handle(row["handle"], row["settled_at"], row["expires_at"])
        return Refused(row["code"], row["detail"])
    seconds = row["size_bytes"] / _BYTES_PER_SECOND
    if row["state"] == "wanted" and not row["is_held"]:
        seconds = max(seconds, row["due_seconds"])
    return Coming(min(max(seconds, _SHORTEST_SECONDS), _LONGEST_SECONDS))
