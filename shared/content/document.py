"""A content: its type, the one part that the type names, and the message that it answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field, ValidationError

from shared.content.cards import Cards
from shared.content.interactive import InteractivePart
from shared.content.media import AudioPart, DocumentPart, MediaPart, PicturePart
from shared.content.part import AS_IT_STANDS, VARIABLE
from shared.content.simple import ContextPart, LocationPart, PinPart, ReactionPart, TextPart
from shared.content.template import TemplatePart
from shared.errors import FieldError
from shared.events.values import Content
from shared.http.faults import faults_of
from shared.personal import Model, Personal

ContentType = Literal[
    "text",
    "template",
    "image",
    "video",
    "audio",
    "document",
    "sticker",
    "location",
    "contacts",
    "interactive",
    "reaction",
    "pin",
]
TYPES: Final[tuple[ContentType, ...]] = (
    "text",
    "template",
    "image",
    "video",
    "audio",
    "document",
    "sticker",
    "location",
    "contacts",
    "interactive",
    "reaction",
    "pin",
)
BEYOND_TEXT: Final = frozenset({*TYPES[1:], "context"})
"""Members that a plain text does not have."""
_UNQUOTED: Final = ("reaction", "pin")
"""Name a message themselves."""
_LINKS: Final = ("link", "url", "latitude", "longitude")


class Parts(Model):
    """One part for each type of message, in the Cloud API's own shape."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, coerce_numbers_to_str=True)

    text: Personal[TextPart] | None = None
    template: Personal[TemplatePart] | None = Field(None, description="A WhatsApp template.")
    image: Personal[PicturePart] | None = None
    video: Personal[PicturePart] | None = None
    audio: Personal[AudioPart] | None = None
    document: Personal[DocumentPart] | None = None
    sticker: Personal[MediaPart] | None = None
    location: Personal[LocationPart] | None = None
    contacts: Personal[Cards] | None = None
    interactive: Personal[InteractivePart] | None = None
    reaction: Personal[ReactionPart] | None = None
    pin: Personal[PinPart] | None = Field(None, description="In groups.")
    context: Personal[ContextPart] | None = Field(None, description="The message that this one answers.")


class Document(Parts):
    """A whole content."""

    type: ContentType = "text"


def content_of(kind: str, parts: Parts, pointer: str = "") -> Content | list[FieldError]:
    """The content whose part `kind` names, or what is wrong with it: a part that is missing, one too many, a quotation where there
    can be none. `pointer` is of what the parts are members of."""
    faults = list(_part_faults(kind, parts, pointer))
    return faults or content_in(kind, parts)


def content_in(kind: str, parts: Parts) -> Content:
    """The same of parts that are known to be right."""
    part = getattr(parts, kind)
    if isinstance(part, list):
        said: Any = [card.model_dump(mode="json", exclude_none=True) for card in part]
    else:
        said = part.model_dump(mode="json", exclude_none=True)
    content: Content = {"type": kind, kind: said}
    if parts.context is not None:
        content["context"] = {"message_id": parts.context.message_id}
    return content


def _part_faults(kind: str, parts: Parts, pointer: str) -> Iterator[FieldError]:
    for name in TYPES:
        part = getattr(parts, name)
        if name == kind and part is None:
            yield FieldError(f"{pointer}/{name}", "field.missing", f"a message of type {kind} needs it")
        elif name != kind and part is not None:
            yield FieldError(f"{pointer}/{name}", "field.surplus", f"does not belong to a message of type {kind}")
    if kind in _UNQUOTED and parts.context is not None:
        yield FieldError(f"{pointer}/context", "field.surplus", f"does not belong to a message of type {kind}")


def unfilled_faults(content: Content) -> list[FieldError]:
    """What is wrong with a content that nobody will fill in: places whose value was left to a variable, and texts that are too long
    and hold one."""
    if not _holds_variable(content):
        return []
    if faults := unfilled_places(content):
        return faults
    try:
        Document.model_validate(content, strict=True, context=AS_IT_STANDS)
    except ValidationError as error:
        return faults_of(error, content)
    return []


def unfilled_places(content: Content) -> list[FieldError]:
    """The first of these."""
    return [] if content["type"] == "text" else list(_unfilled(content, "", ""))


def _holds_variable(value: Any) -> bool:
    if isinstance(value, str):
        return VARIABLE in value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_holds_variable(one) for one in inner)


def _unfilled(value: Any, name: str, pointer: str) -> Iterator[FieldError]:
    if isinstance(value, str):
        if name in _LINKS and value.startswith(VARIABLE):
            yield FieldError(pointer, "link.invalid" if name in ("link", "url") else "location.out_of_range", "is a variable")
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key != "data":
                yield from _unfilled(inner, key, f"{pointer}/{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _unfilled(inner, name, f"{pointer}/{index}")
