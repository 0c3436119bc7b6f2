"""Conversations and their entries, as they are read."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from services.archive.domain.entry import Direction
from services.archive.domain.progress import EntryStatus
from services.archive.domain.reading import Kind
from services.archive.payloads.page import PageQuery
from services.archive.payloads.title import PLAIN
from services.archive.payloads.zone import TimeZone
from shared.http.requests import Moment

MAX_TITLE_CHARS: Final = 200
MAX_NAME_CHARS: Final = 200
EntryRef = Annotated[str, StringConstraints(pattern=r"^ent_[0-9a-v]{26}$")]
MediaKind = Literal["audio", "document", "image", "media", "sticker", "video"]
Month = Annotated[str, StringConstraints(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")]


class ConversationsQuery(PageQuery):
    """Which conversations, and which page of them."""

    number_id: str | None = Field(None, max_length=40, description="Only those of this number, `num_…`.")
    unread: bool | None = Field(None, description="Only those with unread entries, or only those without.")
    kind: Kind | None = Field(None, description="`contact`, `group`, or `chat`: an exported chat that was imported by itself.")
    q: str | None = Field(
        None, min_length=1, max_length=100, description="A part of the title, the contact's name or address; in any case."
    )


class EntriesQuery(PageQuery):
    """Which entries of a conversation. Of `cursor`, `at`, `around`, `before` and `after` at most one."""

    order: Literal["newest", "oldest"] = Field("newest", description="What the page begins with.")
    at: Moment | None = Field(
        None,
        description="Jump to a moment: with `order=oldest` the page begins with the first entry from then on, with `newest` "
        "with the last one until then.",
    )
    around: EntryRef | None = Field(None, description="A page with this entry in its middle.")
    before: EntryRef | None = Field(None, description="The entries right before this one.")
    after: EntryRef | None = Field(None, description="The entries right after this one: what has come since.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.cursor, self.at, self.around, self.before, self.after)) > 1:
            raise PydanticCustomError("entries.places", "names more than one place to begin at")
        return self


class MediaQuery(PageQuery):
    """Which files."""

    kind: list[MediaKind] = Field(
        [], max_length=6, description="Only these; may be repeated. `media`: an export did not say which kind was left out."
    )
    month: Month | None = Field(None, description="Only of this month, UTC: `2026-11`.")


class ZoneQuery(BaseModel):
    """Where days and months begin."""

    model_config = ConfigDict(extra="forbid")

    time_zone: TimeZone = Field("UTC", description="An IANA name, such as `America/Lima`.")


class CalendarQuery(ZoneQuery):
    """Which days."""

    year: int | None = Field(None, ge=2009, le=2099, description="Only this year's.")


class Contact(BaseModel):
    """The other side of a conversation."""

    phone: str = Field(description="E.164 with the plus sign, or a business-scoped user id.")
    name: str | None = Field(None, description="The name the contact last showed.")


class LastEntry(BaseModel):
    """The newest entry of a conversation, in brief."""

    id: str
    direction: Direction
    type: str = Field(description="The content's type: text, image, template …; `revoked`: it was taken back.")
    preview: str = Field(description="The beginning of what it says, on one line; empty for an image without a caption.")
    sent_at: datetime


class ConversationPayload(BaseModel):
    """What a number and a contact or a group wrote to each other, or a chat that was imported by itself."""

    id: str = Field(description="`cnv_…`")
    kind: Kind = Field(description="`contact`, `group` or `chat`.")
    number_id: str | None = Field(None, description="`num_…`; absent of an imported chat.")
    title: str | None = Field(None, description="Of a group or an imported chat, or as it was given.")
    contact: Contact | None = Field(None, description="Of `contact` conversations.")
    group_id: str | None = Field(None, description="The provider's id, of `group` conversations.")
    entry_count: int
    unread_count: int = Field(description="Incoming entries that were not marked as read.")
    read_until: datetime | None = Field(None, description="Everything up to here was marked as read.")
    last_entry: LastEntry


class ConversationChange(BaseModel):
    """What is changed of a conversation."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TITLE_CHARS, pattern=r"\S"), PLAIN] | None = Field(
        description="Shown in place of the contact's name; null takes it away."
    )


class EntryError(BaseModel):
    """Why a message did not arrive."""

    code: str


class EntryMedia(BaseModel):
    """The file that came with a message."""

    media_id: str | None = Field(None, description="`med_…`: read it at `/api/media`.")
    file_id: str | None = Field(None, description="`fil_…`, of an imported file: read it at the conversation's `files`.")
    mime_type: str | None = None
    size_bytes: int | None = None
    file_name: str | None = None
    lost: str | None = Field(None, description="The code of the reason why there is none.")


class AuthorPayload(BaseModel):
    """Who wrote an entry, where more than two speak."""

    id: str = Field(description="`prt_…`")
    name: str | None = None
    address: str | None = Field(None, description="A phone number or user id, where it is known.")


class ReactionPayload(BaseModel):
    """An emoji as an answer."""

    emoji: str
    address: str | None = Field(None, description="Whose it is; absent: the business's.")
    at: datetime


class EntityPayload(BaseModel):
    """Something in a text that people look for again."""

    kind: Literal["link", "email", "phone", "money", "date", "time", "mention", "tag"]
    text: str = Field(description="As it was written; a phone number in E.164.")


class AnnotationPayload(BaseModel):
    """What local models say of a text."""

    language: str | None = Field(None, description="ISO 639; absent where the text does not show it.")
    sentiment: float | None = Field(None, description="-1 to 1; absent where the models do not know.")
    entities: list[EntityPayload] | None = Field(None, description="Absent where there are none.")


class EntryBookmark(BaseModel):
    """A bookmark, of all who read the archive."""

    note: str


class EntryPayload(BaseModel):
    """A message in or out, or what else stands in a conversation."""

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
    author: AuthorPayload | None = Field(None, description="In groups and imported chats.")
    status: EntryStatus | None = Field(None, description="How far an outgoing message got.")
    status_at: datetime | None = None
    error: EntryError | None = None
    edited_at: datetime | None = Field(None, description="When it was last edited, the provider's time.")
    revoked_at: datetime | None = Field(None, description="When it was taken back for everyone, the provider's time.")
    media: EntryMedia | None = Field(None, description="Of incoming entries with a file, once that was fetched or given up.")
    reactions: list[ReactionPayload] | None = Field(None, description="Each person's last one; absent where there are none.")
    annotation: AnnotationPayload | None = Field(
        None, description="Where annotations are switched on, some seconds after the entry was stored or edited."
    )
    bookmark: EntryBookmark | None = Field(None, description="Absent where it has none.")
    labels: list[str] | None = Field(None, description="In the order of the alphabet; absent where there are none.")


class VersionPayload(BaseModel):
    """What an entry said before it was edited."""

    said_at: datetime = Field(description="Since when it said so.")
    content: dict[str, Any]


class ParticipantPayload(BaseModel):
    """Somebody who speaks in a conversation."""

    id: str | None = Field(None, description="`prt_…`; in a conversation of two the contact and the business have none.")
    name: str | None = None
    address: str | None = Field(None, description="A phone number or user id, where it is known.")
    is_business: bool = Field(description="One of the tenant's own people: what they say is outgoing.")
    entry_count: int
    first_at: datetime | None = None
    last_at: datetime | None = None


class ParticipantChange(BaseModel):
    """What is changed of a participant; what is left out stays."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARS, pattern=r"\S")] | None = Field(
        None, description="Stays, whatever name WhatsApp tells later."
    )
    is_business: bool | None = Field(
        None, description="“This is us”: what they said becomes outgoing, or incoming again, within seconds."
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.name is None and self.is_business is None:
            raise PydanticCustomError("participant.unchanged", "names nothing to change")
        return self


class DayPayload(BaseModel):
    """A day with entries."""

    date: date
    entries: int


class MediaMonthPayload(BaseModel):
    """The files of a month."""

    month: str = Field(description="`2026-11`")
    kinds: dict[str, int] = Field(description="How many of each kind.")


class ConversationPage(BaseModel):
    """Conversations, the one with the newest entry first."""

    data: list[ConversationPayload]
    next_cursor: str | None = Field(
        None,
        description="Asks for the next page; absent on the last one. With filters a page can be short, even empty, before the end.",
    )


class EntryPage(BaseModel):
    """Entries of a conversation, in the order that was asked for."""

    data: list[EntryPayload]
    next_cursor: str | None = Field(None, description="Asks for the next page; absent on the last one.")
    previous_cursor: str | None = Field(
        None, description="Asks for the page before, in the same order; absent on the first one."
    )


class MediaPage(BaseModel):
    """Entries with files, newest first."""

    data: list[EntryPayload]
    next_cursor: str | None = Field(None, description="Asks for the next page; absent on the last one.")


class VersionPage(BaseModel):
    """What an entry said before, the latest first."""

    data: list[VersionPayload]
    next_cursor: str | None = Field(None, description="Asks for the next page; absent on the last one.")


class ParticipantList(BaseModel):
    """Who speaks in a conversation, who said most first."""

    data: list[ParticipantPayload]


class Calendar(BaseModel):
    """The days that have entries, the latest first; days without any are left out."""

    time_zone: str
    data: list[DayPayload]


class MediaMonths(BaseModel):
    """The months that have files, the latest first."""

    time_zone: str
    data: list[MediaMonthPayload]
