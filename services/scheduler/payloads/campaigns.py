"""The bodies of `/api/campaigns`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, Field, StringConstraints

from services.scheduler.domain.campaign import CampaignState
from services.scheduler.domain.run import RecipientState
from shared.content import ContentType, Parts
from shared.events.values import DailySpan, OnUnknown
from shared.http.bodies import Body, MetadataKey, MetadataValue, Priority, Variables
from shared.http.requests import Moment
from shared.personal import Model, Personal

NAMED_LIMIT: Final = 1_000
"""Recipients and contacts named in one campaign; more than that are a group."""
VARIANTS_LIMIT: Final = 10

AnyId = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,6}_[0-9a-v]{26}$")]


class ContentBody(Parts):
    """What to say, in the Cloud API's own shape; `{{name}}` in its texts is a variable."""

    type: ContentType = Field("text", description="Names the part that is there.")


class NamedBody(Body):
    to: Personal[str] = Field(
        min_length=1, max_length=40, description="Phone number with country code.", examples=["+15551234567"]
    )
    variables: Variables = Field({})


class AudienceBody(Body):
    """To whom: all that is given together, each phone number once."""

    group_id: AnyId | None = Field(None, description="The same as one of `group_ids`.")
    group_ids: list[AnyId] = Field([], max_length=100)
    contact_ids: list[AnyId] = Field([], max_length=NAMED_LIMIT)
    segment_id: AnyId | None = None
    filter: dict[str, Any] | None = Field(None, description="A segment's filter, given in place.")
    recipients: Personal[list[NamedBody]] = Field(
        [], max_length=NAMED_LIMIT, description="Named here; more of them are a group."
    )

    @property
    def is_empty(self) -> bool:
        return not (
            self.group_id or self.group_ids or self.contact_ids or self.segment_id or self.filter is not None or self.recipients
        )


class SayingBody(Body):
    """One of `content`, `template_id` and `message_id`."""

    content: ContentBody | None = None
    template_id: AnyId | None = Field(
        None, description="A template of yours; each recipient's language is chosen if it is there."
    )
    message_id: AnyId | None = Field(None, description="A draft, or a message whose content is said again.")
    variables: Variables = Field({})


class VariantBody(SayingBody):
    """One of the contents of an A/B campaign."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,40}$", examples=["a"])
    weight: int = Field(1, ge=0, le=10_000, description="Its share, in proportion to the sum of all weights.")


class RampBody(Body):
    from_: int = Field(alias="from", ge=1, le=1_000_000, description="Messages per minute at the start.")
    minutes: int = Field(ge=1, le=10_080, description="Until the full pace is reached.")


class PacingBody(Body):
    """No faster than this; never faster than the number. Up to ten seconds' worth, or ten messages where that is more, may leave at
    once after a standstill."""

    messages_per_minute: int = Field(ge=1, le=1_000_000)
    ramp: RampBody | None = None


class FailureStopBody(Body):
    """Stop by itself when too many fail."""

    rate: float = Field(gt=0, le=1, description="Share of those that have ended.", examples=[0.2])
    after: int = Field(100, ge=1, le=1_000_000, description="Not before so many have ended.")


class HoursBody(Body):
    """When messages may leave, in each recipient's own time: never in `quiet`; where `allowed` is given, only in it."""

    quiet: list[DailySpan] = Field([], max_length=14)
    allowed: list[DailySpan] = Field([], max_length=14)


class CampaignBody(SayingBody):
    """A campaign. All but the name can come later, until it is started."""

    name: str = Field(min_length=1, max_length=200, examples=["Spring sale"])
    audience: AudienceBody | None = None
    variants: list[VariantBody] = Field([], max_length=VARIANTS_LIMIT, description="A/B: instead of one content for all.")
    from_: AnyId | None = Field(None, alias="from", description="Number id; may be left out where the tenant has one number.")
    priority: Priority = Priority.NORMAL
    starts_at: str | None = Field(
        None,
        max_length=40,
        description="Earliest moment of the first message: with an offset, or without one as `time_zone` says. Left out: at once.",
        examples=["2026-12-01T10:00:00+01:00"],
    )
    time_zone: str | None = Field(
        None,
        max_length=64,
        description='Of a `starts_at` without offset: an IANA name, or `"recipient"` for each recipient\'s own.',
    )
    pacing: PacingBody | None = None
    stop_on_failure: FailureStopBody | None = None
    hours: HoursBody | None = Field(None, description="Left out: the tenant's. Critical campaigns have none.")
    expires_at: Moment | None = Field(None, description="Nothing is sent after this moment.")
    ttl_seconds: int | None = Field(None, ge=1, le=31_536_000, description="Of each message, from when it is due.")
    on_unknown: OnUnknown = OnUnknown.WAIT
    needs_consent: bool = Field(True, description="False: sent in spite of an opt-out; what the law asks for, not marketing.")
    reference: str | None = Field(None, max_length=255, description="Your own id; kept and given to each message.")
    metadata: dict[MetadataKey, MetadataValue] | None = Field(None, max_length=50)


class ChangeCampaign(CampaignBody):
    """What is left out stays as it is; null takes a field back."""

    name: str = Field("", min_length=1, max_length=200)


class Transition(Model):
    """How a campaign came into a state."""

    state: CampaignState
    at: AwareDatetime
    by: str = Field(description="The id of the API key that asked for it, `tenant` where that is not known, or `platform`.")
    code: str | None = Field(None, description="Why, where the platform did it.")
    detail: str | None = None


class Counts(Model):
    """Where the recipients of a campaign are. `total` grows until the audience is complete."""

    total: int
    pending: int = Field(description="Their turn has not come.")
    outstanding: int = Field(description="Asked for and not ended.")
    ended: dict[str, int] = Field(description="By terminal state; those that occur. Each recipient ends in one.")
    duplicates: int = Field(description="Found more than once; each is written to once.")
    delivered: int
    read: int
    percent: float = Field(description="Of the total, those that have ended.")


class Progress(Counts):
    messages_per_minute: float | None = Field(None, description="On average since it was started or resumed.")
    estimated_end_at: AwareDatetime | None = Field(
        None,
        description="At the allowed rates and hours; left out where it has ended, is paused, or nobody can know: "
        "where its number is paused, or only outcomes are missing that are unknown.",
    )


class CampaignSummary(Model):
    """A campaign as lists show it."""

    id: str
    name: str
    state: CampaignState
    progress: Counts | None = Field(None, description="Once it was started.")
    created_at: AwareDatetime
    updated_at: AwareDatetime


class CampaignPage(Model):
    data: list[CampaignSummary]
    next_cursor: str | None = None


class CampaignView(CampaignBody):
    """A campaign: what was asked for, and what became of it."""

    id: str
    state: CampaignState
    history: list[Transition] = Field(
        description="How it came to its state, the latest last; of very many the first two and the latest."
    )
    progress: Progress | None = Field(None, description="Once it was started.")
    created_at: AwareDatetime
    updated_at: AwareDatetime


class PreflightState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Warned(Model):
    """Something to think about before the start."""

    code: str
    detail: str


class Budget(Model):
    """How many users the number's portfolio may write to within 24 hours, outside customer service windows."""

    portfolio_id: str | None = None
    unique_users_per_day: int | None = Field(None, description="Left out: no limit is known.")
    wanted: int = Field(description="Recipients of this campaign.")
    days: int = Field(description="That it takes at least, if nothing else is sent.")


class Estimate(Model):
    """At the allowed rates: the number's, the campaign's pacing, the hours of each recipient's zone, the portfolio's budget."""

    messages_per_second: float = Field(description="At full pace.")
    starts_at: AwareDatetime
    ends_at: AwareDatetime | None = Field(None, description="Left out: later than in half a year.")
    seconds: int | None = None


class PreflightView(Model):
    """What a preflight has found so far, or altogether once it is `done`. It is forgotten after a day."""

    state: PreflightState
    code: str | None = Field(
        None, description="Why it failed: a group, a segment, a template, a draft or a message that is not there, for instance."
    )
    detail: str | None = None
    audience_size: int = Field(description="Distinct recipients, those with a fault included.")
    sendable: int
    duplicates: int
    invalid: int = Field(description="Without a phone number that can be written to.")
    opted_out: int
    missing_variables: dict[str, int] = Field(description="By variable, the recipients that have none.")
    faults: dict[str, int] = Field(description="All who will get nothing, by the code of the reason.")
    budget: Budget | None = Field(None, description="Where something else than free text is sent.")
    estimate: Estimate | None = Field(None, description="Once it is done.")
    warnings: list[Warned]


class VariantStats(Model):
    """Of one variant."""

    name: str
    recipients: int
    sent: int
    delivered: int
    read: int
    failed: int = Field(description="Ended in any other state than sent.")
    sent_rate: float = Field(description="Of those that have ended.")
    delivered_rate: float = Field(description="Of those sent.")
    read_rate: float = Field(description="Of those sent.")
    failed_rate: float = Field(description="Of those that have ended.")


class FailureCount(Model):
    state: str
    code: str | None = None
    recipients: int


class Point(Model):
    """What happened in an interval that begins at `at`."""

    at: AwareDatetime
    sent: int
    failed: int
    delivered: int
    read: int


class Interval(StrEnum):
    MINUTE = "minute"
    HOUR = "hour"


class CampaignStats(Model):
    variants: list[VariantStats]
    failures: list[FailureCount] = Field(description="The most frequent first, a hundred at most.")
    interval: Interval
    series: list[Point] = Field(description="Intervals in which something happened, the latest 1,500 at most.")


class RecipientView(Model):
    """What became of one recipient. Recipients are forgotten 90 days after the end of their campaign; its counts stay."""

    to: Personal[str]
    contact_id: str | None = None
    variant: str
    state: str
    message_id: str | None = None
    code: str | None = None
    detail: str | None = None
    ended_at: AwareDatetime | None = None
    delivered_at: AwareDatetime | None = None
    read_at: AwareDatetime | None = None
    failed_at: AwareDatetime | None = Field(
        None, description="The provider took it and reported later that it could not deliver."
    )


class RecipientPage(Model):
    data: list[RecipientView]
    next_cursor: str | None = None


class CampaignQuery(Body):
    limit: int = Field(50, ge=1, le=500)
    cursor: str | None = Field(None, max_length=200, description="From `next_cursor` of the page before.")
    state: CampaignState | None = None


class RecipientStateQuery(Body):
    state: RecipientState | None = None


class RecipientQuery(RecipientStateQuery):
    limit: int = Field(50, ge=1, le=500)
    cursor: str | None = Field(None, max_length=200, description="From `next_cursor` of the page before.")


class StatsQuery(Body):
    interval: Interval = Interval.MINUTE
