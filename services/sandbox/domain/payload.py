"""A send request, checked as Meta checks it. Text and template are checked in full, the other types for their shape.

Source of limits: WhatsApp Cloud API, messages and the pages of the types, read 2026-09. Unknown members and members that are
null are tolerated, objects may come as JSON text: the SDKs send all of these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from services.sandbox.domain.errors import GraphError, bad_parameter, required
from services.sandbox.domain.wamid import decode

MAX_TEXT: Final = 4096
MAX_CAPTION: Final = 1024
MAX_CALLBACK_DATA: Final = 512
MAX_TEMPLATE_NAME: Final = 512

_PHONE_LENGTHS: Final = (5, 15)
_PHONE_NOISE: Final = str.maketrans("", "", "+ -()")
_USER_ID: Final = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
_GROUP_ID: Final = re.compile(r"[A-Za-z0-9_=.-]{1,128}")


@dataclass(frozen=True, slots=True)
class TemplateUse:
    """The template that a message is of, with the components it gives."""

    name: str
    language: str
    components: Any


@dataclass(slots=True)
class Outgoing:
    """A message that passed. `recipient` is digits, or the business-scoped user id where `is_user_id`; `to` is as sent."""

    to: str
    recipient: str
    is_user_id: bool
    type: str
    text: str | None
    callback_data: str | None
    template: TemplateUse | None = None


@dataclass(slots=True)
class ReadReceipt:
    """A user's message marked as read."""

    message_id: str


def parse(body: object) -> Outgoing | ReadReceipt:
    """The request in a body of `POST …/messages`. Raises `GraphError` whose details name the field at fault."""
    if not isinstance(body, dict):
        raise GraphError(100, "The body must be a JSON object.")
    product = body.get("messaging_product")
    if product != "whatsapp":
        if product is None:
            raise required("messaging_product")
        raise bad_parameter("Param messaging_product must be one of {WHATSAPP}")
    if body.get("status") is not None:
        return _read_receipt(body)

    to, recipient, is_user_id = _recipient(body)
    if body.get("recipient_type") not in (None, "individual", "group"):
        raise bad_parameter("Param recipient_type must be one of {INDIVIDUAL, GROUP}")
    callback_data = body.get("biz_opaque_callback_data")
    if callback_data is not None and (not isinstance(callback_data, str) or len(callback_data) > MAX_CALLBACK_DATA):
        raise bad_parameter(f"Param biz_opaque_callback_data must be a string of at most {MAX_CALLBACK_DATA} characters.")
    if body.get("context") is not None:
        _string(_object(body, "context"), "message_id", "context")

    type_ = _type(body)
    if type_ == "text":
        return Outgoing(to, recipient, is_user_id, type_, _text(body), callback_data)
    _CHECKS[type_](body, type_)
    use = _use(body) if type_ == "template" else None
    return Outgoing(to, recipient, is_user_id, type_, None, callback_data, use)


def normalise_phone(value: str) -> str | None:
    """The digits of a phone number; None where it cannot be one. `+`, blanks, hyphens and brackets are tolerated."""
    digits = value.translate(_PHONE_NOISE)
    return digits if digits.isascii() and digits.isdigit() and _PHONE_LENGTHS[0] <= len(digits) <= _PHONE_LENGTHS[1] else None


def _read_receipt(body: Mapping[str, Any]) -> ReadReceipt:
    if body["status"] != "read":
        raise bad_parameter("Param status must be one of {READ}")
    message_id = body.get("message_id")
    if message_id is None:
        raise required("message_id")
    parts = decode(message_id) if isinstance(message_id, str) else None
    if parts is None:
        raise GraphError(100, "Please check the message ID you have provided.")
    if not parts.is_inbound:
        raise GraphError(100, "The message_id is outgoing: only messages from users can be marked as read.")
    return ReadReceipt(message_id)


def _recipient(body: Mapping[str, Any]) -> tuple[str, str, bool]:
    to = body.get("to")
    if to is None:
        user_id = body.get("recipient")
        if user_id is None:
            raise required("to")
        if not isinstance(user_id, str) or _USER_ID.fullmatch(user_id) is None:
            raise GraphError(131009, "Parameter 'recipient' is not a business-scoped user id.")
        return "", user_id, True
    if isinstance(to, int) and not isinstance(to, bool):
        to = str(to)
    if not isinstance(to, str):
        raise bad_parameter("Param to must be a string.")
    if body.get("recipient_type") == "group":
        if _GROUP_ID.fullmatch(to) is None:
            raise GraphError(131009, "Parameter 'to' is not a group id.")
        return to, to, False
    digits = normalise_phone(to)
    if digits is None:
        raise GraphError(131009, "Parameter 'to' is not a valid phone number.")
    return to, digits, False


def _type(body: Mapping[str, Any]) -> str:
    type_: object = body.get("type")
    if type_ is None:
        # Absent in practice for these two.
        return "reaction" if "reaction" in body and "text" not in body else "text"
    if isinstance(type_, str) and (type_ == "text" or type_ in _CHECKS):
        return type_
    raise bad_parameter(f"Param type must be one of {{{', '.join(sorted(t.upper() for t in (*_CHECKS, 'text')))}}}")


def _text(body: Mapping[str, Any]) -> str:
    text = body.get("text")
    if type(text) is not dict:
        text = _object(body, "text")
    content = text.get("body")
    if type(content) is not str:
        if content is None:
            raise GraphError(131008, "Parameter 'text.body' is mandatory for type 'text'.")
        raise bad_parameter("Param text['body'] must be a string.")
    if not 1 <= len(content) <= MAX_TEXT:
        if content:
            raise bad_parameter(f"Param text['body'] must be at most {MAX_TEXT} characters long.")
        raise bad_parameter("Param text['body'] must be at least 1 character long.")
    preview = text.get("preview_url")
    if preview is not None and not isinstance(preview, bool) and preview not in ("true", "false"):
        raise bad_parameter("Param text['preview_url'] must be a boolean.")
    return content


def _template(body: Mapping[str, Any], type_: str) -> None:
    template = _object(body, type_)
    name = _string(template, "name", type_)
    if len(name) > MAX_TEMPLATE_NAME:
        raise bad_parameter(f"Param template['name'] must be at most {MAX_TEMPLATE_NAME} characters long.")
    _string(_object(template, "language", "template.language"), "code", "template.language")
    components = template.get("components")
    if components is None:
        return
    if not isinstance(components, list):
        raise bad_parameter("Param template['components'] must be an array.")
    for index, component in enumerate(components):
        _component(component, f"template.components[{index}]")


def _use(body: Mapping[str, Any]) -> TemplateUse:
    """Of a template that was checked."""
    template = _object(body, "template")
    return TemplateUse(template["name"], _object(template, "language")["code"], template.get("components"))


_BUTTON_INDEXES: Final = frozenset("0123456789")
_COMPONENTS: Final = frozenset({"header", "body", "button", "carousel", "limited_time_offer", "tap_target_configuration"})


def _component(component: object, where: str) -> None:
    if not isinstance(component, dict):
        raise GraphError(131009, f"Parameter '{where}' must be an object.")
    kind = _string(component, "type", where).lower()
    if kind not in _COMPONENTS:
        raise GraphError(131009, f"Parameter '{where}.type' must be one of {', '.join(sorted(_COMPONENTS))}.")
    if kind == "button":
        _string(component, "sub_type", where)
        index = component.get("index")
        if index is None:
            raise GraphError(131008, f"Parameter '{where}.index' is mandatory.")
        if str(index) not in _BUTTON_INDEXES:
            raise GraphError(131009, f"Parameter '{where}.index' must be 0 to 9.")
    if component.get("parameters") is not None:
        _parameters(component["parameters"], where)


def _parameters(parameters: object, where: str) -> None:
    if not isinstance(parameters, list):
        raise GraphError(131009, f"Parameter '{where}.parameters' must be an array.")
    for index, parameter in enumerate(parameters):
        place = f"{where}.parameters[{index}]"
        if not isinstance(parameter, dict):
            raise GraphError(131009, f"Parameter '{place}' must be an object.")
        parameter_type = _string(parameter, "type", place).lower()
        # A payload parameter may carry its value as `payload` or, in older samples, as `text`.
        if parameter_type != "payload" and parameter.get(parameter_type) is None:
            raise GraphError(131008, f"Parameter '{place}.{parameter_type}' is mandatory for type '{parameter_type}'.")


def _media(body: Mapping[str, Any], type_: str) -> None:
    media = _object(body, type_)
    sources = [name for name in ("id", "link") if media.get(name) is not None]
    if len(sources) != 1:
        raise GraphError(131008 if not sources else 131009, f"Parameter '{type_}' needs exactly one of 'id' and 'link'.")
    caption = media.get("caption")
    if caption is not None and (not isinstance(caption, str) or len(caption) > MAX_CAPTION):
        raise bad_parameter(f"Param {type_}['caption'] must be a string of at most {MAX_CAPTION} characters.")


def _location(body: Mapping[str, Any], type_: str) -> None:
    location = _object(body, type_)
    for name in ("latitude", "longitude"):
        if location.get(name) is None:
            raise GraphError(131008, f"Parameter '{type_}.{name}' is mandatory.")


def _contacts(body: Mapping[str, Any], type_: str) -> None:
    cards = body.get(type_)
    if isinstance(cards, str):
        cards = _decoded(cards)
    if not isinstance(cards, list) or not cards:
        raise GraphError(131008, f"Parameter '{type_}' must be an array of at least one contact.")


def _reaction(body: Mapping[str, Any], type_: str) -> None:
    _string(_object(body, type_), "message_id", type_)


def _interactive(body: Mapping[str, Any], type_: str) -> None:
    interactive = _object(body, type_)
    _string(interactive, "type", type_)
    _object(interactive, "action", "interactive.action")


def _pin(body: Mapping[str, Any], type_: str) -> None:
    _string(_object(body, type_), "message_id", type_)


_CHECKS: Final[Mapping[str, Callable[[Mapping[str, Any], str], None]]] = MappingProxyType(
    {
        "template": _template,
        "image": _media,
        "video": _media,
        "audio": _media,
        "document": _media,
        "sticker": _media,
        "location": _location,
        "contacts": _contacts,
        "reaction": _reaction,
        "interactive": _interactive,
        "pin": _pin,
    }
)


def _object(parent: Mapping[str, Any], name: str, where: str | None = None) -> Mapping[str, Any]:
    """The object `parent[name]`, which may be JSON text; `where` is its full name in an error."""
    value = parent.get(name)
    if isinstance(value, str):
        value = _decoded(value)
    if value is None:
        raise GraphError(131008, f"Parameter '{where or name}' is mandatory.")
    if not isinstance(value, dict):
        raise GraphError(131009, f"Parameter '{where or name}' must be an object.")
    return value


def _decoded(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _string(parent: Mapping[str, Any], name: str, where: str) -> str:
    value = parent.get(name)
    if value is None:
        raise GraphError(131008, f"Parameter '{where}.{name}' is mandatory.")
    if not isinstance(value, str) or not value:
        raise GraphError(131009, f"Parameter '{where}.{name}' must be a string that is not empty.")
    return value
