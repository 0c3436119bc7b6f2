"""Imports: their files, their states, and who works on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import asyncpg
import orjson

from services.archive.domain.importing import ImportOptions, ImportState
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("imports.sql"))
INSERT: Final = sql["insert_import"]
FIND: Final = sql["find_import"]
LOCK: Final = sql["lock_import"]
PAGE: Final = sql["imports_page"]
BEGIN_OBJECT: Final = sql["begin_object"]
NAME_PART: Final = sql["name_part"]
RECEIVE: Final = sql["receive"]
PARTS: Final = sql["parts"]
SET_OPTIONS: Final = sql["set_options"]
END: Final = sql["end_import"]
UNDO: Final = sql["undo_import"]
DISCARD: Final = sql["discard_import"]
RELEASE_FILE: Final = sql["release_file"]
RELEASE_UNUSED: Final = sql["release_unused"]
DUE_OBJECTS: Final = sql["due_objects"]
FORGET_OBJECTS: Final = sql["forget_objects"]
CLAIM: Final = sql["claim_import"]
KEEP_LEASE: Final = sql["keep_lease"]
NOTE_READ: Final = sql["note_read"]
END_LEASED: Final = sql["end_leased"]
PUT_OFF: Final = sql["put_off"]
SURVEYED: Final = sql["surveyed"]
ABANDONED: Final = sql["abandoned"]
LINES_PAGE: Final = sql["lines_page"]
FILE_OF_CONVERSATION: Final = sql["file_of_conversation"]

LAST_ID: Final = "imp_~"
"""Sorts behind every import's id."""


class PartGone(Exception):
    """A part was on its way for so long that it was taken for left behind."""


class Part(NamedTuple):
    """A piece of the file that was handed over."""

    object_key: str
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Import:
    """A row, as it was when it was read."""

    import_no: int
    id: str
    tenant_id: TenantId
    tenant_no: int
    state: ImportState
    file_name: str
    size_bytes: int | None
    received_bytes: int
    options: ImportOptions
    conversation_id: str | None
    conversation_no: int | None
    survey: Mapping[str, Any] | None
    resume: Mapping[str, Any] | None
    text_bytes: int | None
    read_bytes: int
    entry_count: int
    known_count: int
    file_count: int
    doubt_count: int
    undone_count: int
    undo_after: bytes | None
    error_code: str | None
    error_detail: str | None
    tries: int
    created_at: datetime
    updated_at: datetime
    importing_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, row: asyncpg.Record) -> Self:
        """From a row with all columns."""
        found = {name: row[name] for name in cls.__slots__}
        found["state"] = ImportState(row["state"])
        found["options"] = ImportOptions.model_validate_json(row["options"])
        found["survey"] = orjson.loads(row["survey"]) if row["survey"] else None
        found["resume"] = orjson.loads(row["resume"]) if row["resume"] else None
        return cls(**found)


class StoredFile(NamedTuple):
    """Media of an entry."""

    id: str
    object_key: str
    mime_type: str
    size_bytes: int
    sha256: bytes
    file_name: str | None


def _one(row: asyncpg.Record | None) -> Import:
    assert row is not None  # the caller holds it locked, or has just made it
    return Import.of(row)


async def insert(  # the facts of one row
    connection: Connection | Pool,
    tenant: TenantId,
    tenant_no: int,
    import_id: str,
    file_name: str,
    size_bytes: int | None,
    options: ImportOptions,
    *,
    most_open: int,
) -> Import | None:
    """A new import, which waits for its file; None where the tenant has too many that are not done."""
    row = await connection.fetchrow(
        INSERT, tenant, tenant_no, import_id, file_name, size_bytes, options.model_dump_json(), most_open
    )
    return Import.of(row) if row else None


async def find(connection: Connection | Pool, tenant: TenantId, import_id: str) -> Import | None:
    """None where the tenant has no such import."""
    row = await connection.fetchrow(FIND, tenant, import_id)
    return Import.of(row) if row else None


async def lock(connection: Connection, tenant: TenantId, import_id: str) -> Import | None:
    """As `find`; nobody else changes it before the transaction ends."""
    row = await connection.fetchrow(LOCK, tenant, import_id)
    return Import.of(row) if row else None


async def page(connection: Connection | Pool, tenant: TenantId, before: str | None, limit: int) -> list[Import]:
    """Newest first."""
    return [Import.of(row) for row in await connection.fetch(PAGE, tenant, before or LAST_ID, limit)]


async def begin_object(connection: Connection | Pool, key: str, import_no: int, within: timedelta) -> None:
    """Keep in mind that something may be written under this key; it is removed unless it is named in time."""
    await connection.execute(BEGIN_OBJECT, key, import_no, within)


async def receive(connection: Connection, found: Import, part: Part | None, *, is_all: bool) -> Import:
    """Put a part behind those that are there; with the last one the survey can begin. Takes the row locked. Raises `PartGone`."""
    if part is not None and await connection.fetchval(NAME_PART, *part) is None:
        raise PartGone
    size = found.received_bytes + (part.size if part else 0)
    return _one(await connection.fetchrow(RECEIVE, found.id, size, is_all))


async def parts(connection: Connection | Pool, import_no: int) -> list[Part]:
    """The pieces of the file, in order and without gaps."""
    return [Part(*row) for row in await connection.fetch(PARTS, import_no)]


async def set_options(connection: Connection, import_id: str, options: ImportOptions, state: ImportState) -> Import:
    """Go on with these options in this state."""
    return _one(await connection.fetchrow(SET_OPTIONS, import_id, options.model_dump_json(), state))


async def end(
    connection: Connection, found: Import, state: ImportState, code: str | None = None, detail: str | None = None
) -> Import:
    """No more work is done on it; the file and unnamed media go. Whoever works on it finds the lease lost."""
    await connection.execute(RELEASE_FILE, found.import_no)
    await connection.execute(RELEASE_UNUSED, found.import_no)
    return _one(await connection.fetchrow(END, found.id, state, code, detail))


async def undo(connection: Connection, import_id: str) -> Import:
    """Let its entries be taken away."""
    return _one(await connection.fetchrow(UNDO, import_id))


async def discard(connection: Connection | Pool, import_no: int) -> None:
    """As if it had never been made."""
    await connection.execute(DISCARD, import_no)


async def due_objects(connection: Connection | Pool, limit: int) -> list[str]:
    """Keys of objects to remove; nobody else gets them for five minutes."""
    return [row["object_key"] for row in await connection.fetch(DUE_OBJECTS, limit)]


async def forget_objects(connection: Connection | Pool, keys: Sequence[str]) -> None:
    """They are removed."""
    await connection.execute(FORGET_OBJECTS, list(keys))


async def claim(connection: Connection | Pool, lease_id: str, seconds: float) -> Import | None:
    """An import to work on, if there is one; it is ours for so long."""
    row = await connection.fetchrow(CLAIM, lease_id, seconds)
    return Import.of(row) if row else None


async def keep_lease(connection: Connection | Pool, import_no: int, lease_id: str, seconds: float) -> bool:
    """False where somebody else has it, or nobody should work on it any more."""
    return await connection.fetchval(KEEP_LEASE, import_no, lease_id, seconds) is not None


async def note_read(connection: Connection | Pool, import_no: int, lease_id: str, read: int, of: int) -> None:
    """How far the survey has come."""
    await connection.execute(NOTE_READ, import_no, lease_id, read, of)


async def put_off(connection: Connection | Pool, import_no: int, lease_id: str, seconds: float, *, is_counted: bool) -> None:
    """Somebody tries again later; in no time, where we have to go."""
    await connection.execute(PUT_OFF, import_no, lease_id, seconds, is_counted)


async def end_leased(  # the facts of one row
    connection: Connection,
    import_no: int,
    lease_id: str,
    state: ImportState,
    code: str | None = None,
    detail: str | None = None,
) -> bool:
    """The work on it has ended; False where the lease was lost before."""
    if await connection.fetchval(END_LEASED, import_no, lease_id, state, code, detail) is None:
        return False
    await connection.execute(RELEASE_FILE, import_no)
    await connection.execute(RELEASE_UNUSED, import_no)
    return True


async def surveyed(  # the facts of one row
    connection: Connection | Pool, import_no: int, lease_id: str, survey: Mapping[str, Any], text_bytes: int, state: ImportState
) -> bool:
    """Keep what the file says about itself; False where the lease is lost."""
    text = orjson.dumps(survey).decode()
    return await connection.fetchval(SURVEYED, import_no, lease_id, text, text_bytes, state) is not None


async def abandoned(connection: Connection, days: int, limit: int) -> list[int]:
    """End imports that wait for their owners for too long; their files go."""
    numbers = [row["import_no"] for row in await connection.fetch(ABANDONED, days, limit)]
    for number in numbers:
        await connection.execute(RELEASE_FILE, number)
    return numbers


async def lines(connection: Connection | Pool, import_no: int, after: int, limit: int) -> list[asyncpg.Record]:
    """Lines that were not understood: place, line, reason, text."""
    return await connection.fetch(LINES_PAGE, import_no, after, limit)


async def file(connection: Connection | Pool, tenant: TenantId, conversation_id: str, file_id: str) -> StoredFile | None:
    """Media of a conversation of the tenant's."""
    row = await connection.fetchrow(FILE_OF_CONVERSATION, tenant, conversation_id, file_id)
    return StoredFile(*row) if row else None
