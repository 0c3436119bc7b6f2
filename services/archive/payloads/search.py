"""What is searched for, and what was found."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field, StringConstraints

from services.archive.domain.entry import Direction
from services.archive.payloads.page import PageQuery
from shared.http.requests import Moment

CONTEXT_LIMIT: Final = 10
ContentType = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}$")]


class SearchQuery(PageQuery):
    """What to look for: words, or a filter, or both."""

    q: str | None = Field(
        None,
        min_length=1,
        max_length=400,
        description='Words that must all occur, in any case, accents or not; `"a phrase"` in order; `beg*` for a beginning; '
        '`-word` and `-"a phrase"` for what must not occur. May be left out where a filter is given.',
        examples=['parcel "this morning" -lost'],
    )
    conversation_id: str | None = Field(None, pattern=r"^cnv_[0-9a-v]{26}$", description="Only in this conversation.")
    participant_id: str | None = Field(
        None, pattern=r"^prt_[0-9a-v]{26}$", description="Only what this participant of a group or an imported chat said."
    )
    direction: Direction | None = Field(None, description="Only what was said to the business, or by it.")
    type: list[ContentType] = Field(
        [],
        max_length=20,
        description="Only entries of this content type: text, image, location … Give several to take any of them.",
    )
    has_media: bool | None = Field(
        None, description="Only entries that a file came with, whether it was kept or not; `false`: only others."
    )
    label: str | None = Field(None, min_length=1, max_length=60, description="Only entries with this label.")
    from_: Moment | None = Field(None, alias="from", description="Only entries of this moment and later.")
    to: Moment | None = Field(None, description="Only entries of before this moment.")
    order: Literal["newest", "relevance"] = Field(
        "newest",
        description="`relevance` ranks the newest 250 entries that were found, by how often and how close together they say the "
        "words, how rare those are, and how recent it is.",
    )
    typos: bool = Field(False, description="Take words, too, that are one typing error away; two, of eight letters and more.")
    context: int = Field(0, ge=0, le=CONTEXT_LIMIT, description="So many entries before and after each hit are told with it.")
    facets: list[Literal["month"]] = Field(
        [], max_length=1, description="With the first page tell how many hits each month has."
    )


class Snippet(BaseModel):
    """The part of a text that was found. Plain text: escape it before it becomes HTML."""

    text: str
    highlights: list[tuple[int, int]] = Field(
        description="Places of `text` that were asked for: start and end, in Unicode code points."
    )


class EntryAuthor(BaseModel):
    """Who said it, in a group or an imported chat."""

    participant_id: str = Field(description="`prt_…`")
    name: str | None = None


class NeighbourPayload(BaseModel):
    """An entry that stands beside a hit."""

    entry_id: str
    direction: Direction
    type: str
    sent_at: datetime
    author: EntryAuthor | None = None
    text: str = Field(description="At most 200 characters of it.")


class HitContext(BaseModel):
    """The entries around a hit, in the order of time."""

    before: list[NeighbourPayload]
    after: list[NeighbourPayload]


class HitPayload(BaseModel):
    """An entry that was found."""

    entry_id: str
    conversation_id: str
    conversation_name: str = Field(
        description="The title of a group or an imported chat; a contact's name, or the phone number."
    )
    direction: Direction
    type: str
    sent_at: datetime
    author: EntryAuthor | None = None
    snippet: Snippet
    context: HitContext | None = Field(None, description="Where `context` was asked for.")


class HitCount(BaseModel):
    """How many entries there are to be found."""

    count: int
    exact: bool = Field(description="False: about so many, by the frequencies of the words.")


class MonthCount(BaseModel):
    """The hits of a month."""

    month: str = Field(description="`YYYY-MM`, UTC.", examples=["2026-11"])
    count: int


class MonthFacet(BaseModel):
    """Hits by month, the newest first; months without any are left out."""

    exact: bool = Field(description="False: estimated from the newest 200 entries of each month.")
    counts: list[MonthCount]


class NearWords(BaseModel):
    """What was perhaps meant."""

    word: str
    instead: list[str]


class SearchPage(BaseModel):
    """Entries that were found, in the order that was asked for."""

    data: list[HitPayload]
    next_cursor: str | None = Field(
        None,
        description="Asks for the next page; absent on the last one. Pages can be short or empty before the end, where what is "
        "asked for has to be looked for in the texts.",
    )
    total: HitCount | None = Field(None, description="With the first page.")
    months: MonthFacet | None = Field(None, description="With the first page, where `facets=month` was given.")
    near: list[NearWords] | None = Field(
        None, description="With an empty first page: words that entries have and that are near."
    )
