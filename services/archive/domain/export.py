"""What an export takes out of the archive, and how it is written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self

from services.archive.domain.entry import Direction

ME: Final = "You"
"""Who the tenant is called in exports, unless they say otherwise; WhatsApp's own exports made by tools have it too."""


class Format(StrEnum):
    """How an export is written."""

    NDJSON = "ndjson"
    CSV = "csv"
    HTML = "html"
    WHATSAPP = "whatsapp"


class ExportState(StrEnum):
    """How far an export is.

        queued ──► running ──► completed ──► expired
          ▲  │        │  │
          └──┼────────┘  ├──► failed
             └───────────┴──► canceled          any of them ──► deleted

    From running back to queued: the worker stopped or died, and another one starts over.
    """

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Search:
    """Entries that are searched for; what is None narrows nothing."""

    q: str | None = None
    conversation_id: str | None = None
    direction: Direction | None = None
    type: str | None = None
    has_media: bool = False
    label: str | None = None
    participant_id: str | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """What is taken: a conversation, what a search finds, or, without either, everything; from a moment to before another. Then how
    it is written: local times of a zone, files beside the text, names replaced by numbers, the name of the tenant's own side."""

    conversation_id: str | None = None
    search: Search | None = None
    since: datetime | None = None
    until: datetime | None = None
    time_zone: str = "UTC"
    with_media: bool = False
    hide_names: bool = False
    me: str = ME

    def stored(self) -> dict[str, Any]:
        """As JSON that `read` takes."""
        search = self.search and {name: getattr(self.search, name) for name in Search.__slots__}
        plain = {name: getattr(self, name) for name in Scope.__slots__}
        moments = {name: plain[name] and plain[name].isoformat() for name in ("since", "until")}
        return plain | moments | {"search": search}

    @classmethod
    def read(cls, stored: dict[str, Any]) -> Self:
        """What `stored` made."""
        given = dict(stored)
        for name in ("since", "until"):
            given[name] = given[name] and datetime.fromisoformat(given[name])
        if given["search"]:
            search = dict(given["search"])
            search["direction"] = search["direction"] and Direction(search["direction"])
            given["search"] = Search(**search)
        return cls(**given)


def is_zipped(form: Format, scope: Scope) -> bool:
    """Whether an export is several files in one zip: pages, chats, or files beside the text."""
    is_many_chats = form is Format.WHATSAPP and scope.conversation_id is None and scope.search is None
    return form is Format.HTML or scope.with_media or is_many_chats
