"""What a message says: its searchable text, and the content as PostgreSQL can keep it.

Content has the Cloud API's shape, `{"type": T, T: {…}}` (WhatsApp Cloud API, messages and webhooks, read 2026-11), but it
comes from outside: nothing about it is certain.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any, Final

UNKNOWN_TYPE: Final = "unknown"
MAX_TYPE_CHARS: Final = 40

_SPOKEN: Final = frozenset(
    {
        "body", "text", "caption", "filename", "title", "description", "address", "formatted_name", "company", "display_text",
        "fallback_value", "emoji", "button", "phone", "email",
    }
)  # fmt: skip
"""Keys whose strings people read; the others are ids, links and technical names."""
_NAMED: Final = frozenset({"location", "template"})
"""Types whose own `name` people know."""
_SPOKEN_IN_POLLS: Final = _SPOKEN | {"question", "name"}


def type_of(content: Mapping[str, Any]) -> str:
    """The content's type; where it is missing, the one object that is there names it."""
    named = content.get("type")
    if named is None:
        others = [key for key, value in content.items() if key != "context" and isinstance(value, dict | list)]
        named = others[0] if len(others) == 1 else UNKNOWN_TYPE
    return without_nul(named)[:MAX_TYPE_CHARS] or UNKNOWN_TYPE if isinstance(named, str) else UNKNOWN_TYPE


def body_of(content: Mapping[str, Any]) -> str:
    """What the message says, a line per part; empty for an image without a caption."""
    kind = type_of(content)
    said = content.get(kind)
    lines = []
    if kind in _NAMED and isinstance(said, dict) and isinstance(said.get("name"), str):
        lines.append(said["name"])
    lines.extend(_spoken(said, _SPOKEN_IN_POLLS if kind == "poll" else _SPOKEN))
    return without_nul("\n".join(line for line in lines if line))


def without_nul(text: str) -> str:
    """The text without U+0000, which PostgreSQL cannot hold."""
    return text.replace("\x00", "")


def storable(value: Any) -> Any:
    """The same JSON value with all its texts `without_nul`."""
    match value:
        case str():
            return without_nul(value)
        case dict():
            return {storable(key): storable(inner) for key, inner in value.items()}
        case list() | tuple():
            return [storable(inner) for inner in value]
        case _:
            return value


def _spoken(value: Any, keys: Container[str]) -> Iterator[str]:
    if isinstance(value, list):
        for inner in value:
            yield from _spoken(inner, keys)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, str):
                if key in keys:
                    yield inner
            else:
                yield from _spoken(inner, keys)
