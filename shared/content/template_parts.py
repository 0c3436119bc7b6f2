"""What the components of a template message are given."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from shared.content.interactive_goods import ProductSections
from shared.content.media import FilePart, MediaPart
from shared.content.part import FreeJson, Latitude, Line, Link, Longitude, Measured, Part, Text60, Whole, Word

Text = Annotated[str, Measured(32_768)]
"""Of a body that has nothing beside it; together with the template's own text the provider takes far less."""
Code15 = Annotated[str, Measured(15)]


class TextParameter(Part):
    type: Literal["text"]
    parameter_name: Word | None = None
    text: Text


class HeaderText(Part):
    type: Literal["text"]
    parameter_name: Word | None = None
    text: Text60


class Currency(Part):
    fallback_value: Word
    code: str = Field(pattern=r"^[A-Za-z]{3}$", examples=["USD"])
    amount_1000: Whole


class CurrencyParameter(Part):
    type: Literal["currency"]
    parameter_name: Word | None = None
    currency: Currency


class DateTime(Part):
    """The provider shows the fallback; the others are kept for those who send them."""

    fallback_value: Word
    day_of_week: Whole | Word | None = None
    day_of_month: Whole | None = None
    year: Whole | None = None
    month: Whole | None = None
    hour: Whole | None = None
    minute: Whole | None = None
    timestamp: Whole | None = None
    calendar: Word | None = None
    component: FreeJson | None = None


class DateTimeParameter(Part):
    type: Literal["date_time"]
    parameter_name: Word | None = None
    date_time: DateTime


class ImageParameter(Part):
    type: Literal["image"]
    image: MediaPart


class VideoParameter(Part):
    type: Literal["video"]
    video: MediaPart


class GifParameter(Part):
    type: Literal["gif"]
    gif: MediaPart


class DocumentParameter(Part):
    type: Literal["document"]
    document: FilePart


class Place(Part):
    latitude: Latitude
    longitude: Longitude
    name: Line | None = None
    address: Line | None = None


class LocationParameter(Part):
    type: Literal["location"]
    location: Place


class Product(Part):
    product_retailer_id: Word
    catalog_id: Word | None = None


class ProductParameter(Part):
    type: Literal["product"]
    product: Product


class GroupParameter(Part):
    type: Literal["group_id"]
    group_id: Word


class PayloadParameter(Part):
    type: Literal["payload"]
    payload: Annotated[str, Measured(1_000, least=0)]


class CouponParameter(Part):
    type: Literal["coupon_code"]
    coupon_code: Code15


class FlowButtonAction(Part):
    flow_token: Annotated[str, StringConstraints(max_length=1_024)] | None = None
    flow_action_data: FreeJson | None = None


class FlowParameter(Part):
    type: Literal["action"]
    action: FlowButtonAction


class CatalogButtonAction(Part):
    thumbnail_product_retailer_id: Word | None = None
    sections: ProductSections | None = None


class CatalogParameter(Part):
    type: Literal["action"]
    action: CatalogButtonAction


class OrderButtonAction(Part):
    order_details: FreeJson


class OrderParameter(Part):
    type: Literal["action"]
    action: OrderButtonAction


class CallTtlParameter(Part):
    type: Literal["ttl_minutes"]
    ttl_minutes: int = Field(ge=1, le=43_200)


class TapTarget(Part):
    url: Link
    title: Word | None = None


class TapTargetParameter(Part):
    type: Literal["tap_target_configuration"]
    tap_target_configuration: list[TapTarget] = Field(min_length=1, max_length=10)


class Offer(Part):
    expiration_time_ms: int = Field(ge=0, le=2**53)


class OfferParameter(Part):
    type: Literal["limited_time_offer"]
    limited_time_offer: Offer


HeaderParameter = Annotated[
    HeaderText
    | CurrencyParameter
    | DateTimeParameter
    | ImageParameter
    | VideoParameter
    | GifParameter
    | DocumentParameter
    | LocationParameter
    | ProductParameter,
    Field(discriminator="type"),
]
BodyParameter = Annotated[TextParameter | CurrencyParameter | DateTimeParameter | GroupParameter, Field(discriminator="type")]


def all_named_or_none(parameters: list[BodyParameter]) -> list[BodyParameter]:
    """Raises where some have a `parameter_name` and others have none, or two have the same."""
    names = [name for one in parameters if (name := getattr(one, "parameter_name", None)) is not None]
    if names and (len(names) < len(parameters) or len(set(names)) < len(names)):
        raise PydanticCustomError("template.parameter_name", "must all have a parameter_name, each its own, or none of them")
    return parameters


BodyParameters = Annotated[list[BodyParameter], Field(max_length=100), AfterValidator(all_named_or_none)]
