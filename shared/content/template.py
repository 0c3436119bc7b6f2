"""Template messages: which template, and what its components are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from shared.content.part import Cased, Part
from shared.content.template_parts import (
    BodyParameters,
    CallTtlParameter,
    CatalogParameter,
    CouponParameter,
    FlowParameter,
    HeaderParameter,
    Offer,
    OfferParameter,
    OrderParameter,
    PayloadParameter,
    TapTargetParameter,
    TextParameter,
)

MOST_COMPONENTS: Final = 20
BARE_BUTTONS: Final = ("phone_number", "spm", "request_contact_info", "call_permission_request")
"""Take no parameters."""


def _index(value: Any) -> Any:
    """The place of a button, which comes as a number and as text."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Index = Annotated[str, BeforeValidator(_index, json_schema_input_type=int | str), Field(pattern="^[0-9]$")]


class HeaderComponent(Part):
    type: Annotated[Literal["header"], Cased]
    parameters: list[HeaderParameter] | None = Field(None, max_length=10)


class BodyComponent(Part):
    type: Annotated[Literal["body"], Cased]
    parameters: BodyParameters | None = None


class _Button(Part):
    type: Annotated[Literal["button"], Cased]
    index: Index


class QuickReplyButton(_Button):
    sub_type: Annotated[Literal["quick_reply"], Cased]
    parameters: list[PayloadParameter] | None = Field(None, max_length=1)


class UrlButton(_Button):
    sub_type: Annotated[Literal["url"], Cased]
    parameters: list[TextParameter] | None = Field(None, max_length=1)


class CopyCodeButton(_Button):
    sub_type: Annotated[Literal["copy_code"], Cased]
    parameters: list[CouponParameter] | None = Field(None, max_length=1)


class FlowButton(_Button):
    sub_type: Annotated[Literal["flow"], Cased]
    parameters: list[FlowParameter] | None = Field(None, max_length=1)


class CatalogButton(_Button):
    sub_type: Annotated[Literal["catalog", "mpm"], Cased]
    parameters: list[CatalogParameter] | None = Field(None, max_length=1)


class OrderButton(_Button):
    sub_type: Annotated[Literal["order_details"], Cased]
    parameters: list[OrderParameter] | None = Field(None, max_length=1)


class CallButton(_Button):
    sub_type: Annotated[Literal["voice_call"], Cased]
    parameters: list[Annotated[CallTtlParameter | PayloadParameter, Field(discriminator="type")]] | None = Field(
        None, max_length=2
    )


class BareButton(_Button):
    sub_type: Annotated[Literal["phone_number", "spm", "request_contact_info", "call_permission_request"], Cased]
    parameters: list[PayloadParameter] | None = Field(None, max_length=0)


_SUB_TYPES: Final = {
    "quick_reply": "quick_reply",
    "url": "url",
    "copy_code": "copy_code",
    "flow": "flow",
    "catalog": "catalog",
    "mpm": "catalog",
    "order_details": "order_details",
    "voice_call": "voice_call",
    **dict.fromkeys(BARE_BUTTONS, "bare"),
}


def _word(value: Any, name: str) -> str:
    given = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    return given.lower() if isinstance(given, str) else ""


def _sub_type(value: Any) -> str | None:
    return _SUB_TYPES.get(_word(value, "sub_type"))


def _type(value: Any) -> str | None:
    return _word(value, "type") or None


ButtonComponent = Annotated[
    Annotated[QuickReplyButton, Tag("quick_reply")]
    | Annotated[UrlButton, Tag("url")]
    | Annotated[CopyCodeButton, Tag("copy_code")]
    | Annotated[FlowButton, Tag("flow")]
    | Annotated[CatalogButton, Tag("catalog")]
    | Annotated[OrderButton, Tag("order_details")]
    | Annotated[CallButton, Tag("voice_call")]
    | Annotated[BareButton, Tag("bare")],
    Discriminator(
        _sub_type,
        custom_error_type="template.button_type",
        custom_error_message=f"must be an object whose sub_type is one of {', '.join(_SUB_TYPES)}",
    ),
]
_KINDS: Final = "header, body, button, carousel, limited_time_offer, tap_target_configuration"
_KIND_FAULT: Final = f"must be an object whose type is one of {_KINDS}"
_CARD_FAULT: Final = "must be an object whose type is one of header, body, button"

CardComponent = Annotated[
    Annotated[HeaderComponent, Tag("header")]
    | Annotated[BodyComponent, Tag("body")]
    | Annotated[ButtonComponent, Tag("button")],
    Discriminator(_type, custom_error_type="template.component_unknown", custom_error_message=_CARD_FAULT),
]


class TemplateCard(Part):
    card_index: int = Field(ge=0, le=9)
    components: list[CardComponent] = Field(max_length=MOST_COMPONENTS)


def _unique_cards(cards: list[TemplateCard]) -> list[TemplateCard]:
    if len({card.card_index for card in cards}) < len(cards):
        raise PydanticCustomError("template.card_repeated", "must have different card_index")
    return cards


class CarouselComponent(Part):
    type: Annotated[Literal["carousel"], Cased]
    cards: Annotated[list[TemplateCard], Field(min_length=2, max_length=10), AfterValidator(_unique_cards)]


class OfferComponent(Part):
    type: Annotated[Literal["limited_time_offer"], Cased]
    limited_time_offer: Offer | None = None
    parameters: list[OfferParameter] | None = Field(None, max_length=1)


class TapTargetComponent(Part):
    type: Annotated[Literal["tap_target_configuration"], Cased]
    parameters: list[TapTargetParameter] = Field(min_length=1, max_length=1)


Component = Annotated[
    Annotated[HeaderComponent, Tag("header")]
    | Annotated[BodyComponent, Tag("body")]
    | Annotated[ButtonComponent, Tag("button")]
    | Annotated[CarouselComponent, Tag("carousel")]
    | Annotated[OfferComponent, Tag("limited_time_offer")]
    | Annotated[TapTargetComponent, Tag("tap_target_configuration")],
    Discriminator(_type, custom_error_type="template.component_unknown", custom_error_message=_KIND_FAULT),
]


class LanguagePart(Part):
    code: str = Field(min_length=2, max_length=20, examples=["en_US"])
    policy: Literal["deterministic"] | None = None


class TemplatePart(Part):
    name: str = Field(pattern=r"^[a-z0-9_]{1,512}$", examples=["order_update"])
    language: LanguagePart
    components: list[Component] | None = Field(None, max_length=MOST_COMPONENTS)
