"""Imports of chat exports: what is wanted, how far they are, what the file says, and what could not be read."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from services.archive.domain.importing import TITLE_CHARS, DayOrder, ImportOptions, ImportState
from services.archive.payloads.title import PLAIN
from services.archive.payloads.zone import TimeZone

NAME_CHARS: Final = 255
MOST_BYTES: Final = 2**53

Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_CHARS)]


class Wishes(BaseModel):
    """Where the chat goes and how its file is to be read."""

    model_config = ConfigDict(extra="forbid")

    conversation_id: str | None = Field(
        None, pattern=r"^cnv_[0-9a-v]{26}$", description="A conversation that is here; the chat is merged into it."
    )
    number_id: str | None = Field(
        None, pattern=r"^num_[0-9a-v]{26}$", description="With `contact`: the conversation of your number and this contact."
    )
    contact: str | None = Field(
        None,
        pattern=r"^(\+[0-9]{7,15}|group:.{1,100}|[A-Z]{2}\.[A-Za-z0-9]{1,128})$",
        description="The contact's phone number, E.164.",
    )
    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=TITLE_CHARS), PLAIN] | None = Field(
        None,
        description="Of a chat by itself, which is what it is without a conversation, number and contact. By default it is "
        "made from the file's name; the same title is the same chat.",
    )
    time_zone: TimeZone | None = Field(
        None,
        description="The zone of the phone that exported, as in `America/Lima`; by default your own. Exports say no zone.",
    )
    day_order: DayOrder | None = Field(
        None, description="How dates are to be read; by default it is found out from the whole file: see `preview`."
    )
    me: list[Name] = Field(
        [], max_length=20, description="Names, as the export has them, of your own people: what they say is outgoing."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.number_id is None) != (self.contact is None):
            raise PydanticCustomError("import.half_a_place", "needs both `number_id` and `contact`, or none of them")
        if sum(given is not None for given in (self.conversation_id, self.number_id, self.title)) > 1:
            raise PydanticCustomError(
                "import.two_places", "takes one of `conversation_id`, `number_id` with `contact`, and `title`"
            )
        return self

    def given(self) -> dict[str, Any]:
        """The options that were named."""
        named = self.model_dump(include=set(ImportOptions.model_fields) & self.model_fields_set)
        return {name: value for name, value in named.items() if value is not None}


class WantedImport(Wishes):
    """Wishes, and whether to wait."""

    preview: bool = Field(False, description="Wait in the state `ready` with what the file says, until it is started.")


class NewImport(WantedImport):
    """An import whose file is sent in parts."""

    file_name: Name = Field(description="Ends in `.txt` or `.zip` mostly; what it is, is found out from its bytes.")
    size_bytes: int | None = Field(
        None,
        ge=1,
        le=MOST_BYTES,
        description="The file's size; where it is not known yet, the last part says that it is the last.",
    )


class ImportQuery(WantedImport):
    """The same for a file that is sent at once, as query parameters."""

    file_name: Name = Field("chat.txt", description="As for an import that is sent in parts.")


class StartImport(Wishes):
    """What is to be otherwise than it was wanted at first."""


class ImportFile(BaseModel):
    """The file's bytes."""


class UploadPlace(BaseModel):
    """How much of the file is here."""

    offset: int = Field(description="Go on with this byte; also in the header `Upload-Offset`.")
    size_bytes: int | None = None
    state: ImportState


class PreviewPerson(BaseModel):
    """Somebody who speaks in the chat."""

    name: str
    records: int


class ImportPreview(BaseModel):
    """What the whole file says about itself, before anything is stored."""

    platform: str = Field(description="`android` or `ios`: who wrote the file.")
    records: int = Field(description="About as many as entries will be stored.")
    first_at: datetime = Field(description="Wall time, without a zone, of the first record.")
    last_at: datetime
    people: list[PreviewPerson] = Field(description="Who speaks how often; at most 200 of them.")
    people_count: int
    day_order: DayOrder
    day_order_confidence: float = Field(
        description="1: certain; 0: nothing in the file tells. Send `day_order` where it is low."
    )
    day_order_reasons: list[str]
    media_files: int = Field(description="Files beside the text in a zip file.")


class ImportProgress(BaseModel):
    """How far the state's work is."""

    bytes_read: int
    bytes_total: int
    seconds_left: int | None = Field(None, description="By the pace until now.")


class ImportFailure(BaseModel):
    """Why it failed."""

    code: str
    detail: str


class ImportView(BaseModel):
    """An import."""

    id: str = Field(description="`imp_…`")
    state: ImportState = Field(
        description="`uploading`, `surveying`, `ready` (where a preview was asked for), `importing`, then `completed`, `failed` or "
        "`canceled`; `undoing` and `undone` when it is taken back."
    )
    file_name: str
    size_bytes: int | None = None
    received_bytes: int
    upload_url: str | None = Field(None, description="Where parts of the file are sent to, while it waits for them.")
    time_zone: str
    day_order: DayOrder | None = Field(None, description="As it was asked for.")
    me: list[str]
    conversation_id: str | None = Field(None, description="Where its entries are; once the first were stored.")
    preview: ImportPreview | None = None
    progress: ImportProgress | None = None
    entry_count: int = Field(description="Entries that it stored.")
    known_count: int = Field(description="Records that were here already, from an export that overlaps.")
    file_count: int = Field(description="Media that it kept.")
    doubt_count: int = Field(description="Lines that were not understood: see the report.")
    undone_count: int = Field(description="Entries that were taken away again.")
    error: ImportFailure | None = None
    created_at: datetime
    ended_at: datetime | None = None


class ImportPage(BaseModel):
    """Imports, newest first."""

    data: list[ImportView]
    next_cursor: str | None = Field(None, description="Asks for the next page; absent on the last one.")


class ReportLine(BaseModel):
    """A line that was not understood. Its text is not lost: what is no record of its own is part of the one before."""

    line: int
    reason: str = Field(
        description="`preamble`, `other_header`, `impossible_time`, `pasted_header`, `goes_back`, `undecodable`, `too_long` or "
        "`unknown_marker`."
    )
    text: str = Field(description="Its beginning.")


class ReportPage(BaseModel):
    """Lines in the order of the file."""

    data: list[ReportLine]
    next_cursor: str | None = Field(None, description="Asks for the next page; absent on the last one.")


class ImportUpdate(BaseModel):
    """A server-sent event: `progress` while it works, `end` when nothing more happens by itself. The data is the import."""
