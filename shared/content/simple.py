"""The types of one short object: text, location, reaction, pin, and the message that is answered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from shared.content.emoji import is_one_emoji
from shared.content.part import Latitude, Line, Longitude, MessageName, Part, Text4096


def _one_emoji(text: str) -> str:
    if text and not is_one_emoji(text):
        raise PydanticCustomError("reaction.emoji", "must be one emoji, or empty to take the reaction back")
    return text


class TextPart(Part):
    body: Text4096 = Field(examples=["Your parcel arrives today."])
    preview_url: bool | None = None


class LocationPart(Part):
    """Shown with its name and address where both are there."""

    latitude: Latitude = Field(examples=[41.3874])
    longitude: Longitude = Field(examples=[2.1686])
    name: Line | None = None
    address: Line | None = None


class ReactionPart(Part):
    message_id: MessageName = Field(description="The message reacted to: one of yours (`msg_…`), or any by its wamid.")
    emoji: Annotated[str, AfterValidator(_one_emoji)] = Field(description="One emoji; empty takes the reaction back.")


class PinPart(Part):
    """In groups."""

    type: Literal["pin", "unpin"]
    message_id: MessageName
    expiration_days: int | None = Field(None, ge=1, le=30)


class ContextPart(Part):
    """The message that this one answers."""

    message_id: MessageName = Field(description="One of yours (`msg_…`), or any by its wamid.")
