"""A block of rows into the database: whole, with the place to resume from, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg

from services.archive.domain.doubles import Said, doubles, spans
from services.archive.imports.frames import Frame
from services.archive.imports.refusal import Refused
from services.archive.imports.rows import (
    ENTRY_COLUMNS,
    KEY_COLUMNS,
    SEARCH_COLUMNS,
    KeptFile,
    key_row,
    media_of,
    said_in,
    spelt,
)
from services.archive.store import blocks as store
from services.archive.store import record
from services.archive.store.blocks import Added, Conversation, Key
from services.archive.store.imports import Import
from shared.db.pool import Connection, Pool

ENTRY_ID_CHARS: Final = 30


class LeaseLost(Exception):
    """The import was ended, or somebody else works on it: nothing of ours may be stored any more."""


async def store_block(  # what a block is stored with
    pool: Pool, found: Import, lease_id: str, conversation: Conversation, doubts_before: int, frame: Frame
) -> Added:
    """Store a block. Records that the conversation has are passed over, and count as known. Raises `LeaseLost`, and `Refused` where
    the conversation is not there any more."""
    months = [datetime.fromisoformat(month) for month in frame.header["months"]]
    for month in months:  # each time: one that was empty may have been taken away since the last block
        await record.ensure_month(pool, month)
    try:
        return await _store_block(pool, found, lease_id, conversation, doubts_before, frame, ())
    except asyncpg.CheckViolationError:  # and even since then
        return await _store_block(pool, found, lease_id, conversation, doubts_before, frame, months)


async def _store_block(
    pool: Pool,
    found: Import,
    lease_id: str,
    conversation: Conversation,
    doubts_before: int,
    frame: Frame,
    months: Sequence[datetime],
) -> Added:
    """`months` are made where they are missing, and stay as long as the transaction."""
    header = frame.header
    entries, search, keys, prints, ids = frame.sections
    fingerprints = _cut(prints, header["width"])
    entry_ids = [entry_id.decode() for entry_id in _cut(ids, ENTRY_ID_CHARS)]
    files = {int(index): KeptFile(*kept) for index, kept in header["files"].items()}
    async with pool.acquire() as connection, connection.transaction():
        await store.bear_long(connection)
        for month in months:
            await record.ensure_month(connection, month)
        await store.hold_conversation(connection, conversation.number)
        if not await store.keep_conversation(connection, conversation.number):
            raise Refused("conversation.unknown", "The conversation is not there any more.")
        known = await store.known_keys(connection, conversation.number, fingerprints)
        recorded = {} if conversation.is_by_itself else await _recorded(connection, conversation, search, fingerprints, known)
        known |= recorded
        if known:
            fresh = [index for index, fingerprint in enumerate(fingerprints) if fingerprint not in known]
            entries, search, keys = (_only(rows, fresh) for rows in (entries, search, keys))
            keys += b"".join(key_row(conversation.number, print_, *key) for print_, key in recorded.items())
        await store.copy(connection, "entries", ENTRY_COLUMNS, entries)
        await store.copy(connection, "search_rows", SEARCH_COLUMNS, search)
        await store.copy(connection, "import_keys", KEY_COLUMNS, keys)
        new = len(fingerprints) - len(known)
        kept = await _keep_files(connection, found, conversation, files, fingerprints, entry_ids, known)
        if others := [print_ for print_, key in known.items() if key.import_no not in {found.import_no, store.LIVE}]:
            await store.claim_keys(connection, conversation.number, found.import_no, others)
        if header["doubts"]:
            await store.keep_lines(connection, found.import_no, doubts_before, header["doubts"])
        if new:
            first, last = datetime.fromisoformat(header["first"]), datetime.fromisoformat(header["last"])
            await store.add_to_conversation(connection, conversation, new, first, last)
        added = Added(new, len(known) + header["repeated"], kept, len(header["doubts"]))
        resume = {"offset": header["offset"], "state": header["state"]}
        if not await store.stored(connection, found.import_no, lease_id, resume, header["offset"], added):
            raise LeaseLost
    return added


async def _recorded(
    connection: Connection, conversation: Conversation, search: bytes, fingerprints: Sequence[bytes], known: Mapping[bytes, Key]
) -> dict[bytes, Key]:
    """Keys of those records that are in the conversation because they were recorded when they were sent."""
    rows = search.split(b"\n")
    said = {index: said_in(rows[index]) for index, fingerprint in enumerate(fingerprints) if fingerprint not in known}
    records = {index: one for index, one in said.items() if one is not None}
    live = await store.live_entries(connection, conversation.number, spans(record.sent_at for record in records.values()))
    entries = [Said(one.sent_at, one.is_outgoing, one.type, spelt(one.body)) for one in live]
    return {
        fingerprints[index]: Key(store.LIVE, live[entry].entry_id, live[entry].sent_at)
        for index, entry in doubles(records, entries).items()
    }


async def _keep_files(  # what decides whose a file is
    connection: Connection,
    found: Import,
    conversation: Conversation,
    files: Mapping[int, KeptFile],
    fingerprints: Sequence[bytes],
    entry_ids: Sequence[str],
    known: Mapping[bytes, Key],
) -> int:
    """Files of new entries, and of known ones that came without theirs before."""
    if not files:
        return 0
    owners: dict[int, str] = {}
    late: dict[str, int] = {}
    for index in files:
        if (key := known.get(fingerprints[index])) is None:
            owners[index] = entry_ids[index]
        else:
            late[key.entry_id] = index
    if late:
        given = [(entry_id, known[fingerprints[index]].sent_at, media_of(files[index])) for entry_id, index in late.items()]
        taken = await store.give_media(connection, given)
        owners |= {index: entry_id for entry_id, index in late.items() if entry_id in taken}
    rows = [
        (kept.file_id, owners[index], kept.object_key, kept.mime_type, kept.size_bytes, kept.sha256, kept.file_name)
        for index, kept in files.items()
        if index in owners
    ]
    await store.keep_files(connection, found.tenant_no, conversation.number, rows)
    return len(rows)


def _cut(data: bytes, width: int) -> list[bytes]:
    return [data[start : start + width] for start in range(0, len(data), width)] if width else []


def _only(rows: bytes, indexes: Sequence[int]) -> bytes:
    """Some of the lines; COPY's text form has no line break within a row."""
    lines = rows.split(b"\n")
    return b"".join(lines[index] + b"\n" for index in indexes)


def resume_of(found: Import) -> dict[str, Any] | None:
    """Where the reading goes on."""
    return dict(found.resume) if found.resume else None
