"""Bodies of the public API: templates and drafts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints
from pydantic_core import PydanticCustomError

from services.gateway.domain.rendering import MALFORMED, NAME_PATTERN, is_well_formed
from services.gateway.payloads.messages import MessageContent
from services.gateway.payloads.pages import PageQuery
from shared.content import ContentType, Parts
from shared.http.bodies import Body, VariableValue
from shared.personal import Model, Personal

VariableName = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Variables = Annotated[dict[VariableName, VariableValue], Field(max_length=100)]
LanguageCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8}){0,2}$")]
TemplateName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]


def _well_formed(body: str) -> str:
    if not is_well_formed(body):
        raise PydanticCustomError("template.malformed", MALFORMED)
    return body


TemplateText = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_well_formed)]


class TemplateKind(StrEnum):
    TEXT = "text"
    WHATSAPP = "whatsapp"


class CreateTemplate(Body):
    """A text with variables. WhatsApp's own templates are not made here: they are read from the provider."""

    kind: Literal["text"] = "text"
    name: TemplateName = Field(examples=["order_shipped"], description="Unique in its language.")
    language: LanguageCode = Field("en", examples=["en", "pt_BR"])
    body: TemplateText = Field(
        examples=["Hello {{name}}, order {{order}} is on its way."],
        description="`{{name}}` stands for a variable: given with the request, else the contact's name, phone, language or "
        "attribute of that name, else its default.",
    )
    defaults: Variables = Field(default_factory=dict, examples=[{"name": "there"}])


class ChangeTemplate(Body):
    """What is left out stays as it is; `defaults` are replaced together."""

    name: TemplateName | None = None
    language: LanguageCode | None = None
    body: TemplateText | None = None
    defaults: Variables | None = None


class TemplateView(Model):
    """A template of either kind."""

    id: str
    kind: TemplateKind
    name: str
    language: str
    variables: list[str] = Field(description="What is to be given for it, or known of the contact.")
    body: str | None = None
    defaults: dict[str, str] | None = None
    account_id: str | None = Field(None, description="The WhatsApp Business Account.")
    provider_id: str | None = None
    status: str | None = Field(
        None, description="WhatsApp's: `approved` is sent; `paused`, `rejected`, `disabled`, `pending` … hold its messages."
    )
    held: str | None = Field(None, description="The code of the reason why its messages wait (`template.paused`).")
    reason: str | None = Field(None, description="Why it was rejected.")
    category: str | None = Field(None, description="`marketing`, `utility`, `authentication`.")
    quality: str | None = Field(None, description="`green`, `yellow`, `red`, `unknown`.")
    parameter_format: str | None = None
    components: list[dict[str, Any]] | None = None
    created_at: AwareDatetime
    updated_at: AwareDatetime


class TemplatePage(Model):
    data: list[TemplateView]
    next_cursor: str | None = None


class TemplateQuery(PageQuery):
    kind: TemplateKind | None = None
    name: str | None = Field(None, max_length=512)
    language: str | None = Field(None, max_length=20)
    status: str | None = Field(None, max_length=64, description="Of WhatsApp templates.")


class RenderTemplate(Body):
    """Values to try a template with."""

    variables: Personal[Variables] = Field(default_factory=dict)


class Rendered(Model):
    """What would be sent."""

    content: Personal[dict[str, Any]]


class AccountSync(Model):
    """When an account's templates were read. A `fault` is why the last reading failed."""

    account_id: str
    synced_at: AwareDatetime | None = None
    due_at: AwareDatetime | None = None
    fault: str | None = None


class TemplateSyncView(Model):
    data: list[AccountSync]


class ContentBody(MessageContent):
    """Content in the Cloud API's own shape. `{{name}}` in its texts is a variable."""

    type: ContentType = Field("text", description="Names the part that is there.")


class CreateDraft(ContentBody):
    """Content without a recipient, to be named as `message_id` by schedules and campaigns."""

    name: str | None = Field(None, max_length=255, description="For those who look for it.")


class ChangeDraft(Parts):
    """What is left out stays as it is; `type`, the part that it names and `context` are replaced together."""

    name: str | None = Field(None, max_length=255)
    type: ContentType | None = None


class DraftView(Model):
    id: str
    name: str | None = None
    type: str
    content: Personal[dict[str, Any]]
    variables: list[str]
    created_at: AwareDatetime
    updated_at: AwareDatetime


class DraftPage(Model):
    data: list[DraftView]
    next_cursor: str | None = None
