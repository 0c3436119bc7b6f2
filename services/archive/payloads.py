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
    type: str = Field(description="The content's type: text, image, template …; `revoked`: it was taken back.")
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


class EntryMedia(BaseModel):
    """The file that came with a message."""

    media_id: str | None = Field(None, description="`med_…`: read it at `/api/media`; absent where it is lost.")
    mime_type: str | None = None
    size_bytes: int | None = None
    file_name: str | None = None
    lost: str | None = Field(None, description="The code of the reason why it could not be fetched.")


class EntryPayload(BaseModel):
    """A message in or out."""

    id: str = Field(description="`ent_…`")
    conversation_id: str
    direction: Direction
    type: str = Field(description="The content's type: text, image, template …; `revoked`: it was taken back.")
    content: dict[str, Any] = Field(
        description='In the Cloud API\'s own shape, as last edited; `{"type": "revoked"}` of what was taken back.'
    )
    sent_at: datetime = Field(description="When it was released to be sent; of what we did not send, the provider's time.")
    message_id: str | None = Field(
        None, description="`msg_…`; of outgoing entries, but not of those that the business wrote from its phone."
    )
    provider_id: str | None = Field(None, description="The wamid; of outgoing entries once it is known.")
    status: EntryStatus | None = Field(None, description="How far an outgoing message got.")
    status_at: datetime | None = None
    error: EntryError | None = None
    edited_at: datetime | None = Field(None, description="When it was last edited, the provider's time.")
    revoked_at: datetime | None = Field(None, description="When it was taken back for everyone, the provider's time.")
    media: EntryMedia | None = Field(None, description="Of incoming entries with a file, once that was fetched or given up.")


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
