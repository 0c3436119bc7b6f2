"""What goes into an export, as it comes from the archive: a chat after the other, entries in blocks, the oldest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import asyncpg
import orjson

from services.archive.domain.analyzer import quote
from services.archive.domain.content import body_of
from services.archive.domain.entry import FIRST_MOMENT, LAST_MOMENT, Direction, month_of, next_month
from services.archive.domain.export import Scope, Search
from services.archive.domain.exported import REVOKED, ConversationHead, ExportedEntry
from services.archive.domain.indexing import conversation_lexeme, file_lexeme, month_lexeme
from services.archive.domain.query import parse
from services.archive.store import exports as store
from services.archive.store.search import author_number
from shared.db.pool import Connection
from shared.ids import TenantId

SEARCH_TITLE: Final = "Search"
BLOCK: Final = 100
"""Entries made without a break: a millisecond or two, after which whoever writes them lets the loop turn."""


class Chat(NamedTuple):
    """Entries that stand together: a conversation, or everything that a search found."""

    title: str
    about: str
    entry_count: int | None
    """None where that is not known before."""
    read: Callable[[], AsyncIterator[Sequence[ExportedEntry]]]
    is_mixed: bool = False
    """From many conversations."""
    names_authors: bool = True
    """False where the side of an entry says who spoke."""

    @property
    def blocks(self) -> AsyncIterator[Sequence[ExportedEntry]]:
        """Its blocks, from the beginning whenever it is asked for."""
        return self.read()


class Source:
    """Reads for one export, within one snapshot, with the names that its scope shows."""

    def __init__(self, connection: Connection, tenant: TenantId, tenant_no: int | None, scope: Scope) -> None:
        self._connection = connection
        self._tenant = tenant
        self._tenant_no = tenant_no
        self._scope = scope
        self._zone = ZoneInfo(scope.time_zone)
        self._since = scope.since or FIRST_MOMENT
        self._until = scope.until or LAST_MOMENT
        self._chats = 0

    async def title(self) -> str | None:
        """What the one conversation of the export is called; None where there is no such, or where it has many."""
        if self._scope.conversation_id is None:
            return None
        row = await store.conversation(self._connection, self._tenant, self._scope.conversation_id)
        return None if row is None else _Names(self._scope, 1).title(_head(row))

    async def chats(self) -> AsyncIterator[Chat]:
        """Each chat's blocks are read before the next chat is asked for; to read all of it again, ask again."""
        self._chats = 0
        if self._scope.search is not None:
            yield self._found(self._scope.search)
        elif self._scope.conversation_id is not None:
            row = await store.conversation(self._connection, self._tenant, self._scope.conversation_id)
            if row is not None:
                yield self._chat(row)
        else:
            async for rows in store.conversations(self._connection, self._tenant):
                for row in rows:
                    yield self._chat(row)

    def _chat(self, row: asyncpg.Record) -> Chat:
        head = _head(row)
        self._chats += 1
        names = _Names(self._scope, self._chats)
        title = names.title(head)
        is_whole = self._scope.since is None and self._scope.until is None
        about = "" if self._scope.hide_names or head.phone is None or head.phone == title else head.phone

        def blocks() -> AsyncIterator[Sequence[ExportedEntry]]:
            return self._entries(head, names)

        count = head.entry_count if is_whole else None
        return Chat(title, about, count, blocks, names_authors=head.phone is None)

    async def _entries(self, head: ConversationHead, names: _Names) -> AsyncIterator[Sequence[ExportedEntry]]:
        async for rows in store.entries(self._connection, head.id, self._since, self._until):
            for start in range(0, len(rows), BLOCK):
                yield [self._entry(row, head, names) for row in rows[start : start + BLOCK]]

    def _found(self, search: Search) -> Chat:
        title = f"{SEARCH_TITLE}: {search.q}" if search.q else SEARCH_TITLE
        return Chat(title, "", None, lambda: self._found_blocks(search), is_mixed=True)

    async def _found_blocks(self, search: Search) -> AsyncIterator[Sequence[ExportedEntry]]:
        """A month after the other, so that each is found by the index and sorted within memory."""
        if self._tenant_no is None:
            return
        conversation_no = None
        if search.conversation_id is not None:
            row = await store.conversation(self._connection, self._tenant, search.conversation_id)
            if row is None:
                return
            conversation_no = row["conversation_no"]
        author_no = None
        if search.participant_id is not None:
            author = await author_number(self._connection, self._tenant_no, search.participant_id)
            if author is None or conversation_no not in {None, author[1]}:
                return
            author_no, conversation_no = author
        question = parse(search.q or "")
        narrowing = [question.tsquery(self._tenant_no)] if search.q else []
        if search.has_media:
            narrowing.append(quote(file_lexeme(self._tenant_no)))
        if conversation_no is not None:
            narrowing.append(quote(conversation_lexeme(self._tenant_no, conversation_no)))
        is_outgoing = None if search.direction is None else search.direction is Direction.OUTGOING
        narrowed = store.Narrowed(conversation_no, is_outgoing, search.type, search.label, author_no)
        names: dict[str, _Names] = {}
        async for since, until in self._months():
            terms = " & ".join([quote(month_lexeme(self._tenant_no, since)), *narrowing])
            async for rows in store.found(self._connection, self._tenant_no, terms, since, until, narrowed):
                for start in range(0, len(rows), BLOCK):
                    met = (row for row in rows[start : start + BLOCK] if question.is_met_by(row["found_body"]))
                    yield [self._entry(row, *self._named(row, names)) for row in met]

    def _named(self, row: asyncpg.Record, known: dict[str, _Names]) -> tuple[ConversationHead, _Names]:
        """The names of a conversation whose entries come between those of others. Only those that are made up are kept."""
        head = _head(row, row["conversation_id"])
        if not self._scope.hide_names:
            return head, _Names(self._scope, 0)
        if head.id not in known:
            known[head.id] = _Names(self._scope, len(known) + 1)
        return head, known[head.id]

    async def _months(self) -> AsyncIterator[tuple[datetime, datetime]]:
        """The parts of the scope's time that lie in one month each and have something."""
        assert self._tenant_no is not None
        since = self._since
        while (first := await store.next_found(self._connection, self._tenant_no, since)) is not None and first < self._until:
            since = max(since, month_of(first))
            until = min(next_month(month_of(first)), self._until)
            yield since, until
            since = until

    def _entry(self, row: asyncpg.Record, head: ConversationHead, names: _Names) -> ExportedEntry:
        direction = Direction(row["direction"])
        author, address = names.author(row, head, direction)
        is_revoked = row["revoked_at"] is not None
        content: dict[str, Any] = {"type": REVOKED} if is_revoked else orjson.loads(row["content"])
        media = orjson.loads(row["media"]) if row["media"] is not None and not is_revoked else None
        if media is not None and row["object_key"] is not None:
            media["object_key"] = row["object_key"]
        if self._scope.hide_names:
            content = {name: value for name, value in content.items() if name != "context"}  # says who is answered
        return ExportedEntry(
            id=row["id"],
            conversation_id=row["conversation_id"],
            conversation=names.title(head),
            direction=direction,
            author=author,
            address=address,
            type=REVOKED if is_revoked else row["type"],
            content=content,
            body="" if is_revoked else body_of(content),
            sent_at=row["sent_at"],
            local=row["sent_at"].astimezone(self._zone),
            message_id=row["message_id"],
            wamid=None if self._scope.hide_names else row["wamid"],  # which holds the phone number
            status=row["status"],
            edited_at=row["edited_at"] and row["edited_at"].astimezone(self._zone),
            media=media,
            reactions=None if row["reactions"] is None else _counted(orjson.loads(row["reactions"])),
            bookmark=row["bookmark"],
            labels=sorted(row["labels"]),
        )


class _Names:
    """Who is called what in one conversation: as they are, or `Person 1`, `Person 2` in the order of their first words."""

    def __init__(self, scope: Scope, chat: int) -> None:
        self._scope = scope
        self._chat = chat
        self._people: dict[int | None, str] = {}

    def title(self, head: ConversationHead) -> str:
        return f"Conversation {self._chat}" if self._scope.hide_names else head.shown()

    def author(self, row: asyncpg.Record, head: ConversationHead, direction: Direction) -> tuple[str, str | None]:
        """The name and the address of who speaks."""
        number = row["author_no"]
        if direction is Direction.OUTGOING and (number is None or not row["author_name"] or self._scope.hide_names):
            return self._scope.me, None
        if self._scope.hide_names:
            return self._people.setdefault(number, f"Person {len(self._people) + 1}"), None
        if number is None:
            return head.name or head.phone or head.shown(), head.phone
        return row["author_name"] or row["author_address"] or "?", row["author_address"]


def _head(row: asyncpg.Record, conversation_id: str | None = None) -> ConversationHead:
    return ConversationHead(
        conversation_id or row["id"],
        row["number_id"],
        row["contact_phone"],
        row["contact_name"],
        row["title"],
        row["entry_count"],
    )


def _counted(reactions: Any) -> dict[str, int] | None:
    """How many people answered with which emoji."""
    return dict(Counter(_emojis(reactions))) or None


def _emojis(reactions: Any) -> Iterator[str]:
    for reaction in reactions.values() if isinstance(reactions, dict) else ():
        if isinstance(reaction, dict) and isinstance(reaction.get("emoji"), str) and reaction["emoji"]:
            yield reaction["emoji"]
