"""The bodies of `/api/messages`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import AwareDatetime, ConfigDict, Field, RootModel, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from services.gateway.domain.status import Status
from services.gateway.payloads.pages import PageQuery
from shared.content import BEYOND_TEXT, LONGEST_TEXT, ContentType, Parts
from shared.events.values import OnUnknown
from shared.http.bodies import Body, MetadataKey, MetadataValue, Priority, Variables
from shared.http.requests import Moment
from shared.personal import Model, Personal

BATCH_LIMIT: Final = 10_000


Address = Annotated[str, StringConstraints(max_length=150)]
GroupId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._@-]{1,128}$")]


class MessageContent(Parts):
    """What a message says, in the Cloud API's own shape."""

    type: ContentType


class NamedTo(Body):
    """Somebody in your contacts, or a WhatsApp group."""

    contact_id: str | None = Field(None, pattern=r"^ctc_[0-9a-v]{26}$")
    whatsapp_group: GroupId | None = Field(None, description="The group's id.")

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.contact_id is None) == (self.whatsapp_group is None):
            raise PydanticCustomError("recipient.one_of", "needs exactly one of contact_id and whatsapp_group")
        return self


class NeededConsent(StrEnum):
    REQUIRED = "required"
    NOT_REQUIRED = "not_required"


class SendMessage(Parts):
    """One message. Its content has the Cloud API's own shape, or is a template of yours: `template_id` and `variables`."""

    to: Personal[Address] | NamedTo = Field(
        description="Phone number with country code, a business-scoped user id (`US.…`), a contact that has one of them, or a "
        "WhatsApp group.",
        examples=["+15551234567"],
    )
    from_: str | None = Field(
        None, alias="from", max_length=40, description="Number id; may be left out where the tenant has one number."
    )
    type: ContentType = Field("text", description="Names the part that is there.")
    template_id: str | None = Field(
        None, pattern=r"^tpl_[0-9a-v]{26}$", description="A template of yours; instead of `type` and the part that it names."
    )
    variables: Variables | None = Field(
        None, description="For the template's `{{name}}`; they go before what is known of the contact."
    )
    scheduled_time: Moment | None = Field(None, description="Earliest moment to send; the past means now.")
    expires_at: Moment | None = Field(None, description="Not sent after this moment.")
    priority: Priority = Priority.NORMAL
    on_unknown: OnUnknown = Field(
        OnUnknown.WAIT,
        description="What to do where the provider's answer was lost and no report has come within the grace time: `wait` says "
        "so and sends nothing, a later report still settles it; `resend` sends it once more, and it may arrive twice.",
    )
    consent: NeededConsent = Field(
        NeededConsent.REQUIRED,
        description="`not_required` sends it in spite of an opt-out: for what the law asks for, or what was just asked for.",
    )
    reference: str | None = Field(None, max_length=255, description="Your own id; kept and given back.")
    metadata: dict[MetadataKey, MetadataValue] | None = Field(None, max_length=50)

    @property
    def is_small(self) -> bool:
        """True where the limits of its fields keep its shortest form far below what one message may have."""
        is_short = self.text is None or len(self.text.body) <= LONGEST_TEXT
        return is_short and self.metadata is None and self.variables is None and BEYOND_TEXT.isdisjoint(self.model_fields_set)

    @property
    def is_plain_text(self) -> bool:
        """True where it says a text and names nothing that has to be looked up or put together, as most do."""
        return self.type == "text" and self.variables is None and BEYOND_TEXT.isdisjoint(self.model_fields_set)

    @property
    def names_message(self) -> str | None:
        """The message that it answers, reacts to or pins."""
        part = self.context or self.reaction or self.pin
        return None if part is None else part.message_id


class MessageBatch(RootModel[Annotated[list[SendMessage], Field(min_length=1, max_length=BATCH_LIMIT)]]):
    """Many messages."""


class Accepted(Model):
    """A message was taken and is durable."""

    id: str
    status: Status


class BatchFault(Model):
    pointer: str
    code: str
    detail: str


class BatchResult(Model):
    """What became of one message of a batch: `id` and `status`, or `errors`."""

    index: int
    id: str | None = None
    status: Status | None = None
    errors: list[BatchFault] | None = None


class BatchAccepted(Model):
    """The messages without fault were taken, all of them or none; the others are listed with their faults."""

    accepted: int
    rejected: int
    results: list[BatchResult]


class TimelineEntry(Model):
    status: Status
    at: AwareDatetime
    code: str | None = None


class MessageError(Model):
    code: str
    detail: str | None = None


class WaitingFor(Model):
    """Why a message waits that was put back, is held, or goes out from a number that is paused."""

    code: str
    until: AwareDatetime | None = Field(None, description="From then on it may be tried; left out where nobody knows.")


class MessageView(Model):
    """A message as its tenant sees it."""

    id: str
    status: Status
    to: Personal[str]
    from_: str = Field(alias="from")
    type: str
    content: Personal[dict[str, Any]]
    priority: Priority
    contact_id: str | None = None
    run_id: str | None = Field(None, description="The run of a schedule or of a campaign that asked for it.")
    scheduled_time: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    on_unknown: OnUnknown
    reference: str | None = None
    metadata: dict[str, str] | None = None
    provider_id: str | None = Field(None, description="The provider's id (wamid), once it took the message.")
    error: MessageError | None = None
    waiting_for: WaitingFor | None = Field(
        None, description="There where the message was put back and has not left since, and where its number is paused."
    )
    trace_id: str | None = None
    trace_url: str | None = Field(
        None, description="Where its trace is shown, if one was recorded. Told of a single message, not in lists."
    )
    created_at: AwareDatetime
    updated_at: AwareDatetime
    timeline: list[TimelineEntry] | None = None

    model_config = ConfigDict(populate_by_name=True)


class MessagePage(Model):
    data: list[MessageView]
    next_cursor: str | None = None


class MessageQuery(PageQuery):
    """Where fewer messages fit than `limit`, a page may hold fewer and still have a `next_cursor`."""

    status: Status | None = None
    to: Personal[str] | None = Field(
        None,
        max_length=150,
        description="Phone number, of which the plus sign may be left out; user id; `group:` and a group's id.",
    )
    from_: str | None = Field(None, alias="from", max_length=40, description="Number id.")
    reference: str | None = Field(None, max_length=255)
    run_id: str | None = Field(None, max_length=40, description="Of one run of a schedule or of a campaign.")
