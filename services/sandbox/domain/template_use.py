"""A template message's components: their shape, whatever the template.

Source: WhatsApp Cloud API, template components, read 2026-09.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.sandbox.domain.errors import GraphError, bad_parameter
from services.sandbox.domain.members import (
    MediaUse,
    element,
    list_of,
    media_of,
    missing,
    object_of,
    place_of,
    string_of,
    wrong,
)

MAX_NAME: Final = 512
MAX_COUPON: Final = 15
MAX_PARAMETER: Final = 32_768

BUTTON_INDEXES: Final = frozenset("0123456789")
COMPONENTS: Final = frozenset({"header", "body", "button", "carousel", "limited_time_offer", "tap_target_configuration"})
SUB_TYPES: Final = frozenset(
    {
        "quick_reply",
        "url",
        "copy_code",
        "flow",
        "catalog",
        "mpm",
        "spm",
        "order_details",
        "phone_number",
        "voice_call",
        "request_contact_info",
        "call_permission_request",
        "otp",
        "app",
    }
)
_FILES: Final = frozenset({"image", "video", "document", "gif"})
_OBJECTS: Final = frozenset({"currency", "date_time", "action", "product", "limited_time_offer"})


@dataclass(frozen=True, slots=True)
class TemplateUse:
    """The template that a message is of, with the components it gives."""

    name: str
    language: str
    components: Any


def check_template(body: Mapping[str, Any], type_: str) -> tuple[MediaUse, ...]:
    """Raises `GraphError`. Returns the files that it names."""
    template = object_of(body, type_)
    name = string_of(template, "name", type_)
    if len(name) > MAX_NAME:
        raise bad_parameter(f"Param template['name'] must be at most {MAX_NAME} characters long.")
    string_of(object_of(template, "language", "template.language"), "code", "template.language")
    components = template.get("components")
    if components is None:
        return ()
    if not isinstance(components, list):
        raise bad_parameter("Param template['components'] must be an array.")
    return _components(components, "template.components", is_card=False)


def use_of(body: Mapping[str, Any]) -> TemplateUse:
    """Of a template that was checked."""
    template = object_of(body, "template")
    return TemplateUse(template["name"], object_of(template, "language")["code"], template.get("components"))


def _components(components: list[Any], where: str, *, is_card: bool) -> tuple[MediaUse, ...]:
    media: list[MediaUse] = []
    for index, component in enumerate(components):
        place = f"{where}[{index}]"
        if not isinstance(component, dict):
            raise wrong(place, "must be an object")
        kind = string_of(component, "type", place).lower()
        if kind not in COMPONENTS or (is_card and kind not in ("header", "body", "button")):
            raise GraphError(131009, f"Parameter '{place}.type' must be one of {', '.join(sorted(COMPONENTS))}.")
        if kind == "button":
            _check_button(component, place)
        if kind == "carousel":
            for card_index, card in enumerate(list_of(component, "cards", f"{place}.cards", least=2, most=10)):
                card_place = f"{place}.cards[{card_index}]"
                if str(element(card, card_place).get("card_index")) not in BUTTON_INDEXES:
                    raise wrong(f"{card_place}.card_index", "must be 0 to 9")
                parts = list_of(card, "components", f"{card_place}.components", least=1, most=12)
                media += _components(list(parts), f"{card_place}.components", is_card=True)
        if component.get("parameters") is not None:
            parameters = list_of(component, "parameters", f"{place}.parameters", least=0, most=100)
            for parameter_index, parameter in enumerate(parameters):
                media += _parameter(parameter, f"{place}.parameters[{parameter_index}]")
    return tuple(media)


def _check_button(component: Mapping[str, Any], place: str) -> None:
    sub_type = string_of(component, "sub_type", place).lower()
    if sub_type not in SUB_TYPES:
        raise wrong(f"{place}.sub_type", f"must be one of {', '.join(sorted(SUB_TYPES))}")
    index = component.get("index")
    if index is None:
        raise missing(f"{place}.index")
    if str(index) not in BUTTON_INDEXES:
        raise wrong(f"{place}.index", "must be 0 to 9")


def _parameter(value: object, place: str) -> tuple[MediaUse, ...]:
    parameter = element(value, place)
    kind = string_of(parameter, "type", place).lower()
    # A payload parameter may carry its value as `payload` or, in older samples, as `text`.
    if kind == "payload":
        return ()
    if parameter.get(kind) is None:
        raise GraphError(131008, f"Parameter '{place}.{kind}' is mandatory for type '{kind}'.")
    if kind == "text":
        string_of(parameter, "text", place, most=MAX_PARAMETER)
    elif kind == "coupon_code":
        string_of(parameter, "coupon_code", place, most=MAX_COUPON)
    elif kind == "location":
        place_of(object_of(parameter, kind, f"{place}.{kind}"), f"{place}.{kind}")
    elif kind in _FILES:
        return media_of(object_of(parameter, kind, f"{place}.{kind}"), "video" if kind == "gif" else kind, f"{place}.{kind}")
    elif kind in _OBJECTS:
        given = object_of(parameter, kind, f"{place}.{kind}")
        if kind in ("currency", "date_time"):
            string_of(given, "fallback_value", f"{place}.{kind}")
    return ()
