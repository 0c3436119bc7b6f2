"""An import of a chat export: what is wanted of it, and where it stands.

    uploading ──► surveying ──► ready ──► importing ──► completed ──► undoing ──► undone
                      │  (where a preview is asked for)    │ failed, canceled ──┘
                      └────────────────────────────────────┘

`canceled` can be reached from every state before `completed`, `failed` from `surveying` and `importing`. What was stored until then
stays, and can be undone.
"""

from __future__ import annotations

import unicodedata
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict

TITLE_CHARS: Final = 200
TEXT_SUFFIXES: Final = (".txt", ".zip")


class ImportState(StrEnum):
    UPLOADING = "uploading"
    SURVEYING = "surveying"
    READY = "ready"
    IMPORTING = "importing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    UNDOING = "undoing"
    UNDONE = "undone"


ENDED: Final = frozenset({ImportState.COMPLETED, ImportState.FAILED, ImportState.CANCELED, ImportState.UNDONE})
"""Nothing happens in these by itself."""
CANCELABLE: Final = frozenset({ImportState.UPLOADING, ImportState.SURVEYING, ImportState.READY, ImportState.IMPORTING})
UNDOABLE: Final = frozenset({ImportState.COMPLETED, ImportState.FAILED, ImportState.CANCELED})


class DayOrder(StrEnum):
    """Which part of a date comes first."""

    DAY_FIRST = "day_first"
    MONTH_FIRST = "month_first"
    YEAR_FIRST = "year_first"


class ImportOptions(BaseModel):
    """What is wanted of an import. Without a conversation, and without a number and a contact, the chat stands by itself."""

    model_config = ConfigDict(frozen=True)

    conversation_id: str | None = None
    number_id: str | None = None
    contact: str | None = None
    title: str | None = None
    time_zone: str = "UTC"
    day_order: DayOrder | None = None
    me: tuple[str, ...] = ()
    preview: bool = False


def title_of(file_name: str) -> str:
    """What a chat is called whose export has this name: the name without the words that the app puts before it.

    Those words differ by language; the English ones, and the iOS form `WhatsApp Chat - NAME`, are taken off.
    """
    stem = file_name.replace("\\", "/").rpartition("/")[2]
    for suffix in TEXT_SUFFIXES:
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
    for lead in ("WhatsApp Chat with ", "WhatsApp Chat - "):
        if stem.startswith(lead) and stem != lead:
            stem = stem[len(lead) :]
    return " ".join(stem.split())[:TITLE_CHARS] or "Chat"


def folded(name: str) -> str:
    """A name as names are compared: NFC, without marks of direction, any space like a plain one, case-blind."""
    plain = "".join(char for char in unicodedata.normalize("NFC", name) if unicodedata.category(char) not in {"Cf", "Cc"})
    return " ".join(plain.split()).casefold()
