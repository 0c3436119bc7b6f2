"""The bodies of `/api/settings`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from services.gateway.domain.tenant_settings import DEFAULT_ZONE
from shared.events.values import DailySpan
from shared.http.bodies import Body
from shared.personal import Model

Clock = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(_[A-Za-z0-9]{2,8}){0,2}$")]
Word = Annotated[str, StringConstraints(min_length=1, max_length=60)]
Words = Annotated[dict[Language, Annotated[list[Word], Field(max_length=50)]], Field(max_length=50)]


class SpanPart(Body):
    """A part of each of `days`. One whose `end` is not after its `start` passes midnight and belongs to the day it starts on."""

    start: Clock = Field(examples=["22:00"])
    end: Clock = Field(examples=["07:30"])
    days: list[Annotated[int, Field(ge=1, le=7)]] = Field(
        [1, 2, 3, 4, 5, 6, 7], min_length=1, max_length=7, description="1 Monday … 7 Sunday."
    )


class HoursPart(Body):
    """When messages may leave, in each recipient's own time: never in `quiet`; where `allowed` is given, only in it."""

    quiet: list[SpanPart] = Field([], max_length=14)
    allowed: list[SpanPart] = Field([], max_length=14)


class ChangeSettings(Body):
    """What is left out stays as it is; null gives a field its default back."""

    time_zone: str | None = Field(
        None,
        max_length=64,
        description=f"IANA name; of recipients whose zone nobody knows. Default: {DEFAULT_ZONE}.",
        examples=["America/Lima"],
    )
    hours: HoursPart | None = Field(
        None, description="Of schedules and campaigns that have none of their own. Default: any hour."
    )
    stop_words: Words | None = Field(
        None,
        description="By language: what somebody writes, and nothing else, to opt out. Case, accents and punctuation do not matter. "
        "Given, they take the place of all former ones.",
        examples=[{"en": ["stop"], "es": ["baja"]}],
    )
    start_words: Words | None = Field(None, description="The same, to opt in again.", examples=[{"en": ["start"]}])


class HoursView(Model):
    quiet: list[DailySpan]
    allowed: list[DailySpan]


class SettingsView(Model):
    """A tenant's settings."""

    revision: int = Field(description="How often they were changed.")
    time_zone: str
    hours: HoursView | None = Field(None, description="Left out: messages may leave at any hour.")
    stop_words: dict[str, list[str]]
    start_words: dict[str, list[str]]
