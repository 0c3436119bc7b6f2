"""What a search finds, and what narrows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple


class Spot(NamedTuple):
    """A row's place in the order of search, newest first: by time, then by the order of storing."""

    at: datetime
    row_no: int


BEGINNING: Final = Spot(datetime(9999, 1, 1, tzinfo=UTC), 2**62)
"""Before every row."""
EVER: Final = datetime(1, 1, 2, tzinfo=UTC)
"""Before the first entry."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What every hit must be besides holding the words. None: any. `until` is exclusive; an author has one conversation."""

    conversation_no: int | None = None
    author_no: int | None = None
    is_outgoing: bool | None = None
    types: tuple[str, ...] | None = None
    has_file: bool | None = None
    label: str | None = None
    since: datetime = EVER
    until: datetime = BEGINNING.at

    @property
    def narrow(self) -> bool:
        """Whether they leave something to be found without a word."""
        return self != Filters(since=self.since, until=self.until)


class Hit(NamedTuple):
    """An entry that was found."""

    row_no: int
    sent_at: datetime
    conversation_no: int
    is_outgoing: bool
    type: str
    body: str
    entry_id: str
    conversation_id: str
    conversation_name: str
    author_id: str | None
    author_name: str | None

    @property
    def spot(self) -> Spot:
        return Spot(self.sent_at, self.row_no)


class Neighbour(NamedTuple):
    """An entry that stands beside a hit; its text is cut."""

    entry_id: str
    sent_at: datetime
    is_outgoing: bool
    type: str
    body: str
    author_id: str | None
    author_name: str | None
