"""What the archive keeps of people, found page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg

from services.archive.domain.importing import folded
from services.archive.domain.reading import CHAT_PREFIX
from services.archive.store import exports
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.erasure.person import Person
from shared.erasure.steps import Found
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("erasing.sql"))
TAKE_TURN: Final = sql["take_turn"]
UNKNOWN_PARTICIPANTS: Final = sql["unknown_participants"]
PEOPLE_CALLED: Final = sql["people_called"]
CONVERSATIONS_WITH: Final = sql["conversations_with"]
PAGE_OF_ENTRIES: Final = sql["page_of_entries"]
FORGET_QUOTES: Final = sql["forget_quotes"]
VERSIONS_OF: Final = sql["versions_of"]
REACTED_ENTRIES: Final = sql["reacted_entries"]
FORGET_REACTIONS: Final = sql["forget_reactions"]
PAGE_OF_AMENDMENTS: Final = sql["page_of_amendments"]
DELETE_AMENDMENTS: Final = sql["delete_amendments"]
IMPORTS_OF: Final = sql["imports_of"]
DELETE_IMPORTS: Final = sql["delete_imports"]
IMPORTS_NAMING: Final = sql["imports_naming"]
UNNAME_IMPORTS: Final = sql["unname_imports"]
EXPORTS_HOLDING: Final = sql["exports_holding"]
DELETE_DRAINED: Final = sql["delete_drained"]
RENAME_CHATS: Final = sql["rename_chats"]
UNNAME_CONVERSATIONS: Final = sql["unname_conversations"]
LOCK_CONVERSATIONS: Final = sql["lock_conversations"]
LOCK_PARTICIPANTS: Final = sql["lock_participants"]
SET_APART: Final = sql["set_apart"]
DELETE_PARTICIPANTS: Final = sql["delete_participants"]
PAGE_OF_PROGRESS: Final = sql["page_of_progress"]
DELETE_PROGRESS: Final = sql["delete_progress"]

ENTRIES: Final = 1_000
"""Removed by one step, a few hundred milliseconds' work."""
LOOKED_THROUGH: Final = 5_000
REACTIONS: Final = 1_000
AMENDMENTS: Final = 5_000
PROGRESS: Final = 5_000
_BETWEEN: Final = "\x1f"
"""Of the parts of a place."""
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)

EntryKey = tuple[str, datetime]


class Called(NamedTuple):
    """A chat that has a person's name as its title, or in the key that was made of its first title, or both."""

    conversation_id: str
    by_title: bool
    by_key: bool


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Conversations, by id and number, that are a person's as a whole, and others in which they speak."""

    own: Mapping[str, int]
    shared: Mapping[str, int]
    participants: Mapping[str, list[int]] = field(default_factory=dict)
    """Of the shared ones."""
    names: Sequence[str] = ()
    """What they are called in the shared ones."""
    together: Sequence[int] = ()
    """Those of the participants who are not set apart yet: what they say now is still stored as theirs."""
    called: Sequence[Called] = ()
    """Imported chats of the shared ones that are called by the person's name."""

    @property
    def all(self) -> list[str]:
        return [*self.own, *self.shared]


class Spoken(NamedTuple):
    """An entry of a conversation of several: the person's own, or one that quotes them."""

    key: EntryKey
    is_theirs: bool


async def take_turn(connection: Connection, tenant_id: TenantId) -> None:
    """Of several who erase for a tenant at once, each then finds what the others have left, and none waits for another's rows."""
    await connection.execute(TAKE_TURN, tenant_id)


async def unknown_participants(connection: Connection | Pool, tenant_id: TenantId, participant_ids: Sequence[str]) -> list[str]:
    """Those of the ids that no participant of the tenant has."""
    return [row["id"] for row in await connection.fetch(UNKNOWN_PARTICIPANTS, tenant_id, participant_ids)]


async def whereabouts(connection: Connection, tenant_id: TenantId, person: Person) -> Whereabouts:
    own = {row["id"]: row["conversation_no"] for row in await connection.fetch(CONVERSATIONS_WITH, tenant_id, person.spellings)}
    shared: dict[str, int] = {}
    participants: dict[str, list[int]] = {}
    names: list[str] = []
    together: list[int] = []
    called: dict[str, Called] = {}
    for row in await connection.fetch(PEOPLE_CALLED, tenant_id, person.spellings, person.participant_ids):
        if row["is_alone"] or row["conversation_id"] in own:
            own[row["conversation_id"]] = row["conversation_no"]
            continue
        shared[row["conversation_id"]] = row["conversation_no"]
        participants.setdefault(row["conversation_id"], []).append(row["participant_no"])
        if row["name"]:
            names.append(row["name"])
        if not row["is_apart"]:
            together.append(row["participant_no"])
        by_title, by_key = _called(row)
        if by_title or by_key:
            _, known_title, known_key = called.get(row["conversation_id"], ("", False, False))
            called[row["conversation_id"]] = Called(row["conversation_id"], by_title or known_title, by_key or known_key)
    return Whereabouts(own, shared, participants, list(dict.fromkeys(names)), together, list(called.values()))


def _called(row: asyncpg.Record) -> tuple[bool, bool]:
    """Whether a chat's title, and its key, are the participant's name, as the tenant writes it or as the export did."""
    if not row["contact_phone"].startswith(CHAT_PREFIX):
        return False, False
    names = {folded(row["name"] or ""), row["key"].removeprefix("name:")} - {""}
    return folded(row["title"] or "") in names, row["contact_phone"].removeprefix(CHAT_PREFIX) in names


async def imports(connection: Connection, tenant_id: TenantId, person: Person, _: str) -> Found:
    """Imports of conversations that are theirs as a whole."""
    where = await whereabouts(connection, tenant_id, person)
    rows = await connection.fetch(IMPORTS_OF, tenant_id, list(where.own), person.spellings)
    return Found([row["import_no"] for row in rows])


async def delete_imports(connection: Connection, import_nos: Sequence[int]) -> None:
    await connection.execute(DELETE_IMPORTS, import_nos)


async def imports_naming(connection: Connection, tenant_id: TenantId, person: Person, _: str) -> Found:
    """Imports of conversations of several that still name them."""
    where = await whereabouts(connection, tenant_id, person)
    if not where.names:
        return Found([])
    rows = await connection.fetch(IMPORTS_NAMING, tenant_id, list(where.shared), where.names)
    return Found([(row["import_no"], where.names) for row in rows])


async def unname_imports(connection: Connection, items: Sequence[tuple[int, Sequence[str]]]) -> None:
    await connection.execute(UNNAME_IMPORTS, [number for number, _ in items], items[0][1])


async def entries(connection: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
    """Keys of entries of conversations that are theirs as a whole, a conversation after the other."""
    where = await whereabouts(connection, tenant_id, person)
    conversation_id, start = _place(sorted(where.own), after)
    if conversation_id is None:
        return Found([])
    rows = await connection.fetch(PAGE_OF_ENTRIES, conversation_id, *start, ENTRIES, None)
    more = _after(conversation_id, (rows[-1]["sent_at"], rows[-1]["id"]) if len(rows) == ENTRIES else None)
    wamids = [row["wamid"] for row in rows if row["wamid"] is not None]
    return Found([(row["id"], row["sent_at"]) for row in rows], more, wamids, [conversation_id])


async def titles(connection: Connection, tenant_id: TenantId, person: Person, _: str) -> Found:
    """Chats of several that are called by their name."""
    called = (await whereabouts(connection, tenant_id, person)).called
    return Found(called, touched=[chat.conversation_id for chat in called])


async def rename_chats(connection: Connection, called: Sequence[Called]) -> None:
    """They have no title any more, and a key that says nothing."""
    await connection.execute(
        RENAME_CHATS,
        [chat.conversation_id for chat in called],
        [chat.conversation_id for chat in called if chat.by_title],
        [chat.conversation_id for chat in called if chat.by_key],
    )


async def speakers(connection: Connection, tenant_id: TenantId, person: Person, _: str) -> Found:
    """Participants as whom they can still speak."""
    return Found((await whereabouts(connection, tenant_id, person)).together)


async def set_apart(connection: Connection, participant_nos: Sequence[int]) -> int:
    """From now on none of their entries is added to; returns how many participants that is true of."""
    await connection.execute(LOCK_PARTICIPANTS, participant_nos)
    return _rows(await connection.execute(SET_APART, participant_nos))


async def spoken(connection: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
    """What they said where others speak too, and who quotes them."""
    where = await whereabouts(connection, tenant_id, person)
    conversation_id, start = _place(sorted(where.shared), after)
    if conversation_id is None:
        return Found([])
    rows = await connection.fetch(PAGE_OF_ENTRIES, conversation_id, *start, LOOKED_THROUGH, where.participants[conversation_id])
    items = [
        Spoken((row["id"], row["sent_at"]), row["is_theirs"])
        for row in rows
        if row["is_theirs"] or (row["context"] is not None and person.traces.are_in(row["context"].encode()))
    ]
    more = _after(conversation_id, (rows[-1]["sent_at"], rows[-1]["id"]) if len(rows) == LOOKED_THROUGH else None)
    wamids = [row["wamid"] for row in rows if row["is_theirs"] and row["wamid"] is not None]
    return Found(items, more, wamids, [conversation_id] if items else [])


async def forget_quotes(connection: Connection, keys: Sequence[EntryKey]) -> None:
    """What others say stays; to whom they say it does not."""
    ids = [entry_id for entry_id, _ in keys]
    await connection.execute(FORGET_QUOTES, ids, [sent_at for _, sent_at in keys])
    await connection.execute(VERSIONS_OF, ids)


async def reactions(connection: Connection, tenant_id: TenantId, person: Person, _: str) -> Found:
    rows = await connection.fetch(REACTED_ENTRIES, tenant_id, person.spellings, REACTIONS)
    return Found([(row["id"], row["sent_at"]) for row in rows], touched=list({row["conversation_id"] for row in rows}))


async def forget_reactions(connection: Connection, person: Person, keys: Sequence[EntryKey]) -> None:
    await connection.execute(
        FORGET_REACTIONS, [entry_id for entry_id, _ in keys], [sent_at for _, sent_at in keys], person.spellings
    )


async def amendments(connection: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
    """Events that wait for their entry."""
    rows = await connection.fetch(PAGE_OF_AMENDMENTS, tenant_id, after, AMENDMENTS)
    called = set(person.spellings)
    found = [
        row["event_id"]
        for row in rows
        if row["wamid"] is not None
        and (row["contact_phone"] in called or row["who"] in called or person.traces.name(row["wamid"]))
    ]
    return Found(found, rows[-1]["event_id"] if len(rows) == AMENDMENTS else None)


async def delete_amendments(connection: Connection, event_ids: Sequence[str]) -> None:
    await connection.execute(DELETE_AMENDMENTS, event_ids)


async def exports_holding(connection: Connection, tenant_id: TenantId, person: Person, _: str) -> Found:
    """(export, conversations) of what can hold something of theirs; once nothing is left of them, no export can."""
    where = (await whereabouts(connection, tenant_id, person)).all
    if not where:
        return Found([])
    rows = await connection.fetch(EXPORTS_HOLDING, tenant_id, where)
    return Found([(row["id"], where) for row in rows])


async def delete_exports(connection: Connection, tenant_id: TenantId, items: Sequence[tuple[str, Sequence[str]]]) -> None:
    await exports.delete_with(connection, tenant_id, items[0][1])


async def conversations(connection: Connection, tenant_id: TenantId, person: Person, _: str) -> Found:
    where = await whereabouts(connection, tenant_id, person)
    return Found(list(where.own.items()), touched=list(where.own))


async def delete_drained(connection: Connection, tenant_id: TenantId, conversation_ids: Sequence[str]) -> int:
    """Those of which everything is counted out; returns how many."""
    await connection.execute(LOCK_CONVERSATIONS, conversation_ids)  # what is stored just now is seen by the next statements
    await connection.execute(UNNAME_CONVERSATIONS, conversation_ids)
    return _rows(await connection.execute(DELETE_DRAINED, tenant_id, conversation_ids))


async def participants(connection: Connection, tenant_id: TenantId, person: Person, _: str) -> Found:
    where = await whereabouts(connection, tenant_id, person)
    found = [(number, where.shared[id_]) for id_, numbers in where.participants.items() for number in numbers]
    return Found(found, touched=list(where.shared))


async def delete_participants(connection: Connection, participant_nos: Sequence[int]) -> int:
    """Those who were set apart; returns how many."""
    return _rows(await connection.execute(DELETE_PARTICIPANTS, participant_nos))


async def progress(connection: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
    """Messages of which was told how far they got, and no more: their entry has gone, or has yet to come. The provider's id names
    the recipient."""
    at, _, message_id = after.partition(_BETWEEN)
    start = datetime.fromisoformat(at) if at else _FIRST
    rows = await connection.fetch(PAGE_OF_PROGRESS, tenant_id, start, message_id, PROGRESS)
    found = [row["message_id"] for row in rows if row["wamid"] is not None and person.traces.name(row["wamid"])]
    last = rows[-1] if len(rows) == PROGRESS else None
    return Found(found, None if last is None else f"{last['told_at'].isoformat()}{_BETWEEN}{last['message_id']}")


async def delete_progress(connection: Connection, tenant_id: TenantId, message_ids: Sequence[str]) -> None:
    await connection.execute(DELETE_PROGRESS, tenant_id, message_ids)


def _rows(command: str) -> int:
    """How many rows a command was about, by what PostgreSQL says of it."""
    return int(command.rpartition(" ")[2])


def _place(conversation_ids: Sequence[str], after: str) -> tuple[str | None, tuple[datetime, str]]:
    """The conversation to look through and the key to go on after; None behind the last."""
    before, at, entry_id = (*after.split(_BETWEEN), "", "")[:3]
    if at:
        return before, (datetime.fromisoformat(at), entry_id)
    return next((one for one in conversation_ids if one > before), None), (_FIRST, "")


def _after(conversation_id: str, key: tuple[datetime, str] | None) -> str:
    return conversation_id if key is None else _BETWEEN.join((conversation_id, key[0].isoformat(), key[1]))
