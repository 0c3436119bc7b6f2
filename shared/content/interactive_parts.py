"""What interactive messages of several kinds have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.content.media import FilePart, MediaPart
from shared.content.part import Link, Part, Text20, Text60, Text1024, Text4096, Word


class TextHeader(Part):
    type: Literal["text"]
    text: Text60


class ImageHeader(Part):
    type: Literal["image"]
    image: MediaPart


class VideoHeader(Part):
    type: Literal["video"]
    video: MediaPart


class DocumentHeader(Part):
    type: Literal["document"]
    document: FilePart


AnyHeader = Annotated[TextHeader | ImageHeader | VideoHeader | DocumentHeader, Field(discriminator="type")]
PictureHeader = Annotated[ImageHeader | VideoHeader, Field(discriminator="type")]


class BodyText(Part):
    text: Text1024


class LongBodyText(Part):
    """Of a list: 4096 by the documentation; the provider's own OpenAPI file says 1024."""

    text: Text4096


class FooterText(Part):
    text: Text60


class UrlParameters(Part):
    display_text: Text20
    url: Link


class UrlAction(Part):
    name: Literal["cta_url"]
    parameters: UrlParameters


class ProductAction(Part):
    catalog_id: Word
    product_retailer_id: Word
