"""Storing what an import has read, a block at a time: COPY of rows that were made aside, and what goes with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from services.archive.domain.reading import CHAT_PREFIX
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("blocks.sql"))
BEAR_LONG: Final = sql["bear_long"]
HOLD_CONVERSATION: Final = sql["hold_conversation"]
KEEP_CONVERSATION: Final = sql["keep_conversation"]
CONVERSATION_OF_IMPORT: Final = sql["conversation_of_import"]
OPEN_CONVERSATION: Final = sql["open_conversation"]
SETTLE_CONVERSATION: Final = sql["settle_conversation"]
ENSURE_SPEAKERS: Final = sql["ensure_speakers"]
EXPECT_MEDIA: Final = sql["expect_media"]
KNOWN_KEYS: Final = sql["known_keys"]
LIVE_ENTRIES: Final = sql["live_entries"]
CLAIM_KEYS: Final = sql["claim_keys"]
GIVE_MEDIA: Final = sql["give_media"]
KEEP_FILES: Final = sql["keep_files"]
KEEP_LINES: Final = sql["keep_lines"]
ADD_TO_CONVERSATION: Final = sql["add_to_conversation"]
STORED: Final = sql["stored"]
KEYS_TO_UNDO: Final = sql["keys_to_undo"]
BEQUEATH: Final = sql["bequeath"]
DROP_CLAIMS: Final = sql["drop_claims"]
UNDONE: Final = sql["undone"]

STATEMENT_SECONDS: Final = 60
"""A block takes about half a second; beside many readers some."""
LIVE: Final = 0
"""No import's number: of keys whose entry was recorded live. No import answers for it, and none takes it away."""
_SLICE_BYTES: Final = 256 * 1024


class Conversation(NamedTuple):
    """Where an import's entries go. `peer` and `name`: the other side of a conversation of two."""

    id: str
    number: int
    peer: str
    name: str | None

    @property
    def is_by_itself(self) -> bool:
        """Only imports write into it."""
        return self.peer.startswith(CHAT_PREFIX)


class Key(NamedTuple):
    """A record that is in the conversation already. `import_no`: `LIVE` where no import brought it."""

    import_no: int
    entry_id: str
    sent_at: datetime


class LiveEntry(NamedTuple):
    """An entry that was recorded when it was sent."""

    entry_id: str
    sent_at: datetime
    is_outgoing: bool
    type: str
    body: str


class UndoneKey(NamedTuple):
    """A key to go through. `heir` is another import that brought the entry too."""

    fingerprint: bytes
    import_no: int
    entry_id: str
    sent_at: datetime
    heir: int | None


class Added(NamedTuple):
    """What a block added to an import."""

    entries: int
    known: int
    files: int
    doubts: int


async def bear_long(connection: Connection) -> None:
    """Statements of this transaction may take their time."""
    await connection.execute(BEAR_LONG, f"{STATEMENT_SECONDS}s")


async def hold_conversation(connection: Connection, conversation_no: int) -> None:
    """Wait until no other import writes into it."""
    await connection.execute(HOLD_CONVERSATION, conversation_no)


async def keep_conversation(connection: Connection, conversation_no: int) -> bool:
    """Let nobody delete it until the transaction ends; False where it is not there any more."""
    return await connection.fetchval(KEEP_CONVERSATION, conversation_no) is not None


async def conversation(connection: Connection | Pool, tenant: TenantId, conversation_id: str) -> Conversation | None:
    """One of the tenant's."""
    row = await connection.fetchrow(CONVERSATION_OF_IMPORT, tenant, conversation_id)
    return Conversation(*row) if row else None


async def open_conversation(
    connection: Connection | Pool, fresh_id: str, tenant: TenantId, number_id: str, peer: str, title: str | None
) -> Conversation:
    """The conversation, made where it is missing."""
    row = await connection.fetchrow(OPEN_CONVERSATION, fresh_id, tenant, number_id, peer, title)
    assert row is not None
    return Conversation(*row)


async def settle(connection: Connection | Pool, import_no: int, lease_id: str, found: Conversation) -> bool:
    """From now on the import is one of this conversation; False where the lease is lost."""
    return await connection.fetchval(SETTLE_CONVERSATION, import_no, lease_id, found.id, found.number) is not None


async def ensure_speakers(
    connection: Connection | Pool, tenant_no: int, conversation_no: int, speakers: Sequence[tuple[Any, ...]]
) -> Mapping[str, tuple[int, bool]]:
    """The numbers of speakers by their keys, and who of them is the business."""
    rows = await connection.fetch(ENSURE_SPEAKERS, tenant_no, conversation_no, orjson.dumps(speakers).decode())
    return {row["key"]: (row["participant_no"], row["is_business"]) for row in rows}


async def expect_media(connection: Connection | Pool, object_key: str, import_no: int, lease_id: str) -> bool:
    """Keep in mind that something is written under this key; False where the lease is lost, and nothing may be written."""
    return await connection.fetchval(EXPECT_MEDIA, object_key, import_no, lease_id) is not None


async def known_keys(connection: Connection, conversation_no: int, fingerprints: Sequence[bytes]) -> dict[bytes, Key]:
    """Those of the records that the conversation has."""
    rows = await connection.fetch(KNOWN_KEYS, conversation_no, fingerprints)
    return {row["fingerprint"]: Key(row["import_no"], row["entry_id"], row["sent_at"]) for row in rows}


async def live_entries(
    connection: Connection, conversation_no: int, spans: Sequence[tuple[datetime, datetime]]
) -> list[LiveEntry]:
    """Entries within the spans that no record is known to be yet, in order."""
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    return [LiveEntry(*row) for row in await connection.fetch(LIVE_ENTRIES, conversation_no, starts, ends)]


async def copy(connection: Connection, table: str, columns: Sequence[str], rows: bytes) -> None:
    """Rows in COPY's text form into a table."""
    if rows:
        await connection.copy_to_table(table, source=_slices(rows), columns=columns, timeout=STATEMENT_SECONDS)


async def _slices(rows: bytes) -> AsyncIterator[bytes]:
    view = memoryview(rows)
    for start in range(0, len(view), _SLICE_BYTES):
        yield bytes(view[start : start + _SLICE_BYTES])


async def claim_keys(connection: Connection, conversation_no: int, import_no: int, fingerprints: Sequence[bytes]) -> None:
    """This import brought them too."""
    await connection.execute(CLAIM_KEYS, conversation_no, import_no, fingerprints)


async def give_media(connection: Connection, given: Sequence[tuple[str, datetime, Any]]) -> set[str]:
    """Files for entries that were stored without; gives the entries that took theirs."""
    return {row["id"] for row in await connection.fetch(GIVE_MEDIA, orjson.dumps(given).decode())}


async def keep_files(connection: Connection, tenant_no: int, conversation_no: int, files: Sequence[tuple[Any, ...]]) -> None:
    """Files of entries."""
    await connection.execute(KEEP_FILES, tenant_no, conversation_no, orjson.dumps(files).decode())


async def keep_lines(connection: Connection, import_no: int, after: int, lines: Sequence[Sequence[Any]]) -> None:
    """Lines that were not understood, behind those that are kept."""
    await connection.execute(KEEP_LINES, import_no, after, orjson.dumps(lines).decode())


async def add_to_conversation(
    connection: Connection, found: Conversation, entries: int, first: datetime, last: datetime
) -> None:
    """Count what was stored; the newest entry may be among it."""
    await connection.execute(ADD_TO_CONVERSATION, found.id, found.number, entries, first, last, timeout=STATEMENT_SECONDS)


async def stored(
    connection: Connection, import_no: int, lease_id: str, resume: Mapping[str, Any], read: int, added: Added
) -> bool:
    """Where the reading goes on; False where the lease is lost, and with it the transaction."""
    text = orjson.dumps(resume).decode()
    return await connection.fetchval(STORED, import_no, lease_id, text, read, *added) is not None


async def keys_to_undo(
    connection: Connection, conversation_no: int, after: bytes, import_no: int, limit: int
) -> list[UndoneKey]:
    """Keys of the conversation in the order of their fingerprints."""
    return [UndoneKey(*row) for row in await connection.fetch(KEYS_TO_UNDO, conversation_no, after, import_no, limit)]


async def bequeath(connection: Connection, conversation_no: int, keys: Sequence[UndoneKey]) -> None:
    """Their heirs answer for them from now on."""
    given = [(key.fingerprint.hex(), key.heir, key.entry_id, key.sent_at) for key in keys]
    await connection.execute(BEQUEATH, conversation_no, orjson.dumps(given).decode())


async def drop_claims(connection: Connection | Pool, import_no: int, limit: int) -> int:
    """Forget what it brought too; gives how many, at most `limit`."""
    return int((await connection.execute(DROP_CLAIMS, import_no, limit)).rpartition(" ")[2])


async def undone(connection: Connection, import_no: int, lease_id: str, after: bytes, entries: int) -> bool:
    """How far the undoing has come; False where the lease is lost."""
    return await connection.fetchval(UNDONE, import_no, lease_id, after, entries) is not None
