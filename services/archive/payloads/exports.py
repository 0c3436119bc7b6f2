"""What is taken out of the archive."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from services.archive.domain.entry import Direction
from services.archive.domain.export import ME, ExportState, Format
from services.archive.domain.label import MAX_LABEL_CHARS
from services.archive.payloads.zone import TimeZone
from shared.http.requests import Moment


def _plain_name(name: str) -> str:
    if not name.strip() or any(char < " " for char in name):
        raise PydanticCustomError("name.invalid", "is empty, or holds control characters")
    return name.strip()


ConversationId = Annotated[str, Field(pattern="^cnv_[0-9a-v]{26}$")]


class _Writing(BaseModel):
    """How an export is written, and from when to when it goes."""

    model_config = ConfigDict(populate_by_name=False)

    format: Format = Field(
        description="`ndjson`: everything that is known, an object a line. `csv`: for spreadsheets, without formulas. "
        "`html`: a zip of pages that any browser shows offline. `whatsapp`: WhatsApp's own text, which POST /api/imports reads too."
    )
    since: Moment | None = Field(None, alias="from", description="Only entries from this moment on.")
    until: Moment | None = Field(None, alias="to", description="Only entries before this moment.")
    time_zone: TimeZone = Field(
        "UTC", description="IANA name; times are written as they were there.", examples=["Europe/Madrid"]
    )
    with_media: bool = Field(False, description="With the files that were kept: then it is a zip.")
    hide_names: bool = Field(
        False, description="Names and addresses become `Person 1` and so on. What people wrote stays as it is, names in it too."
    )
    me: Annotated[str, Field(max_length=80), AfterValidator(_plain_name)] = Field(
        ME, description="What the tenant's own side is called."
    )

    @model_validator(mode="after")
    def _has_time(self) -> Self:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise PydanticCustomError("range.empty", "has a `to` that is not after its `from`")
        return self


class ExportQuery(_Writing):
    """How a conversation is written."""


class ExportSearch(BaseModel):
    """Entries that a search finds. What is left out narrows nothing."""

    q: str | None = Field(None, min_length=1, max_length=400, description="As in GET /api/search.", examples=["parcel"])
    conversation_id: ConversationId | None = None
    direction: Direction | None = None
    type: str | None = Field(None, pattern="^[a-z][a-z_]{0,39}$", description="`text`, `image` …")
    has_media: bool = Field(False, description="Only entries that a file came with, whether it was kept or not.")
    label: str | None = Field(None, min_length=1, max_length=MAX_LABEL_CHARS, description="Only entries with this label.")
    participant_id: str | None = Field(
        None, pattern="^prt_[0-9a-v]{26}$", description="Only what this participant of a group or an imported chat said."
    )


class NewExport(_Writing):
    """What to take out: exactly one of `conversation_id`, `search` and `everything`."""

    conversation_id: ConversationId | None = None
    search: ExportSearch | None = None
    everything: Literal[True] | None = Field(None, description="`true`: all conversations.")

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(given is not None for given in (self.conversation_id, self.search, self.everything)) != 1:
            raise PydanticCustomError(
                "export.ambiguous", "must have exactly one of `conversation_id`, `search` and `everything`"
            )
        if self.search is not None and self.format is Format.WHATSAPP:
            detail = "has the format `whatsapp`, which is for a conversation or everything, not for a search"
            raise PydanticCustomError("export.not_a_chat", "{detail}", {"detail": detail})
        return self


class ExportPayload(BaseModel):
    """An export."""

    id: str = Field(description="`exp_…`")
    state: ExportState = Field(description="`queued`, `running`, then `completed` until it is `expired`; `failed`; `canceled`.")
    format: Format
    conversation_id: str | None = None
    search: ExportSearch | None = None
    everything: bool | None = None
    since: datetime | None = Field(None, alias="from")
    until: datetime | None = Field(None, alias="to")
    time_zone: str
    with_media: bool
    hide_names: bool
    me: str
    entries: int = Field(description="Written so far.")
    media: int = Field(description="Files written so far.")
    media_missing: int = Field(description="Files that are not kept any more.")
    size_bytes: int = Field(description="Written so far.")
    file_name: str | None = Field(None, description="Of a completed one; read it at `/api/exports/{id}/file`.")
    mime_type: str | None = None
    sha256: str | None = Field(None, description="Of the file, in hexadecimal.")
    error_code: str | None = Field(None, description="Why it failed.")
    created_by: str | None = Field(None, description="The API key that asked for it.")
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = Field(None, description="The file is there until then.")

    model_config = ConfigDict(populate_by_name=True)


class ExportPage(BaseModel):
    """Exports, newest first."""

    data: list[ExportPayload]
    next_cursor: str | None = Field(None, description="Asks for the next page; absent on the last one.")
