"""Members of a request's body, as Meta reads them: null is absent, objects may come as JSON text.

Each function raises `GraphError` naming the member: 131008 where it is missing, 131009 where its value will not do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from services.sandbox.domain.errors import GraphError

_LINK: Final = re.compile(r"https?://[^\s/]+\S*", re.IGNORECASE)
MAX_LINK: Final = 2000


class MediaUse(NamedTuple):
    """A file that a message names by id: `where` in Meta's words, and what it is to be sent as."""

    where: str
    kind: str
    id: str
    is_voice: bool = False


def missing(where: str) -> GraphError:
    return GraphError(131008, f"Parameter '{where}' is mandatory.")


def wrong(where: str, must: str) -> GraphError:
    return GraphError(131009, f"Parameter '{where}' {must}.")


def object_of(parent: Mapping[str, Any], name: str, where: str | None = None) -> Mapping[str, Any]:
    """The object `parent[name]`; `where` is its full name in an error."""
    value = parent.get(name)
    if isinstance(value, str):
        value = decoded(value)
    if value is None:
        raise missing(where or name)
    if not isinstance(value, dict):
        raise wrong(where or name, "must be an object")
    return value


def list_of(parent: Mapping[str, Any], name: str, where: str, *, least: int, most: int) -> Sequence[Any]:
    """The array `parent[name]`, which has at least and at most so many elements."""
    value = parent.get(name)
    if isinstance(value, str):
        value = decoded(value)
    if value is None:
        raise missing(where)
    if not isinstance(value, list):
        raise wrong(where, "must be an array")
    if not least <= len(value) <= most:
        raise wrong(where, f"has an invalid number of elements. Min: {least}, Max: {most}")
    return value


def element(value: object, where: str) -> Mapping[str, Any]:
    """An array's element, which must be an object."""
    if not isinstance(value, dict):
        raise wrong(where, "must be an object")
    return value


def string_of(parent: Mapping[str, Any], name: str, where: str, *, most: int | None = None) -> str:
    """The string `parent[name]`, which is not empty."""
    value = parent.get(name)
    if value is None:
        raise missing(f"{where}.{name}")
    if not isinstance(value, str) or not value:
        raise wrong(f"{where}.{name}", "must be a string that is not empty")
    if most is not None and len(value) > most:
        raise wrong(f"{where}.{name}", f"has an invalid length. Min length: 1, Max length: {most}")
    return value


def maybe_string(parent: Mapping[str, Any], name: str, where: str, *, most: int) -> str | None:
    """The string `parent[name]`, where it is there; it may be empty."""
    value = parent.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > most:
        raise wrong(f"{where}.{name}", f"must be a string of at most {most} characters")
    return value


def choice_of(parent: Mapping[str, Any], name: str, where: str, choices: Sequence[str]) -> str:
    """The string `parent[name]`, one of a few."""
    value = string_of(parent, name, where)
    if value not in choices:
        raise wrong(f"{where}.{name}", f"must be one of {', '.join(choices)}")
    return value


def link_of(parent: Mapping[str, Any], name: str, where: str) -> str:
    """A web address."""
    link = string_of(parent, name, where, most=MAX_LINK)
    if _LINK.fullmatch(link) is None:
        raise wrong(f"{where}.{name}", "must be a valid URL")
    return link


def coordinate(parent: Mapping[str, Any], name: str, where: str, limit: float) -> None:
    """Degrees, a number or its text."""
    value = parent.get(name)
    if value is None:
        raise missing(f"{where}.{name}")
    try:
        degrees = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else limit + 1
    except (ValueError, OverflowError):
        degrees = limit + 1
    if not -limit <= degrees <= limit:
        raise wrong(f"{where}.{name}", f"must be a number from -{limit:g} to {limit:g}")


def place_of(location: Mapping[str, Any], where: str) -> None:
    """A location: coordinates are mandatory, the rest is not."""
    coordinate(location, "latitude", where, 90)
    coordinate(location, "longitude", where, 180)
    for name in ("name", "address"):
        maybe_string(location, name, where, most=1000)


def media_of(media: Mapping[str, Any], kind: str, where: str) -> tuple[MediaUse, ...]:
    """A file, named by exactly one of `id` and `link`."""
    sources = [name for name in ("id", "link") if media.get(name) is not None]
    if len(sources) != 1:
        raise GraphError(131008 if not sources else 131009, f"Parameter '{where}' needs exactly one of 'id' and 'link'.")
    if sources == ["link"]:
        link_of(media, "link", where)
        return ()
    media_id = media["id"]
    if isinstance(media_id, int) and not isinstance(media_id, bool):
        media_id = str(media_id)
    if not isinstance(media_id, str) or not media_id:
        raise wrong(f"{where}.id", "must be a string that is not empty")
    return (MediaUse(where, kind, media_id),)


def decoded(text: str) -> object:
    """What JSON text holds; the text itself where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
