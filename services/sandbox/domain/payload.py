"""A send request, checked as Meta checks it: the envelope and texts here, each other type in its module.

Source of limits: WhatsApp Cloud API, messages, read 2026-09. Unknown members and members that are null are tolerated, objects may
come as JSON text: the SDKs send all of these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from services.sandbox.domain.content import check_contacts, check_location, check_media, check_pin, check_reaction
from services.sandbox.domain.errors import GraphError, bad_parameter, required
from services.sandbox.domain.interactive import check_interactive
from services.sandbox.domain.members import MediaUse, object_of, string_of
from services.sandbox.domain.template_use import TemplateUse, check_template, use_of
from services.sandbox.domain.wamid import decode

MAX_TEXT: Final = 4096
MAX_CALLBACK_DATA: Final = 512

_PHONE_LENGTHS: Final = (5, 15)
_PHONE_NOISE: Final = str.maketrans("", "", "+ -()")
_USER_ID: Final = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
_GROUP_ID: Final = re.compile(r"[A-Za-z0-9_=.-]{1,128}")


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
    media: tuple[MediaUse, ...] = ()
    is_group: bool = False
    failure: int | None = None
    """Code that the message fails with after it was accepted, as it names a message that nobody can react to."""


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
        string_of(object_of(body, "context"), "message_id", "context")

    type_ = _type(body)
    if type_ == "text":
        message = Outgoing(to, recipient, is_user_id, type_, _text(body), callback_data)
    else:
        media = _CHECKS[type_](body, type_)
        use = use_of(body) if type_ == "template" else None
        message = Outgoing(to, recipient, is_user_id, type_, None, callback_data, use, media)
        if type_ == "reaction" and decode(object_of(body, type_)["message_id"]) is None:
            message.failure = 131009
    if body.get("recipient_type") == "group":
        if is_user_id or type_ not in _FOR_GROUPS:
            raise GraphError(131051, f"A message of type '{type_}' cannot be sent to a group.")
        message.is_group = True
    return message


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
        return "reaction" if body.get("reaction") is not None and body.get("text") is None else "text"
    if isinstance(type_, str) and (type_ == "text" or type_ in _CHECKS):
        return type_
    raise bad_parameter(f"Param type must be one of {{{', '.join(sorted(t.upper() for t in (*_CHECKS, 'text')))}}}")


def _text(body: Mapping[str, Any]) -> str:
    text = body.get("text")
    if type(text) is not dict:
        text = object_of(body, "text")
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


_CHECKS: Final[Mapping[str, Callable[[Mapping[str, Any], str], tuple[MediaUse, ...]]]] = MappingProxyType(
    {
        "template": check_template,
        "image": check_media,
        "video": check_media,
        "audio": check_media,
        "document": check_media,
        "sticker": check_media,
        "location": check_location,
        "contacts": check_contacts,
        "reaction": check_reaction,
        "interactive": check_interactive,
        "pin": check_pin,
    }
)
"""Each raises `GraphError`, and returns the files that the message names."""

_FOR_GROUPS: Final = frozenset({"text", "image", "video", "audio", "document", "sticker", "template", "pin"})
