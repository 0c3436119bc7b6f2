"""What a team puts on its archive: bookmarks and labels."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from services.archive.domain.entry import Direction
from services.archive.domain.label import MAX_LABEL_CHARS
from services.archive.payloads.page import PageQuery

MOST_AT_ONCE = 1_000
LabelName = Annotated[str, Field(min_length=1, max_length=MAX_LABEL_CHARS, examples=["urgent"])]
EntryIdText = Annotated[str, Field(pattern="^ent_[0-9a-v]{26}$")]
ConversationIdText = Annotated[str, Field(pattern="^cnv_[0-9a-v]{26}$")]


class EntryBrief(BaseModel):
    """An entry, in brief."""

    id: str = Field(description="`ent_…`; ask for what was said around it with `around` of its conversation's entries.")
    conversation_id: str
    direction: Direction
    type: str = Field(description="The content's type; `revoked`: it was taken back.")
    preview: str = Field(description="The beginning of what it says, on one line.")
    sent_at: datetime


class BookmarkNote(BaseModel):
    """What a bookmark says."""

    note: str = Field("", max_length=2_000, description="Why it is here; may be empty.", examples=["The price we agreed on"])


class BookmarkPayload(BaseModel):
    """A bookmark; an entry has one at most, which the whole tenant sees."""

    id: str = Field(description="`bmk_…`")
    entry_id: str
    conversation_id: str
    sent_at: datetime = Field(description="The entry's.")
    note: str
    created_by: str | None = Field(None, description="The API key that made it.")
    created_at: datetime
    updated_at: datetime
    entry: EntryBrief | None = Field(None, description="In lists.")


class BookmarkPage(BaseModel):
    """Bookmarks, the newest first."""

    data: list[BookmarkPayload]
    next_cursor: str | None = Field(None, description="Asks for the next page; absent on the last one.")


class BookmarkQuery(PageQuery):
    """Which bookmarks."""

    conversation_id: ConversationIdText | None = Field(None, description="Only those of this conversation.")


class LabelPayload(BaseModel):
    """A label and what has it."""

    label: str
    entries: int
    conversations: int


class LabelPage(BaseModel):
    """Labels by name."""

    data: list[LabelPayload]
    next_cursor: str | None = Field(None, description="Asks for the next page; absent on the last one.")


class LabelNames(BaseModel):
    """The labels of one thing."""

    labels: list[str]


class LabelChange(BaseModel):
    """Another name for a label."""

    label: LabelName = Field(description="Where it is there already, the two become one.")


class LabelBulk(BaseModel):
    """Labels to put on many things at once, and to take off them."""

    entry_ids: list[EntryIdText] = Field([], max_length=MOST_AT_ONCE)
    conversation_ids: list[ConversationIdText] = Field([], max_length=MOST_AT_ONCE)
    add: list[LabelName] = Field([], max_length=20)
    remove: list[LabelName] = Field([], max_length=20)

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.add or self.remove) or not (self.entry_ids or self.conversation_ids):
            raise PydanticCustomError("labels.nothing", "needs labels to add or remove, and entries or conversations")
        return self


class LabelBulkResult(BaseModel):
    """What became of it."""

    entries: int = Field(description="Entries that were found.")
    conversations: int = Field(description="Conversations that were found.")
    unknown: list[str] = Field(
        description="Ids that the tenant has not; the others were changed. Only told where labels are added."
    )


class LabeledEntryPage(BaseModel):
    """Entries with a label, newest first."""

    data: list[EntryBrief]
    next_cursor: str | None = Field(None, description="Asks for the next page; absent on the last one.")


class LabeledConversation(BaseModel):
    """A conversation with a label."""

    id: str = Field(description="`cnv_…`")
    labeled_at: datetime


class LabeledConversationPage(BaseModel):
    """Conversations with a label, the one that was begun last first."""

    data: list[LabeledConversation]
    next_cursor: str | None = Field(None, description="Asks for the next page; absent on the last one.")
