"""Our content, which has the Cloud API's shape, as fields of Twilio's Message resource.

| content | fields |
|---|---|
| text | `Body`; whether links are previewed is Twilio's choice |
| image, video, audio, document by `link` | `MediaUrl`, and the caption as `Body`; a document is named as its link ends |
| location | `PersistentAction=geo:<latitude>,<longitude>|<label>`, and the label as `Body` |
| template | `ContentSid` is the template's name, in any case; `ContentVariables` are its parameters |

Parameters are named as `parameter_name` says, or 1, 2, 3 … in the order they stand in, over all components; the template's language
is the Content SID's own. Nothing else can be said: media by id (they lie at Meta), stickers, reactions, contacts, free interactive
messages, quotes of another message (`context`).

Sources: Twilio, "Messages resource", "Send templates created with the Content Template Builder", "Using variables with content
templates", read 2026-11.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

CONTENT_SID: Final = re.compile("[Hh][Xx][0-9a-fA-F]{32}")
MOST_VARIABLES: Final = 100
_BY_LINK: Final = ("image", "video", "audio", "document")

Fields = list[tuple[str, str]]


class Inexpressible(Exception):
    """The content has a part that Twilio has no field for; the text names it."""


def fields_of(content: dict[str, Any]) -> Fields:
    """The fields that carry the content. Raises `Inexpressible`."""
    if content.get("context"):
        raise Inexpressible("a quote of another message (context)")
    kind = content.get("type")
    part = content.get(kind) if isinstance(kind, str) else None
    if not isinstance(part, dict):
        raise Inexpressible("a content without the part that its type names")
    if kind == "text":
        return [("Body", _text(part.get("body"), "text.body"))]
    if kind in _BY_LINK:
        return _media(str(kind), part)
    if kind == "location":
        return _location(part)
    if kind == "template":
        return _template(part)
    raise Inexpressible(f"the type {kind}")


def _media(kind: str, part: dict[str, Any]) -> Fields:
    if not part.get("link"):
        raise Inexpressible(f"{kind} without a link")
    fields = [("MediaUrl", _text(part["link"], f"{kind}.link"))]
    if part.get("caption"):
        fields.append(("Body", _text(part["caption"], f"{kind}.caption")))
    return fields


def _location(part: dict[str, Any]) -> Fields:
    place = f"{part.get('latitude')},{part.get('longitude')}"
    label = ", ".join(str(part[key]) for key in ("name", "address") if part.get(key)) or place
    return [("Body", label), ("PersistentAction", f"geo:{place}|{label}")]


def _template(part: dict[str, Any]) -> Fields:
    name = part.get("name")
    if not isinstance(name, str) or not CONTENT_SID.fullmatch(name):
        raise Inexpressible("a template whose name is not a Content SID (HX…)")
    variables: dict[str, str] = {}
    components = part.get("components") or []
    for component in components if isinstance(components, list) else []:
        parameters = component.get("parameters") or [] if isinstance(component, dict) else []
        for parameter in parameters if isinstance(parameters, list) else []:
            key, value = _variable(parameter, len(variables) + 1)
            variables[key] = value
    if len(variables) > MOST_VARIABLES:
        raise Inexpressible(f"more than {MOST_VARIABLES} template parameters")
    fields = [("ContentSid", f"HX{name[2:]}")]
    if variables:
        fields.append(("ContentVariables", orjson.dumps(variables).decode()))
    return fields


def _variable(parameter: Any, place: int) -> tuple[str, str]:
    """A parameter's name and its value as text."""
    if not isinstance(parameter, dict):
        raise Inexpressible("a template parameter that is no object")
    kind = parameter.get("type")
    value = parameter.get(kind) if isinstance(kind, str) else None
    if isinstance(value, dict):
        value = value.get("link") or value.get("fallback_value")  # media by link; currency and date_time
    return str(parameter.get("parameter_name") or place), _text(value, f"a template parameter of type {kind}")


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise Inexpressible(what)
    return value
