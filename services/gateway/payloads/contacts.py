"""The bodies of the public API about contacts."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, RootModel, StringConstraints
from pydantic_core import PydanticCustomError

from services.gateway.domain.consent import Word
from services.gateway.domain.contact import (
    KINDS,
    MAX_ATTRIBUTE_NAME,
    MAX_ATTRIBUTES,
    MAX_NAME,
    Change,
    Scalar,
    parse_attribute,
    parse_language,
    parse_user_id,
    parse_username,
)
from services.gateway.domain.phone import is_region, parse_phone
from services.gateway.domain.zones import is_zone
from services.gateway.payloads.messages import BatchFault
from services.gateway.payloads.pages import PageQuery
from shared.events.values import Consent, ConsentScope
from shared.http.bodies import Body
from shared.http.requests import Moment
from shared.personal import Model, Personal

BULK_LIMIT: Final = 10_000
_LARGEST_INTEGER: Final = 2**53


def _parsed(parse: Callable[[str], str | None], code: str, fault: str) -> AfterValidator:
    def validator(text: str) -> str:
        value = parse(text)
        if value is None:
            raise PydanticCustomError(code, fault)
        return value

    return AfterValidator(validator)


def _scalar(value: Scalar) -> Scalar:
    if isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("field.out_of_range", "must be a finite number")
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise PydanticCustomError("number.out_of_range", "whole numbers lie within ±2^53")
    return value


Phone = Annotated[
    str,
    StringConstraints(max_length=40),
    _parsed(parse_phone, "phone.invalid", "must be a phone number with + and country code"),
]
UserId = Annotated[
    str,
    StringConstraints(max_length=140),
    _parsed(parse_user_id, "user_id.invalid", "must be a business-scoped user id, as in US.13491208655302741918"),
]
Username = Annotated[
    str,
    StringConstraints(max_length=40),
    _parsed(parse_username, "username.invalid", "must have 3 to 35 of a-z, 0-9, dot and underscore"),
]
LanguageTag = Annotated[
    str,
    StringConstraints(max_length=35),
    _parsed(parse_language, "language.invalid", "must be a language tag (BCP 47), as in pt-BR"),
]
Zone = Annotated[
    str,
    StringConstraints(max_length=64),
    _parsed(
        lambda name: name if is_zone(name) else None, "time_zone.unknown", "must be an IANA time zone, as in Europe/Berlin"
    ),
]
Region = Annotated[
    str,
    StringConstraints(max_length=2),
    _parsed(lambda code: code if is_region(code) else None, "region.unknown", "must be a country's ISO 3166 code, as in DE"),
]
AttributeName = Annotated[
    str,
    StringConstraints(max_length=MAX_ATTRIBUTE_NAME),
    _parsed(
        parse_attribute, "attribute.invalid", "is no name for an attribute: letters, digits and underscores, a letter first"
    ),
]
AttributeText = Annotated[str, StringConstraints(max_length=500)]
AttributeValue = Annotated[AttributeText | bool | int | float, AfterValidator(_scalar)]
ConsentWord = Literal["opted_in", "opted_out"]


class GivenConsent(Body):
    """A word of the contact's on being written to. Of two the later counts, whichever comes first; a word without its time counts
    only where it says something new: an opt-in does not undo an opt-out."""

    state: ConsentWord
    scope: ConsentScope = Field(ConsentScope.ALL, description="`marketing`: templates of the category marketing only.")
    source: str | None = Field(None, min_length=1, max_length=100, examples=["web form"])
    at: Moment | None = Field(None, description="When it was given.")

    def word(self, channel: str, now: datetime) -> Word:
        return Word(Consent(self.state), self.scope, self.at or now, self.source or channel)


class GivenContact(Body):
    """A contact has at least one of `phone`, `user_id` and `username`. A field that is left out stays as it is, null takes it away;
    attributes one by one."""

    phone: Personal[Phone | None] = Field(None, examples=["+15551234567"])
    user_id: Personal[UserId | None] = Field(None, description="Business-scoped user id.")
    username: Personal[Username | None] = None
    name: Personal[str | None] = Field(None, min_length=1, max_length=MAX_NAME)
    language: LanguageTag | None = Field(None, examples=["pt-BR"])
    time_zone: Zone | None = Field(None, examples=["America/Sao_Paulo"])
    attributes: Personal[dict[AttributeName, AttributeValue | None]] = Field({}, max_length=2 * MAX_ATTRIBUTES)
    consent: GivenConsent | None = None

    def change(self, channel: str, now: datetime) -> Change:
        """What it says."""
        given, consent = self.model_fields_set, self.consent
        return Change(
            identifiers={kind: getattr(self, kind) for kind in KINDS if kind in given},
            fields={name: getattr(self, name) for name in _FIELDS if name in given},
            attributes=self.attributes,
            word=None if consent is None else consent.word(channel, now),
            is_timed=consent is not None and consent.at is not None,
        )


_FIELDS: Final[tuple[Literal["name", "language", "time_zone"], ...]] = ("name", "language", "time_zone")


class ContactBulk(RootModel[Annotated[list[GivenContact], Field(min_length=1, max_length=BULK_LIMIT)]]):
    """Many contacts."""


class OptIn(Body):
    """Of two words the later counts, whichever comes first."""

    scope: ConsentScope = Field(ConsentScope.ALL, description="`marketing`: templates of the category marketing only.")
    source: str | None = Field(None, min_length=1, max_length=100, examples=["web form"])
    at: Moment | None = Field(None, description="When it was given; now, where it is left out.")


class ConsentView(Model):
    state: Consent
    scope: ConsentScope
    source: str | None = None
    at: AwareDatetime | None = None


class ContactView(Model):
    id: str
    phone: Personal[str | None] = None
    user_id: Personal[str | None] = None
    username: Personal[str | None] = None
    name: Personal[str | None] = None
    language: str | None = None
    time_zone: str | None = None
    attributes: Personal[dict[str, Scalar]]
    consent: ConsentView
    created_at: AwareDatetime
    updated_at: AwareDatetime


class ContactPage(Model):
    data: list[ContactView]
    next_cursor: str | None = None


QueryPhone = Annotated[
    str,
    StringConstraints(max_length=40),
    # A plus sign that was not escaped comes as a blank.
    _parsed(
        lambda text: parse_phone(text.strip() if text[:1] != " " else f"+{text.strip()}"),
        "phone.invalid",
        "must be a phone number with + and country code",
    ),
]


class ContactQuery(PageQuery):
    """One of `phone`, `user_id`, `username`, `q` and `updated_after` at most; `consent` goes with the last two, or alone."""

    phone: Personal[QueryPhone | None] = None
    user_id: Personal[UserId | None] = None
    username: Personal[Username | None] = None
    q: Personal[str | None] = Field(
        None, min_length=1, max_length=MAX_NAME, description="How the name begins; in the order of names."
    )
    updated_after: Moment | None = Field(None, description="In the order of the changes.")
    consent: Consent | None = None
    cursor: str | None = Field(None, max_length=1_200, description="From `next_cursor` of the page before.")


class ConsentEntry(Model):
    state: Consent
    scope: ConsentScope
    source: str
    at: AwareDatetime
    recorded_at: AwareDatetime = Field(description="When it became known.")


class ConsentPage(Model):
    data: list[ConsentEntry]
    next_cursor: str | None = None


class BulkResult(Model):
    """What became of one contact: `id` and `outcome`, or `errors`."""

    index: int
    id: str | None = None
    outcome: Literal["created", "updated", "unchanged"] | None = None
    errors: list[BatchFault] | None = None


class BulkDone(Model):
    """The contacts without fault were written, all of them or none; the others are listed with their faults."""

    created: int
    updated: int
    unchanged: int
    rejected: int
    results: list[BulkResult]


class ContactFile(RootModel[str]):
    """A CSV file; its first row names the columns."""


class ImportQuery(Body):
    region: Region | None = Field(
        None, description="Country (ISO 3166) of phone numbers without country code.", examples=["DE"]
    )


class ImportState(StrEnum):
    WAITING = "waiting"
    PROCESSING = "processing"
    COMPLETED = "completed"
    CANCELED = "canceled"


class ImportView(Model):
    """A file on its way in. In the end every one of its `rows` is processed: created, updated, unchanged or rejected."""

    id: str
    state: ImportState
    columns: list[str]
    rows: int
    processed: int
    created: int
    updated: int
    unchanged: int
    rejected: int
    created_at: AwareDatetime
    updated_at: AwareDatetime
    finished_at: AwareDatetime | None = None


class ImportPage(Model):
    data: list[ImportView]
    next_cursor: str | None = None


class ImportFault(Model):
    """What was wrong with a line. A line with several faults has one entry for each."""

    model_config = ConfigDict(populate_by_name=True)

    line: int = Field(description="Where the record begins; the header is line 1.")
    field: str = Field(description="The column; empty where the whole line is meant.")
    code: str
    detail: str


class ImportFaultPage(Model):
    data: list[ImportFault]
    next_cursor: str | None = None
