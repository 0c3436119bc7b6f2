"""Interactive messages that users answer or follow: buttons, lists, links, flows, calls, requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from shared.content.interactive_parts import AnyHeader, BodyText, FooterText, LongBodyText, TextHeader, UrlAction
from shared.content.part import FreeJson, Measured, Part, Text20, Text24, Word

MOST_ROWS: Final = 10
ReplyId = Annotated[str, StringConstraints(min_length=1, max_length=256)]
RowId = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Reply(Part):
    id: ReplyId
    title: Text20


class ReplyButton(Part):
    type: Literal["reply"]
    reply: Reply


def _unique_replies(buttons: list[ReplyButton]) -> list[ReplyButton]:
    unique([button.reply.id for button in buttons], "ids")
    unique([button.reply.title for button in buttons], "titles")
    return buttons


def unique(values: Sequence[object], what: str) -> None:
    """Raises where one stands twice."""
    if len(set(values)) < len(values):
        raise PydanticCustomError("interactive.repeated", f"must have different {what}")


def titled(titles: Sequence[str | None]) -> None:
    """Raises where one of several sections has no title."""
    if len(titles) > 1 and not all(titles):
        raise PydanticCustomError("interactive.section_title", "needs a title for each of several sections")


class ButtonsAction(Part):
    buttons: Annotated[list[ReplyButton], Field(min_length=1, max_length=3), AfterValidator(_unique_replies)]


class ButtonMessage(Part):
    type: Literal["button"]
    header: AnyHeader | None = None
    body: BodyText
    footer: FooterText | None = None
    action: ButtonsAction


class Row(Part):
    id: RowId
    title: Text24
    description: Annotated[str, Measured(72, least=0)] | None = None


class Section(Part):
    title: Annotated[str, Measured(24, least=0)] | None = None
    rows: list[Row] = Field(min_length=1, max_length=MOST_ROWS)


class ListAction(Part):
    button: Annotated[str, StringConstraints(min_length=1, max_length=20)]
    sections: list[Section] = Field(min_length=1, max_length=10)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if sum(len(section.rows) for section in self.sections) > MOST_ROWS:
            raise PydanticCustomError("interactive.too_many_rows", f"has more than {MOST_ROWS} rows in all sections together")
        titled([section.title for section in self.sections])
        unique([row.id for section in self.sections for row in section.rows], "row ids")
        return self


class ListMessage(Part):
    type: Literal["list"]
    header: TextHeader | None = None
    body: LongBodyText
    footer: FooterText | None = None
    action: ListAction


class UrlMessage(Part):
    type: Literal["cta_url"]
    header: AnyHeader | None = None
    body: BodyText
    footer: FooterText | None = None
    action: UrlAction


class FlowPayload(Part):
    screen: Word | None = None
    data: FreeJson | None = None


class FlowParameters(Part):
    """One of `flow_id` and `flow_name`."""

    flow_message_version: str = Field(pattern=r"^[0-9]{1,2}(\.[0-9]{1,2})?$", examples=["3"])
    flow_id: Word | None = None
    flow_name: Word | None = None
    flow_cta: Annotated[str, StringConstraints(min_length=1, max_length=30)]
    mode: Literal["draft", "published"] | None = None
    flow_token: Annotated[str, StringConstraints(max_length=1024), AfterValidator(lambda text: text or None)] | None = None
    flow_action: Literal["navigate", "data_exchange"] | None = None
    flow_action_payload: FlowPayload | None = None

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.flow_id is None) == (self.flow_name is None):
            raise PydanticCustomError("flow.one_of", "needs exactly one of flow_id and flow_name")
        return self


class FlowAction(Part):
    name: Literal["flow"]
    parameters: FlowParameters


class FlowMessage(Part):
    type: Literal["flow"]
    header: AnyHeader | None = None
    body: BodyText
    footer: FooterText | None = None
    action: FlowAction


class SendLocation(Part):
    name: Literal["send_location"]


class LocationRequest(Part):
    type: Literal["location_request_message"]
    body: BodyText
    action: SendLocation


class SavedAddress(Part):
    id: Word
    value: FreeJson


class AddressParameters(Part):
    country: str = Field(pattern=r"^[A-Z]{2}$", examples=["IN"])
    values: FreeJson | None = None
    saved_addresses: list[SavedAddress] | None = Field(None, max_length=100)
    validation_errors: FreeJson | None = None


class AddressAction(Part):
    name: Literal["address_message"]
    parameters: AddressParameters


class AddressMessage(Part):
    type: Literal["address_message"]
    header: AnyHeader | None = None
    body: BodyText
    footer: FooterText | None = None
    action: AddressAction


class CallPermissionAction(Part):
    name: Literal["call_permission_request"]


class CallPermissionRequest(Part):
    type: Literal["call_permission_request"]
    body: BodyText | None = None
    action: CallPermissionAction


class CallParameters(Part):
    display_text: Text20 | None = None
    ttl_minutes: int | None = Field(None, ge=1, le=43_200)
    payload: Annotated[str, Measured(512, least=0)] | None = None


class CallAction(Part):
    name: Literal["voice_call"]
    parameters: CallParameters | None = None


class CallMessage(Part):
    type: Literal["voice_call"]
    header: AnyHeader | None = None
    body: BodyText
    footer: FooterText | None = None
    action: CallAction


class ContactInfoAction(Part):
    name: Literal["request_contact_info"]


class ContactInfoRequest(Part):
    type: Literal["request_contact_info"]
    header: AnyHeader | None = None
    body: BodyText
    footer: FooterText | None = None
    action: ContactInfoAction
