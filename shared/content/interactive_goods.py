"""Interactive messages of commerce: products, catalogues, carousels, orders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from shared.content.interactive_parts import (
    AnyHeader,
    BodyText,
    FooterText,
    ImageHeader,
    PictureHeader,
    ProductAction,
    TextHeader,
    UrlAction,
)
from shared.content.interactive_replies import ReplyId, titled, unique
from shared.content.part import FreeJson, Measured, Part, Text20, Word

MOST_PRODUCTS: Final = 30
MOST_BREAKS: Final = 2


class ProductMessage(Part):
    type: Literal["product"]
    body: BodyText | None = None
    footer: FooterText | None = None
    action: ProductAction


class ProductItem(Part):
    product_retailer_id: Word


class ProductSection(Part):
    title: Annotated[str, Measured(24, least=0)] | None = None
    product_items: list[ProductItem] = Field(min_length=1, max_length=MOST_PRODUCTS)


def count_products(sections: list[ProductSection]) -> list[ProductSection]:
    """Raises for too many, and for one of several sections without title."""
    if sum(len(section.product_items) for section in sections) > MOST_PRODUCTS:
        raise PydanticCustomError("interactive.too_many_products", f"has more than {MOST_PRODUCTS} products in all")
    titled([section.title for section in sections])
    return sections


ProductSections = Annotated[list[ProductSection], Field(min_length=1, max_length=10), AfterValidator(count_products)]


class ProductListAction(Part):
    catalog_id: Word
    sections: ProductSections


class ProductListMessage(Part):
    type: Literal["product_list"]
    header: TextHeader
    body: BodyText
    footer: FooterText | None = None
    action: ProductListAction


class Thumbnail(Part):
    thumbnail_product_retailer_id: Word | None = None


class CatalogAction(Part):
    name: Literal["catalog_message"]
    parameters: Thumbnail | None = None


class CatalogMessage(Part):
    type: Literal["catalog_message"]
    body: BodyText
    footer: FooterText | None = None
    action: CatalogAction


class CardBody(Part):
    text: Annotated[str, Measured(160)]

    @model_validator(mode="after")
    def _is_short(self) -> Self:
        if self.text.count("\n") > MOST_BREAKS:
            raise PydanticCustomError("interactive.too_many_lines", f"has more than {MOST_BREAKS} line breaks")
        return self


class CardReply(Part):
    id: ReplyId
    title: Text20


class CardReplyButton(Part):
    type: Literal["quick_reply"]
    quick_reply: CardReply


class QuickReplies(Part):
    buttons: list[CardReplyButton] = Field(min_length=1, max_length=3)


def _answered_by(action: Any) -> str:
    """Buttons, or a link: the faults named are those of what was meant."""
    has_buttons = "buttons" in action if isinstance(action, Mapping) else hasattr(action, "buttons")
    return "with_replies" if has_buttons else "with_link"


CardAction = Annotated[
    Annotated[UrlAction, Tag("with_link")] | Annotated[QuickReplies, Tag("with_replies")], Discriminator(_answered_by)
]
CardIndex = Annotated[int, Field(ge=0, le=9)]


class MediaCard(Part):
    card_index: CardIndex
    type: Literal["cta_url"]
    header: PictureHeader
    body: CardBody | None = None
    action: CardAction


class ProductCard(Part):
    card_index: CardIndex
    type: Literal["product"]
    action: ProductAction


Card = Annotated[MediaCard | ProductCard, Field(discriminator="type")]


def _alike(cards: list[Card]) -> list[Card]:
    if len({card.type for card in cards}) > 1:
        raise PydanticCustomError("interactive.cards_differ", "must be all of one type")
    if len({card.header.type for card in cards if isinstance(card, MediaCard)}) > 1:
        raise PydanticCustomError("interactive.cards_differ", "must all have an image or all a video in their header")
    unique([card.card_index for card in cards], "card_index")
    return cards


class CarouselAction(Part):
    cards: Annotated[list[Card], Field(min_length=2, max_length=10), AfterValidator(_alike)]


class CarouselMessage(Part):
    type: Literal["carousel"]
    body: BodyText
    action: CarouselAction


def _order(parameters: dict[str, Any]) -> dict[str, Any]:
    """Of the fields that every country's payments have; the others are the provider's to check."""
    for name in ("reference_id", "type", "currency"):
        if not isinstance(parameters.get(name), str) or not parameters[name]:
            raise PydanticCustomError("order.incomplete", f"needs a text as {name}")
    if parameters["type"] not in ("digital-goods", "physical-goods"):
        raise PydanticCustomError("order.type", "must have digital-goods or physical-goods as type")
    if not _is_amount(parameters.get("total_amount")):
        raise PydanticCustomError("order.incomplete", "needs a total_amount of value and offset, both whole numbers")
    order = parameters.get("order")
    items = order.get("items") if isinstance(order, dict) else None
    if not isinstance(items, list) or not items:
        raise PydanticCustomError("order.incomplete", "needs an order with items")
    for item in items:
        if not (
            isinstance(item, dict) and item.get("name") and _is_amount(item.get("amount")) and _is_count(item.get("quantity"))
        ):
            raise PydanticCustomError("order.incomplete", "needs a name, an amount and a quantity of each item")
    return parameters


def _is_amount(value: object) -> bool:
    return isinstance(value, Mapping) and _is_count(value.get("value")) and _is_count(value.get("offset"))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class OrderAction(Part):
    name: Literal["review_and_pay"]
    parameters: Annotated[FreeJson, AfterValidator(_order)]


class OrderDetailsMessage(Part):
    type: Literal["order_details"]
    header: AnyHeader | None = None
    body: BodyText
    footer: FooterText | None = None
    action: OrderAction


class OrderState(Part):
    status: Literal["pending", "processing", "partially_shipped", "shipped", "completed", "canceled"]
    description: Annotated[str, Measured(120, least=0)] | None = None


class OrderStatusParameters(Part):
    reference_id: Word
    order: OrderState
    payment: FreeJson | None = None


class OrderStatusAction(Part):
    name: Literal["review_order"]
    parameters: OrderStatusParameters


class OrderStatusMessage(Part):
    type: Literal["order_status"]
    header: ImageHeader | None = None
    body: BodyText
    footer: FooterText | None = None
    action: OrderStatusAction
