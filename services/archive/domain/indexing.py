"""The lexemes of a search row: the terms of its text, and marks that narrow a search without leaving the index.

Every lexeme begins with the tenant's number, so that a search reads nothing of others, and the number of entries with a term is the
tenant's own (measured on 1.5 M rows: a mark for the tenant beside plain terms takes 1.3 to 40 times as long).

    17:parcel       the term `parcel` in an entry of tenant 17
    17~m202611      sent in November 2026, UTC
    17~d20261103    on its third day
    17~c4021        of conversation 4021
    17~t:image      of this type, for all but texts; what types are called comes from outside
    17~file         a file came with it
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from functools import lru_cache
from typing import Final

from services.archive.domain.analyzer import quote, terms, tsvector_literal

INDEXED_CHARS: Final = 32_768
"""Far more than a message can have; bounds the tsvector, which PostgreSQL limits to 1 MB."""
PLAIN_TYPE: Final = "text"
FILE_TYPES: Final = frozenset({"image", "video", "audio", "document", "sticker", "media"})
"""Types of entries that a file came with, whether it was kept or not. `media`: an export does not say which kind was left out."""


def term_lexeme(tenant_no: int, term: str) -> str:
    """A term of a text."""
    return f"{tenant_no}:{term}"


def month_lexeme(tenant_no: int, moment: datetime) -> str:
    """The month a moment is of."""
    moment = moment.astimezone(UTC)
    return f"{tenant_no}~m{moment.year:04}{moment.month:02}"


def day_lexeme(tenant_no: int, moment: datetime) -> str:
    """The day a moment is of."""
    moment = moment.astimezone(UTC)
    return f"{tenant_no}~d{moment.year:04}{moment.month:02}{moment.day:02}"


def conversation_lexeme(tenant_no: int, conversation_no: int) -> str:
    """A conversation."""
    return f"{tenant_no}~c{conversation_no}"


def type_lexeme(tenant_no: int, type_: str) -> str:
    """A type of content other than text."""
    return f"{tenant_no}~t:{type_}"


def file_lexeme(tenant_no: int) -> str:
    """Entries that a file came with."""
    return f"{tenant_no}~file"


def search_literal(tenant_no: int, body: str, type_: str, sent_at: datetime, conversation_no: int | None = None) -> str:
    """What an entry is found by, as PostgreSQL spells a tsvector. Where the conversation's number is not known yet, its lexeme is
    for the statement to add (`|| ' ''' || tenant_no || '~c' || conversation_no || ''''`)."""
    said, placed = content_literal(tenant_no, body, type_), place_literal(tenant_no, sent_at, conversation_no)
    return f"{said} {placed}" if said else placed


def place_literal(tenant_no: int, sent_at: datetime, conversation_no: int | None) -> str:
    """The part that says when and where."""
    when = _day_literal(tenant_no, sent_at.astimezone(UTC).date())
    return when if conversation_no is None else f"{when} {quote(conversation_lexeme(tenant_no, conversation_no))}"


@lru_cache(maxsize=1_024)
def _day_literal(tenant_no: int, day: date) -> str:
    """Entries that come together are of few days: spelling one out takes five times as long as finding it here."""
    moment = datetime.combine(day, time(), UTC)
    return f"{quote(month_lexeme(tenant_no, moment))} {quote(day_lexeme(tenant_no, moment))}"


def content_literal(tenant_no: int, body: str, type_: str) -> str:
    """The part that changes with what an entry says: its terms, and what kind of content it is."""
    found = terms(body[:INDEXED_CHARS])
    # Spelt in one step: terms hold nothing to be quoted, and this is most of what an imported entry costs.
    said = f"'{tenant_no}:" + f"' '{tenant_no}:".join(found) + "'" if found else ""
    if type_ == PLAIN_TYPE:
        return said
    marks = [type_lexeme(tenant_no, type_)]
    if type_ in FILE_TYPES:
        marks.append(file_lexeme(tenant_no))
    return f"{said} {tsvector_literal(marks)}" if said else tsvector_literal(marks)
