"""What the archive's HTTP interface takes and gives; the gateway passes it on to tenants as it is."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from services.archive.domain.entry import Direction
from services.archive.domain.progress import EntryStatus

MAX_PAGE: Final = 100


class PageQuery(BaseModel):
    """Which page of a list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=MAX_PAGE, description="Rows a page has at most.")
    cursor: str | None = Field(
        None, max_length=400, description="`next_cursor` of the page before; nothing for the first page."
    )


class SearchQuery(PageQuery):
    """What to look for."""

    q: str = Field(
        min_length=1,
        max_length=400,
        description='Words that must all occur, in any case, accents or not; `"a phrase"` in order; `beg*` for a beginning.',
    )


class Contact(BaseModel):
    """The other side of a conversation."""

    phone: str = Field(description="E.164 with the plus sign.")
    name: str | None = Field(None, description="The name the contact last showed.")


class LastEntry(BaseModel):
    """The newest entry of a conversation, in brief."""

    id: str
    direction: Direction
    type: str = Field(description="The content's type: text, image, template …")
    preview: str = Field(description="The beginning of what it says, on one line; empty for an image without a caption.")
    sent_at: datetime


class ConversationPayload(BaseModel):
    """What a number and a contact wrote to each other."""

    id: str = Field(description="`cnv_…`")
    number_id: str
    contact: Contact
    entry_count: int
    unread_count: int = Field(description="Incoming entries that were not marked as read.")
    last_entry: LastEntry


class EntryError(BaseModel):
    """Why a message did not arrive."""

    code: str


class EntryPayload(BaseModel):
    """A message in or out."""

    id: str = Field(description="`ent_…`")
    conversation_id: str
    direction: Direction
    type: str = Field(description="The content's type: text, image, template …")
    content: dict[str, Any] = Field(description="In the Cloud API's own shape.")
    sent_at: datetime = Field(description="Outgoing: when it was released to be sent. Incoming: the provider's time.")
    message_id: str | None = Field(None, description="`msg_…`; of outgoing entries.")
    provider_id: str | None = Field(None, description="The wamid; of outgoing entries once it is known.")
    status: EntryStatus | None = Field(None, description="How far an outgoing message got.")
    status_at: datetime | None = None
    error: EntryError | None = None


class Snippet(BaseModel):
    """The part of a text that was found. Plain text: escape it before it becomes HTML."""

    text: str
    highlights: list[tuple[int, int]] = Field(
        description="Places of `text` that were asked for: start and end, in Unicode code points."
    )


class HitPayload(BaseModel):
    """An entry that was found."""

    entry_id: str
    conversation_id: str
    direction: Direction
    type: str
    sent_at: datetime
    snippet: Snippet


class ConversationPage(BaseModel):
    """Conversations, the one with the newest entry first."""

    data: list[ConversationPayload]
    next_cursor: str | None = Field(None, description="Asks for the next page; absent on the last one.")


class EntryPage(BaseModel):
    """Entries of a conversation, newest first."""

    data: list[EntryPayload]
    next_cursor: str | None = Field(None, description="Asks for the next page; absent on the last one.")


class SearchPage(BaseModel):
    """Entries that were found, newest first."""

    data: list[HitPayload]
    next_cursor: str | None = Field(
        None,
        description="Asks for the next page; absent on the last one. A phrase can have short or empty pages before the end.",
    )
