"""What is asked of the statistics, and what they say."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from services.archive.payloads.zone import TimeZone

FIRST_DAY: Final = date(2009, 1, 1)
LAST_DAY: Final = date(2099, 12, 31)


class AnalyticsQuery(BaseModel):
    """Which days, by which clocks."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    first_day: date | None = Field(
        None, alias="from", ge=FIRST_DAY, le=LAST_DAY, description="The first day; nothing for the first one there is."
    )
    last_day: date | None = Field(
        None, alias="to", ge=FIRST_DAY, le=LAST_DAY, description="The last day, included; nothing for the last one there is."
    )
    time_zone: TimeZone = Field(
        "UTC", description="A name of the IANA database: the clocks that days, hours and weekdays go by."
    )

    @model_validator(mode="after")
    def _in_order(self) -> AnalyticsQuery:
        if self.first_day is not None and self.last_day is not None and self.first_day > self.last_day:
            raise PydanticCustomError("range.inverted", "has a `from` that is after its `to`")
        return self


class Span(BaseModel):
    """The days that were counted."""

    model_config = ConfigDict(populate_by_name=True)

    first_day: date | None = Field(
        None, serialization_alias="from", description="Absent where nothing was asked and nothing is."
    )
    last_day: date | None = Field(None, serialization_alias="to")
    time_zone: str


class Totals(BaseModel):
    """Messages of these days. Notices of WhatsApp are none."""

    messages: int
    incoming: int
    outgoing: int
    notices: int
    active_days: int = Field(description="Days with a message.")
    average_length: float | None = Field(None, description="Characters, of messages that have text.")


class Day(BaseModel):
    """A day with messages."""

    date: date
    incoming: int
    outgoing: int


class Share(BaseModel):
    """A part of the messages."""

    name: str
    messages: int
    share: float = Field(description="Of the messages that were counted in this list: 0 to 1.")


class TermCount(BaseModel):
    """A word or an emoji."""

    term: str
    messages: int = Field(description="How many messages hold it.")


class AuthorShare(BaseModel):
    """Who wrote how much."""

    participant_id: str | None = Field(None, description="`prt_…`; in conversations of two, `is_business` says who it is.")
    name: str | None = Field(None, description="As shown last; absent where it is not known.")
    phone: str | None = None
    is_business: bool = Field(description="Whether it is the tenant's own side.")
    messages: int
    share: float = Field(description="0 to 1.")
    average_length: float = Field(description="Characters a message.")


class AnswerTimes(BaseModel):
    """How long a side took to answer, from the first message that waited; within 5 %."""

    answers: int
    median_seconds: float | None = None
    p90_seconds: float | None = None


class ResponseTimes(BaseModel):
    """After a silence of three days, or later than seven days, nothing is an answer."""

    business: AnswerTimes = Field(description="The tenant's side.")
    contact: AnswerTimes


class DeliveryRates(BaseModel):
    """How far the outgoing messages got that the platform sent; those that were imported or written on a phone are not known."""

    sent: int = Field(description="Accepted by WhatsApp, whatever came next.")
    delivered: int = Field(description="Those that were read included.")
    read: int = Field(description="Less than there are: contacts may switch read receipts off.")
    failed: int
    delivered_rate: float | None = Field(None, description="Of those sent: 0 to 1.")
    read_rate: float | None = Field(None, description="Of those sent: 0 to 1.")


class Moods(BaseModel):
    """Messages by mood, as a word list and emoji tell it; those that neither knows are in none."""

    positive: int
    neutral: int
    negative: int


class MoodDay(Moods):
    """A day (UTC)."""

    date: date


class StreakPayload(BaseModel):
    """Days in a row with messages."""

    model_config = ConfigDict(populate_by_name=True)

    days: int
    first_day: date = Field(serialization_alias="from")
    last_day: date = Field(serialization_alias="to")


class Silence(BaseModel):
    """Time without messages, between two days with some."""

    model_config = ConfigDict(populate_by_name=True)

    seconds: float
    from_at: datetime = Field(serialization_alias="from")
    until_at: datetime = Field(serialization_alias="to")


class ConversationStats(BaseModel):
    """A conversation of all time, in brief."""

    message_count: int
    participant_count: int = Field(description="Who said something.")
    first_at: datetime | None = None
    last_at: datetime | None = None
    avg_message_length: float | None = Field(None, description="Characters, of messages that have text.")


class BusyConversation(ConversationStats):
    """One of the conversations with most messages."""

    conversation_id: str


class Analytics(BaseModel):
    """What was counted. Days, hours and weekdays are exact in the time zone; all else goes by days of UTC, words by months."""

    range: Span
    totals: Totals
    days: list[Day] = Field(description="Those with messages, in order.")
    hours: list[int] = Field(description="Messages by hour of the day, from midnight: 24 numbers.")
    weekdays: list[int] = Field(description="Messages by day of the week, from Monday: 7 numbers.")
    heatmap: list[list[int]] = Field(description="Messages by weekday and hour: 7 lists of 24.")
    response_times: ResponseTimes
    delivery: DeliveryRates
    types: list[Share] = Field(description="By the content's type: text, image, template …")
    media_share: float | None = Field(None, description="Messages with a file, of all: 0 to 1.")
    words: list[TermCount] = Field(description="Words that many messages hold, but no particles; of a tenant, of all time.")
    emoji: list[TermCount] = Field(description="As with words.")
    languages: list[Share] = Field(description="ISO 639 codes; of messages that were annotated.")
    sentiment: Moods = Field(description="Of messages that were annotated.")
    sentiment_days: list[MoodDay] = Field(description="Days (UTC) with such messages.")
    longest_streak: StreakPayload | None = None


class ConversationAnalytics(Analytics):
    """Of one conversation."""

    conversation_id: str
    counted_at: datetime | None = Field(
        None, description="When one of its days was last counted; absent before the first time."
    )
    all_time: ConversationStats | None = Field(None, description="Whatever days were asked for.")
    authors: list[AuthorShare] = Field(description="Who wrote how much, the most first.")
    longest_silence: Silence | None = None


class TenantAnalytics(Analytics):
    """Of all conversations."""

    busiest: list[BusyConversation] = Field(description="The conversations with most messages of all time, at most 50.")
