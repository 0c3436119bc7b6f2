"""What a content refers to: files, and messages.

Whatever shape the content has: one that was kept before a rule of today was may break it, and the sender must not break on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from shared.events.values import Content

MEDIA: Final = ("image", "video", "audio", "document", "sticker", "gif")
OWN_MEDIA: Final = "med_"
OWN_MESSAGE: Final = "msg_"


class MediaPlace(NamedTuple):
    """A file in a content. `part` is the object that holds `id` or `link`, the content's own and no copy."""

    kind: str
    part: dict[str, Any]
    pointer: str


def media_places(content: Content) -> Iterator[MediaPlace]:
    """The files of a content, wherever they stand: as its part, in a header, on the cards of a carousel."""
    kind = content.get("type")
    if kind in MEDIA:
        yield from _of(content, str(kind), "")
    elif kind == "interactive":
        interactive = _object(content.get("interactive"))
        yield from _of_member(interactive.get("header"), "/interactive/header")
        for index, card in _objects(_object(interactive.get("action")).get("cards")):
            yield from _of_member(card.get("header"), f"/interactive/action/cards/{index}/header")
    elif kind == "template":
        yield from _of_components(_object(content.get("template")).get("components"), "/template/components")


def message_place(content: Content) -> tuple[dict[str, Any], str] | None:
    """The object whose `message_id` names another message, and its pointer; None where there is none."""
    for name in ("context", "reaction", "pin"):
        place = content.get(name)
        if isinstance(place, dict) and isinstance(place.get("message_id"), str):
            return place, f"/{name}"
    return None


def _of_components(components: Any, pointer: str) -> Iterator[MediaPlace]:
    for index, component in _objects(components):
        where = f"{pointer}/{index}"
        for place, parameter in _objects(component.get("parameters")):
            yield from _of_member(parameter, f"{where}/parameters/{place}")
        for place, card in _objects(component.get("cards")):
            yield from _of_components(card.get("components"), f"{where}/cards/{place}/components")


def _of_member(member: Any, pointer: str) -> Iterator[MediaPlace]:
    """Of a header or a parameter, whose type names its member."""
    if isinstance(member, dict) and member.get("type") in MEDIA:
        yield from _of(member, member["type"], pointer)


def _of(holder: dict[str, Any], kind: str, pointer: str) -> Iterator[MediaPlace]:
    part = holder.get(kind)
    if isinstance(part, dict):
        yield MediaPlace(kind, part, f"{pointer}/{kind}")


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(values: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of an array, each with its place."""
    for index, value in enumerate(values) if isinstance(values, list) else ():
        if isinstance(value, dict):
            yield index, value
