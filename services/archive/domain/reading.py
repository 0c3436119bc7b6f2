"""What readers see, and the place a reader has got to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from services.archive.domain.entry import Direction
from services.archive.domain.progress import EntryStatus


class Place(NamedTuple):
    """A row's place in an order that is newest first; a page goes on after it."""

    at: datetime
    id: str


REVOKED_TYPE: Final = "revoked"
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

    @property
    def place(self) -> Place:
        return Place(self.last_entry_at, self.id)


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

    @property
    def place(self) -> Place:
        return Place(self.sent_at, self.id)


def as_revoked(entry: ArchivedEntry) -> ArchivedEntry:
    """What is shown of an entry that was taken back: that it was. What it said is neither shown, previewed nor searched; its row
    and its versions keep it, and how long is for the retention of entries to say."""
    return replace(entry, type=REVOKED_TYPE, content={"type": REVOKED_TYPE}, media=None)


@dataclass(frozen=True, slots=True)
class FoundEntry:
    """An entry that holds all terms of a search."""

    id: str
    sent_at: datetime
    conversation_id: str
    direction: Direction
    type: str
    body: str

    @property
    def place(self) -> Place:
        return Place(self.sent_at, self.id)
