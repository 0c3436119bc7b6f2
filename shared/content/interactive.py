"""All kinds of interactive messages."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shared.content.interactive_goods import (
    CarouselMessage,
    CatalogMessage,
    OrderDetailsMessage,
    OrderStatusMessage,
    ProductListMessage,
    ProductMessage,
)
from shared.content.interactive_replies import (
    AddressMessage,
    ButtonMessage,
    CallMessage,
    CallPermissionRequest,
    ContactInfoRequest,
    FlowMessage,
    ListMessage,
    LocationRequest,
    UrlMessage,
)

InteractivePart = Annotated[
    ButtonMessage
    | ListMessage
    | UrlMessage
    | FlowMessage
    | ProductMessage
    | ProductListMessage
    | CatalogMessage
    | LocationRequest
    | AddressMessage
    | CallPermissionRequest
    | CallMessage
    | ContactInfoRequest
    | CarouselMessage
    | OrderDetailsMessage
    | OrderStatusMessage,
    Field(discriminator="type"),
]
