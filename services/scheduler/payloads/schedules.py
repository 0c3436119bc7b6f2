"""The bodies of `/api/schedules`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from services.scheduler.domain.recurrence import LARGEST_COUNT, LONGEST
from services.scheduler.domain.schedule import Overlap, ScheduleState
from services.scheduler.payloads.campaigns import NAMED_LIMIT, AnyId, Counts, HoursBody, NamedBody
from shared.content import ContentType, Parts
from shared.events.values import OnUnknown
from shared.http.bodies import Body, MetadataKey, MetadataValue, Priority, Variables
from shared.http.codes import Code
from shared.http.requests import Moment
from shared.personal import Model, Personal

CANCEL_IDS_LIMIT: Final = 10_000
NEXT_LIMIT: Final = 1_000
_DAY_SECONDS: Final = 86_400
_YEAR_SECONDS: Final = 366 * _DAY_SECONDS


def _storable(moment: datetime) -> datetime:
    """Far enough from the ends of the calendar for a day's arithmetic in any zone."""
    if not 1970 < moment.year < 9_000:
        raise PydanticCustomError(Code.FIELD_OUT_OF_RANGE.value, "must lie after 1970 and before the year 9000")
    return moment


LocalTime = Annotated[datetime, WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?$"})]
"""What a clock on the wall shows; `date-time` of JSON Schema has an offset."""
When = Annotated[datetime, AfterValidator(_storable)]
"""A time with an offset, which is a moment, or without one: what clocks show in a time zone that is named beside it."""

ScheduleId = Annotated[str, StringConstraints(pattern=r"^sch_[0-9a-v]{26}$")]


class TimingBody(Body):
    """When: `scheduled_time`, `recurrence` or `cron`."""

    scheduled_time: When | None = Field(
        None,
        description="Once: a moment, or without offset a wall time of `time_zone`. The past means now.",
        examples=["2026-12-01T10:00:00+01:00"],
    )
    recurrence: str | None = Field(
        None,
        min_length=1,
        max_length=LONGEST,
        description="Again and again: a recurrence rule (RFC 5545), by the minute at most, in wall times of `time_zone`.",
        examples=["FREQ=WEEKLY;BYDAY=MO,TH;BYHOUR=9;BYMINUTE=30"],
    )
    cron: str | None = Field(
        None,
        min_length=1,
        max_length=LONGEST,
        description="The same as a cron expression of five fields.",
        examples=["30 9 * * 1-5"],
    )
    time_zone: str | None = Field(
        None,
        max_length=64,
        description="An IANA name, or `\"recipient\"`: each recipient's own (the contact's, else its number's country's, else the "
        "tenant's). Left out: the tenant's.",
        examples=["Europe/Madrid"],
    )
    starts_at: When | None = Field(
        None,
        description="Of a recurrence: nothing before it, intervals count from it, and what the rule does not name is taken from "
        "it. Left out: from now on, as of the whole minute; a rule with BYHOUR and without BYMINUTE is at minute 0.",
    )
    ends_at: When | None = Field(None, description="Of a recurrence: nothing after it.")
    count: int | None = Field(None, ge=1, le=LARGEST_COUNT, description="Of a recurrence: no more runs than this.")


class ScheduleBody(Parts, TimingBody):
    """What to say, to whom and when. `{"message_id", "group_id", "scheduled_time"}` is enough."""

    name: str | None = Field(None, min_length=1, max_length=200, examples=["Monday's reminder"])
    type: ContentType | None = Field(None, description="Names the part that is there; text by default.")
    template_id: AnyId | None = Field(
        None,
        description="A template of yours, filled in for each recipient; a text in their language, if there is one of its name.",
    )
    message_id: AnyId | None = Field(None, description="A draft, or a message whose content is said again.")
    variables: Variables = Field({}, description="For `{{name}}` in the texts; a recipient's own go before them.")

    to: Personal[str] | None = Field(
        None, min_length=1, max_length=40, description="Phone number with country code.", examples=["+15551234567"]
    )
    group_id: AnyId | None = None
    contact_ids: list[AnyId] = Field([], max_length=NAMED_LIMIT)
    segment_id: AnyId | None = None
    filter: dict[str, Any] | None = Field(None, description="A segment's filter, given in place.")
    recipients: Personal[list[NamedBody]] = Field([], max_length=NAMED_LIMIT, description="More of them are a group.")

    from_: AnyId | None = Field(None, alias="from", description="Number id; may be left out where the tenant has one number.")
    priority: Priority = Priority.NORMAL
    expires_at: Moment | None = Field(None, description="With `scheduled_time`: not sent after this moment.")
    ttl_seconds: int | None = Field(
        None, ge=1, le=_YEAR_SECONDS, description="Not sent later than this after a message was due."
    )
    hours: HoursBody | None = Field(None, description="Left out: the tenant's. Critical messages have none.")
    overlap: Overlap = Field(
        Overlap.SKIP,
        description="What becomes of an occurrence while a run of this schedule is on: `skip` it; `buffer_one` keeps one for "
        "later, `buffer_all` keeps all; `cancel_other` cancels the run; `allow_all` lets them run side by side.",
    )
    catchup_window_seconds: int = Field(
        _DAY_SECONDS,
        ge=10,
        le=_YEAR_SECONDS,
        description="What the platform slept through is made up for if it is not older than this, as `overlap` says.",
    )
    on_unknown: OnUnknown = OnUnknown.WAIT
    needs_consent: bool = Field(True, description="False: sent in spite of an opt-out; what the law asks for, not marketing.")
    reference: str | None = Field(None, max_length=255, description="Your own id; kept and given to each message.")
    metadata: dict[MetadataKey, MetadataValue] | None = Field(None, max_length=50)


class ChangeSchedule(ScheduleBody):
    """What is left out stays as it is; null takes a field back. A run that was opened ahead of its time is taken back, one that has
    begun goes on as it was."""


class PreviewBody(TimingBody):
    """When something would be, without keeping it."""

    limit: int = Field(10, ge=1, le=NEXT_LIMIT, description="Of a rule that rarely matches fewer are looked for.")


class CancelSchedules(Body):
    """Those that fit all that is given, of which there must be something."""

    ids: list[ScheduleId] | None = Field(None, min_length=1, max_length=CANCEL_IDS_LIMIT)
    state: Literal["active", "paused"] | None = None
    reference: str | None = Field(None, max_length=255)
    group_id: AnyId | None = None
    due_after: Moment | None = Field(None, description="Next due at this moment or later.")
    due_before: Moment | None = Field(None, description="Next due before this moment.")


class SchedulesCanceled(Model):
    canceled: int


class FireTime(Model):
    """An occurrence. In the recipients' own time `local_time` is what their clocks show, and `at` when the first of them does."""

    at: AwareDatetime
    local_time: LocalTime | None = Field(None, description="Without offset.")


class FireTimes(Model):
    data: list[FireTime]


class Rejections(Model):
    """Recipients that were rejected for one reason."""

    code: str | None = None
    recipients: int


class ScheduleRun(Model):
    """What an occurrence has come to."""

    id: str
    due_at: AwareDatetime
    opened_at: AwareDatetime
    by_hand: bool = Field(description="By `trigger`, not by time.")
    state: str
    code: str | None = Field(None, description="Why it has failed or is paused.", examples=["group.unknown"])
    detail: str | None = None
    counts: Counts
    rejections: list[Rejections] = Field(
        description="Why recipients were rejected, the most frequent reasons first; of a large run among the first 10,000."
    )


class ScheduleView(ScheduleBody):
    """A schedule: as it was given, and how it stands."""

    id: str
    state: ScheduleState
    next_at: AwareDatetime | None = Field(None, description="Left out: nothing more will come.")
    runs_opened: int = Field(description="By time, not by `trigger`.")
    waiting: int = Field(description="Occurrences that wait for a run to end (`overlap`).")
    missed_at: AwareDatetime | None = Field(None, description="Of the last outage the first that was not made up for.")
    run_id: str | None = Field(None, description="In the answer to `trigger`: the run that it has opened.")
    created_at: AwareDatetime
    updated_at: AwareDatetime


class ScheduleDetail(ScheduleView):
    """With what is to come and what was."""

    next_times: list[FireTime]
    last_runs: list[ScheduleRun]


class SchedulePage(Model):
    data: list[ScheduleView]
    next_cursor: str | None = None


class NumberedPage(Model):
    """A page by its number."""

    items: list[ScheduleView]
    total: int
    page: int
    pages: int
    per_page: int


class ScheduleFilter(Body):
    state: ScheduleState | None = None
    reference: str | None = Field(None, max_length=255)
    group_id: AnyId | None = None


class ScheduleQuery(ScheduleFilter):
    limit: int = Field(50, ge=1, le=500)
    cursor: str | None = Field(None, max_length=200, description="From `next_cursor` of the page before.")


class NumberedQuery(ScheduleFilter):
    page: int = Field(1, ge=1, le=1_000_000)
    per_page: int = Field(50, ge=1, le=500)


class NextQuery(Body):
    limit: int = Field(10, ge=1, le=NEXT_LIMIT, description="Of a rule that rarely matches fewer are looked for.")
