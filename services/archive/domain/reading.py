"""What readers see, and the place a reader has got to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from services.archive.domain.entry import Direction
from services.archive.domain.progress import EntryStatus


class Place(NamedTuple):
    """A row's place in an order that is newest first; a page goes on after it."""

    at: datetime
    id: str


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
    """An entry with, for an outgoing one, how far its message got."""

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

    @property
    def place(self) -> Place:
        return Place(self.sent_at, self.id)


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
