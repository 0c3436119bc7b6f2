"""Bodies of groups and segments, in and out."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AwareDatetime, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from services.gateway.domain.contact import MAX_GROUP_NAME
from shared.http.bodies import Body
from shared.personal import Model, Personal

MEMBERS_LIMIT: Final = 10_000
Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_GROUP_NAME)]
Description = Annotated[str, StringConstraints(max_length=2_000)]


class CreateGroup(Body):
    """Contacts under one name, to send to them all."""

    name: Name = Field(examples=["Newsletter"])
    description: Description | None = None


class ChangeGroup(Body):
    """What is left out stays as it is. `description` goes away with null."""

    name: Name | None = None
    description: Description | None = None


class GroupView(Model):
    id: str
    name: str
    description: str | None = None
    member_count: int
    created_at: AwareDatetime
    updated_at: AwareDatetime


class GroupPage(Model):
    data: list[GroupView]
    next_cursor: str | None = None


class Members(Body):
    """Contacts, by id or by phone number; both together at most 10,000."""

    contact_ids: list[Annotated[str, StringConstraints(max_length=40)]] = Field(default=[], max_length=MEMBERS_LIMIT)
    phones: Personal[list[Annotated[str, StringConstraints(max_length=40)]]] = Field(
        default=[], max_length=MEMBERS_LIMIT, description="With country code.", examples=[["+15551234567"]]
    )

    @model_validator(mode="after")
    def _some_but_not_too_many(self) -> Members:
        if not 1 <= len(self.contact_ids) + len(self.phones) <= MEMBERS_LIMIT:
            raise PydanticCustomError("members.number", f"must name 1 to {MEMBERS_LIMIT} contacts")
        return self


class MemberFault(Model):
    """Somebody who was not made a member, and why."""

    pointer: str
    code: str
    detail: str


class MembersAdded(Model):
    """Those without fault are members now, all of them or none; `unchanged` were already."""

    added: int
    unchanged: int
    rejected: int
    member_count: int
    errors: list[MemberFault] | None = None


class MembersRemoved(Model):
    """`removed` are no members any more; who was none is not counted."""

    removed: int
    member_count: int


class MemberView(Model):
    contact_id: str
    name: Personal[str] | None = None
    phone: Personal[str] | None = None
    added_at: AwareDatetime


class MemberPage(Model):
    data: list[MemberView]
    next_cursor: str | None = None


Filter = Annotated[
    dict[str, Any],
    Field(
        description="`all`, `any` (arrays of filters), `not` (a filter), or a test: `field`, `operator` and `value`. Fields: "
        "`attribute.<name>`, `name`, `language`, `time_zone`, `consent`, `created_at`, `updated_at`, `in_group`. Operators: `is`, "
        "`is_not`, `in`, `starts_with`, `greater_than`, `less_than`, `exists`, each where it makes sense.",
        examples=[{"all": [{"field": "attribute.city", "operator": "is", "value": "Berlin"}]}],
    ),
]


class CreateSegment(Body):
    """A saved filter: the contacts that it holds for whenever it is asked."""

    name: Name = Field(examples=["Berlin, opted in"])
    filter: Filter


class ChangeSegment(Body):
    """What is left out stays as it is."""

    name: Name | None = None
    filter: Filter | None = None


class PreviewSegment(Body):
    """A filter to be tried."""

    filter: Filter


class SegmentView(Model):
    id: str
    name: str
    filter: dict[str, Any]
    created_at: AwareDatetime
    updated_at: AwareDatetime


class SegmentPage(Model):
    data: list[SegmentView]
    next_cursor: str | None = None


class SegmentCount(Model):
    """For how many contacts the filter holds now, and the ids of the first few."""

    count: int
    contact_ids: list[str]
