"""What readers see, and the place a reader has got to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from services.archive.domain.annotation import Annotation
from services.archive.domain.entry import Direction
from services.archive.domain.progress import EntryStatus


class Place(NamedTuple):
    """A row's place in an order that is newest first; a page goes on after it."""

    at: datetime
    id: str


class Kind(StrEnum):
    """What a conversation is with."""

    CONTACT = "contact"
    GROUP = "group"
    CHAT = "chat"
    """An exported chat that was imported by itself."""


GROUP_PREFIX: Final = "group:"
CHAT_PREFIX: Final = "chat:"
REVOKED_TYPE: Final = "revoked"
FIRST_SAID: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for the time of what an entry said first, which is the entry's own."""
OLDEST: Final = Place(datetime(1, 1, 2, tzinfo=UTC), "")
"""After every row."""
NEWEST: Final = Place(datetime(9999, 1, 1, tzinfo=UTC), "~")
"""Before every row; `~` sorts after all characters of ids."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation and its last entry; one without entries is not shown."""

    id: str
    number_id: str
    contact_phone: str
    contact_name: str | None
    entry_count: int
    unread_count: int
    last_entry_at: datetime
    last_entry_id: str
    last_direction: Direction
    last_type: str
    last_preview: str
    no: int = 0
    title: str | None = None
    read_until: datetime | None = None

    @property
    def place(self) -> Place:
        return Place(self.last_entry_at, self.id)

    @property
    def kind(self) -> Kind:
        if self.contact_phone.startswith(GROUP_PREFIX):
            return Kind.GROUP
        return Kind.CHAT if self.contact_phone.startswith(CHAT_PREFIX) else Kind.CONTACT


class Author(NamedTuple):
    """Who wrote an entry, where more than two speak. The address is a phone number or a user id, where it is known."""

    id: str
    name: str | None
    address: str | None


class Reaction(NamedTuple):
    """One emoji as an answer to an entry; `address` None: the business's."""

    address: str | None
    emoji: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ArchivedEntry:
    """An entry with, for an outgoing one, how far its message got. `media` is the file that came with it: `media_id`, `mime_type`,
    `size_bytes` and `file_name`, or why it is `lost`."""

    id: str
    sent_at: datetime
    conversation_id: str
    direction: Direction
    type: str
    content: dict[str, Any]
    message_id: str | None
    wamid: str | None
    status: EntryStatus | None
    status_at: datetime | None
    error_code: str | None
    edited_at: datetime | None = None
    revoked_at: datetime | None = None
    media: dict[str, Any] | None = None
    author: Author | None = None
    reactions: tuple[Reaction, ...] = ()
    annotation: Annotation | None = None
    bookmark: str | None = None
    """The note of its bookmark, which may be empty; None: it has none."""
    labels: tuple[str, ...] = ()

    @property
    def place(self) -> Place:
        return Place(self.sent_at, self.id)


def as_revoked(entry: ArchivedEntry) -> ArchivedEntry:
    """What is shown of an entry that was taken back: that it was. What it said is neither shown, previewed nor searched; its row
    and its versions keep it, and how long is for the retention of entries to say."""
    return replace(entry, type=REVOKED_TYPE, content={"type": REVOKED_TYPE}, media=None, reactions=(), annotation=None)


class Version(NamedTuple):
    """What an entry said before it was edited. `id` tells it from another one of the same time."""

    since: datetime
    id: str
    content: dict[str, Any]

    @property
    def place(self) -> Place:
        return Place(self.since, self.id)


class Speaker(NamedTuple):
    """Somebody in a conversation, and how much they said. In a conversation of two the contact and the business have no id."""

    id: str | None
    address: str | None
    name: str | None
    is_business: bool
    entries: int
    first_at: datetime | None
    last_at: datetime | None


class Day(NamedTuple):
    """A day with entries."""

    day: date
    entries: int


class FilesOfMonth(NamedTuple):
    """How many files of a kind came in a month (`2026-11`)."""

    month: str
    kind: str
    files: int
