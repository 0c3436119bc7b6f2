"""Reading: pages of conversations, entries, files and participants, each for one tenant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg
import orjson

from services.archive.domain.annotation import Annotation, Entity
from services.archive.domain.entry import Direction
from services.archive.domain.progress import EntryStatus
from services.archive.domain.reading import (
    ArchivedEntry,
    Author,
    Conversation,
    Day,
    FilesOfMonth,
    Kind,
    Place,
    Reaction,
    Speaker,
    Version,
    as_revoked,
)
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("reading.sql"))
CONVERSATIONS_PAGE: Final = sql["conversations_page"]
CONVERSATIONS_LOOKED: Final = sql["conversations_looked"]
CONVERSATION: Final = sql["conversation"]
NAME_CONVERSATION: Final = sql["name_conversation"]
OLDER_ENTRIES: Final = sql["older_entries"]
NEWER_ENTRIES: Final = sql["newer_entries"]
ENTRY: Final = sql["entry"]
PROGRESS: Final = sql["progress"]
VERSIONS: Final = sql["versions"]
MEDIA_PAGE: Final = sql["media_page"]
MEDIA_MONTHS: Final = sql["media_months"]
CALENDAR: Final = sql["calendar"]
SPEAKERS: Final = sql["speakers"]
CHANGE_PARTICIPANT: Final = sql["change_participant"]
TURN: Final = sql["turn"]

LOOKED: Final = 20_000
"""Rows that are looked at for one page of a list with filters."""
BY_BUSINESS: Final = "business"
"""Whose a reaction of ours is (store/amendments.sql)."""


async def conversations(
    connection: Connection | Pool,
    tenant: TenantId,
    after: Place,
    limit: int,
    *,
    number_id: str | None = None,
    is_unread: bool | None = None,
    kind: Kind | None = None,
    part: str | None = None,
) -> list[Conversation]:
    """The tenant's conversations, the one with the newest entry first; those that fit among the next `LOOKED`. `part` is a part of
    a name, title or address, in any case."""
    rows = await connection.fetch(
        CONVERSATIONS_PAGE, tenant, after.at, after.id, limit, LOOKED, number_id, is_unread, kind, part
    )
    return [_conversation(row) for row in rows]


async def looked_to(connection: Connection | Pool, tenant: TenantId, after: Place) -> Place | None:
    """How far `conversations` has looked from there; None: to the end."""
    row = await connection.fetchrow(CONVERSATIONS_LOOKED, tenant, after.at, after.id, LOOKED)
    return Place(*row) if row else None


async def conversation(connection: Connection | Pool, tenant: TenantId, conversation_id: str) -> Conversation | None:
    """The conversation, or None where the tenant has no such one."""
    row = await connection.fetchrow(CONVERSATION, tenant, conversation_id)
    return _conversation(row) if row else None


async def name_conversation(
    connection: Connection | Pool, tenant: TenantId, conversation_id: str, title: str | None
) -> Conversation | None:
    """Give it a title, or take it away; the conversation as it is then, or None where the tenant has no such one."""
    row = await connection.fetchrow(NAME_CONVERSATION, tenant, conversation_id, title)
    return _conversation(row) if row else None


async def older(connection: Connection | Pool, conversation_id: str, place: Place, limit: int) -> list[ArchivedEntry]:
    """Entries before a place, newest first, without how far their messages got (`with_progress`)."""
    return [_entry(row) for row in await connection.fetch(OLDER_ENTRIES, conversation_id, place.at, place.id, limit)]


async def newer(connection: Connection | Pool, conversation_id: str, place: Place, limit: int) -> list[ArchivedEntry]:
    """Entries after a place, oldest first, without how far their messages got."""
    return [_entry(row) for row in await connection.fetch(NEWER_ENTRIES, conversation_id, place.at, place.id, limit)]


async def with_progress(
    connection: Connection | Pool, tenant: TenantId, entries: Sequence[ArchivedEntry]
) -> list[ArchivedEntry]:
    """The same entries, with how far their messages got."""
    messages = [entry.message_id for entry in entries if entry.message_id is not None]
    if not messages:
        return list(entries)
    told = {row["message_id"]: row for row in await connection.fetch(PROGRESS, tenant, messages)}
    return [entry if (row := told.get(entry.message_id)) is None else _got_to(entry, row) for entry in entries]


async def entries(
    connection: Connection | Pool, tenant: TenantId, conversation_id: str, after: Place, limit: int
) -> list[ArchivedEntry]:
    """The conversation's entries, newest first, with how far their messages got."""
    return await with_progress(connection, tenant, await older(connection, conversation_id, after, limit))


async def entry(connection: Connection | Pool, tenant: TenantId, entry_id: str) -> ArchivedEntry | None:
    """The entry with how far its message got, or None where the tenant has no such one."""
    row = await connection.fetchrow(ENTRY, tenant, entry_id)
    return (await with_progress(connection, tenant, [_entry(row)]))[0] if row else None


async def versions(connection: Connection | Pool, entry_id: str, after: Place, limit: int) -> list[Version]:
    """What the entry said before it was edited, the latest first; `FIRST_SAID` stands for the entry's own time."""
    rows = await connection.fetch(VERSIONS, entry_id, after.at, after.id, limit)
    return [Version(row["since"], row["id"], orjson.loads(row["content"])) for row in rows]


async def files(
    connection: Connection | Pool,
    conversation_no: int,
    kinds: Sequence[str] | None,
    from_at: datetime,
    after: Place,
    limit: int,
) -> list[ArchivedEntry]:
    """Entries with files, newest first."""
    rows = await connection.fetch(MEDIA_PAGE, conversation_no, kinds, from_at, after.at, after.id, limit)
    return [_entry(row) for row in rows]


async def months_of_files(connection: Connection | Pool, conversation_no: int, time_zone: str) -> list[FilesOfMonth]:
    """How many files of each kind came in each month, the latest month first."""
    return [FilesOfMonth(*row) for row in await connection.fetch(MEDIA_MONTHS, conversation_no, time_zone)]


async def calendar(
    connection: Connection | Pool, conversation_no: int, time_zone: str, from_at: datetime, until_at: datetime
) -> list[Day]:
    """The days that have entries, the latest first."""
    return [Day(*row) for row in await connection.fetch(CALENDAR, conversation_no, time_zone, from_at, until_at)]


async def speakers(connection: Connection | Pool, conversation: Conversation) -> list[Speaker]:
    """Who speaks in the conversation, who said most first."""
    said = [Speaker(*row) for row in await connection.fetch(SPEAKERS, conversation.no)]
    return [
        speaker
        if speaker.id is not None or speaker.is_business or conversation.kind is not Kind.CONTACT
        else speaker._replace(address=conversation.contact_phone, name=conversation.contact_name)
        for speaker in said
    ]


async def change_participant(
    connection: Connection | Pool, conversation_no: int, participant_id: str, *, name: str | None, is_business: bool | None
) -> bool:
    """False where the conversation has no such participant; None leaves something as it is."""
    changed: bool | None = await connection.fetchval(CHANGE_PARTICIPANT, conversation_no, participant_id, name, is_business)
    return changed is not None


async def turn(connection: Connection | Pool, limit: int) -> tuple[str, TenantId, int] | None:
    """Turn the direction of at most `limit` entries of one participant; the conversation, its tenant and how many there were. None
    where nobody's entries have to be turned."""
    row = await connection.fetchrow(TURN, limit)
    return (row["id"], TenantId(row["tenant_id"]), row["entries"]) if row else None


def _entry(row: asyncpg.Record) -> ArchivedEntry:
    entry = ArchivedEntry(
        id=row["id"],
        sent_at=row["sent_at"],
        conversation_id=row["conversation_id"],
        direction=Direction(row["direction"]),
        type=row["type"],
        content=orjson.loads(row["content"]),
        message_id=row["message_id"],
        wamid=row["wamid"],
        status=None,
        status_at=None,
        error_code=None,
        edited_at=row["edited_at"],
        revoked_at=row["revoked_at"],
        media=orjson.loads(row["media"]) if row["media"] else None,
        author=Author(row["author_id"], row["author_name"], row["author_address"]) if row["author_id"] else None,
        reactions=_reactions(row["reactions"]) if row["reactions"] else (),
        annotation=_annotation(row) if row["annotated"] else None,
        bookmark=row["bookmark"],
        labels=tuple(row["labels"]),
    )
    return entry if entry.revoked_at is None else as_revoked(entry)


def _annotation(row: asyncpg.Record) -> Annotation:
    entities = tuple(Entity(**entity) for entity in orjson.loads(row["entities"])) if row["entities"] else ()
    return Annotation(row["language"], row["sentiment"], entities)


def _reactions(text: str) -> tuple[Reaction, ...]:
    """Those that were not taken back, in the order of their making."""
    found = [
        Reaction(None if key == BY_BUSINESS else key, told["emoji"], datetime.fromisoformat(told["at"]))
        for key, told in orjson.loads(text).items()
        if told["emoji"]
    ]
    return tuple(sorted(found, key=lambda reaction: (reaction.at, reaction.address or "")))


def _got_to(entry: ArchivedEntry, row: asyncpg.Record) -> ArchivedEntry:
    return replace(
        entry,
        wamid=entry.wamid or row["wamid"],
        status=EntryStatus(row["status"]),
        status_at=row["status_at"],
        error_code=row["error_code"],
    )


def _conversation(row: asyncpg.Record) -> Conversation:
    return Conversation(
        id=row["id"],
        number_id=row["number_id"],
        contact_phone=row["contact_phone"],
        contact_name=row["contact_name"],
        entry_count=row["entry_count"],
        unread_count=row["unread_count"],
        last_entry_at=row["last_entry_at"],
        last_entry_id=row["last_entry_id"],
        last_direction=Direction(row["last_direction"]),
        last_type=row["last_type"],
        last_preview=row["last_preview"],
        no=row["conversation_no"],
        title=row["title"],
        read_until=row["read_until"],
    )
