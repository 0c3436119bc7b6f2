"""Files, their objects, and those that are still at the provider."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg

from services.gateway.domain.media import Kind, MediaRecord, Nature, Wanted
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import NumberId, TenantId

sql = Queries(Path(__file__).with_name("media.sql"))
BEGIN_OBJECT: Final = sql["begin_object"]
END_OBJECT: Final = sql["end_object"]
KEEP_FILE: Final = sql["keep_file"]
INSERT_MEDIA: Final = sql["insert_media"]
SELECT_KNOWN: Final = sql["select_known_media"]
SELECT_OF_WIRE: Final = sql["select_media_of_wire"]
SELECT_ANY: Final = sql["select_any_media"]
SELECT_PAGE: Final = sql["select_media_page"]
DELETE_MEDIA: Final = sql["delete_media"]
DROP_UNNAMED: Final = sql["drop_unnamed_file"]
CLAIM_LEFTOVERS: Final = sql["claim_leftovers"]
FORGET_LEFTOVERS: Final = sql["forget_leftovers"]
WANT_MEDIA: Final = sql["want_media"]
CLAIM_FETCH: Final = sql["claim_fetch"]
HURRY_FETCH: Final = sql["hurry_fetch"]
PUT_OFF_FETCH: Final = sql["put_off_fetch"]
END_FETCH: Final = sql["end_fetch"]

AFTER_ALL: Final = "~"


class Bytes(NamedTuple):
    """What a file is made of, in the object store under `object_key`."""

    object_key: str
    size_bytes: int
    sha256: bytes


class Origin(NamedTuple):
    """The inbound message that a file came with, and the provider's id of the file."""

    number_id: NumberId
    wamid: str
    provider_id: str


class Fetch(NamedTuple):
    """A file that is at the provider. `tries` counts the present one."""

    tenant_id: TenantId
    origin: Origin
    phone_number_id: str
    mime_type: str | None
    file_name: str | None
    tries: int
    wanted_at: datetime


async def begin_object(pool: Pool, object_key: str, *, within: timedelta) -> None:
    """An object is about to be written; where nothing names it within that time it is a leftover."""
    await pool.execute(BEGIN_OBJECT, object_key, within)


async def insert(
    connection: Connection,
    tenant_id: TenantId,
    media_id: str,
    wire_id: int,
    nature: Nature,
    what: Bytes,
    file_name: str | None,
    origin: Origin | None = None,
) -> MediaRecord | None:
    """A file of the tenant's, whose object stays where the tenant has no such bytes yet. None: an inbound one that is there."""
    kept_under = await connection.fetchval(KEEP_FILE, tenant_id, what.sha256, what.object_key, what.size_bytes)
    row = await connection.fetchrow(
        INSERT_MEDIA,
        media_id,
        tenant_id,
        wire_id,
        nature.kind,
        nature.mime_type,
        what.size_bytes,
        what.sha256,
        file_name,
        nature.is_animated,
        *(origin or (None, None, None)),
    )
    if kept_under == what.object_key:
        await connection.execute(END_OBJECT, what.object_key)
    return None if row is None else _record(row, kept_under)


async def known(db: Connection | Pool, tenant_id: TenantId, ids: Sequence[str]) -> dict[str, MediaRecord]:
    """Those that there are."""
    return {row["id"]: _record(row) for row in await db.fetch(SELECT_KNOWN, tenant_id, list(ids))}


async def of_wire(db: Connection | Pool, tenant_id: TenantId, wire_id: int | None, digits: str) -> MediaRecord | None:
    """The file that is called so where clients know the provider's ids."""
    row = await db.fetchrow(SELECT_OF_WIRE, tenant_id, wire_id, digits)
    return None if row is None else _record(row)


async def any_of(pool: Pool, media_id: str) -> MediaRecord | None:
    """The file, whoever owns it."""
    row = await pool.fetchrow(SELECT_ANY, media_id)
    return None if row is None else _record(row)


async def page(
    pool: Pool,
    tenant_id: TenantId,
    *,
    before: str | None,
    limit: int,
    kind: str | None,
    number_id: str | None,
    wamid: str | None,
) -> list[MediaRecord]:
    """The tenant's files, newest first."""
    rows = await pool.fetch(SELECT_PAGE, tenant_id, before or AFTER_ALL, limit, kind, number_id, wamid)
    return [_record(row) for row in rows]


async def delete(connection: Connection, tenant_id: TenantId, media_id: str) -> bool:
    """Forget a file, and its bytes where no other file has the same; False where there is none."""
    digest = await connection.fetchval(DELETE_MEDIA, tenant_id, media_id)
    if digest is None:
        return False
    await connection.execute(DROP_UNNAMED, tenant_id, digest)
    return True


async def claim_leftovers(pool: Pool, *, limit: int, lease: timedelta) -> list[str]:
    """Objects to be removed."""
    return [row["object_key"] for row in await pool.fetch(CLAIM_LEFTOVERS, limit, lease)]


async def forget_leftovers(pool: Pool, keys: Sequence[str]) -> None:
    """They are removed."""
    await pool.execute(FORGET_LEFTOVERS, list(keys))


async def want(connection: Connection, wanted: Sequence[Wanted]) -> None:
    """These are to be fetched, each once."""
    await connection.execute(WANT_MEDIA, *(list(column) for column in zip(*wanted, strict=True)))


async def claim_fetch(pool: Pool, *, lease: timedelta, per_number: int) -> Fetch | None:
    """A file that is due, of a number of which fewer than `per_number` are in hand."""
    row = await pool.fetchrow(CLAIM_FETCH, per_number, lease)
    return None if row is None else _fetch(row)


async def hurry(pool: Pool, tenant_id: TenantId, provider_id: str, *, most_tries: int) -> bool:
    """Let it be the next, unless it was tried so often; False where it is not wanted."""
    return bool(await pool.fetchval(HURRY_FETCH, tenant_id, provider_id, most_tries))


async def put_off(pool: Pool, fetch: Fetch, wait: timedelta) -> None:
    """Again after so long."""
    await pool.execute(PUT_OFF_FETCH, *_key(fetch), fetch.tries, wait)


async def end_fetch(connection: Connection, fetch: Fetch) -> bool:
    """No more; False where somebody else has it in hand or has ended it."""
    return await connection.fetchval(END_FETCH, *_key(fetch), fetch.tries) is not None


def _key(fetch: Fetch) -> tuple[str, str, str, str]:
    return fetch.tenant_id, fetch.origin.provider_id, fetch.origin.number_id, fetch.origin.wamid


def _fetch(row: asyncpg.Record) -> Fetch:
    return Fetch(
        TenantId(row["tenant_id"]),
        Origin(NumberId(row["number_id"]), row["wamid"], row["provider_id"]),
        row["phone_number_id"],
        row["mime_type"],
        row["file_name"],
        row["tries"],
        row["wanted_at"],
    )


def _record(row: asyncpg.Record, object_key: str | None = None) -> MediaRecord:
    return MediaRecord(
        row["id"],
        row["wire_id"],
        Kind(row["kind"]),
        row["mime_type"],
        row["size_bytes"],
        row["sha256"].hex(),
        row["file_name"],
        row["is_animated"],
        row["object_key"] if object_key is None else object_key,
        None if row["number_id"] is None else NumberId(row["number_id"]),
        row["wamid"],
        row["created_at"],
    )
