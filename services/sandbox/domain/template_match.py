"""Whether a message gives a template what it takes: so many parameters, of the right kinds, for its body, header and buttons.

Source: WhatsApp Cloud API, error codes 132000, 132012, 132018 and template components, read 2026-09.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from services.sandbox.domain.errors import GraphError

_PLACE: Final = re.compile(r"\{\{\s*([A-Za-z0-9_]{1,64})\s*\}\}")
_NEED_PARAMETERS: Final = frozenset({"copy_code", "otp"})
Components = Sequence[Mapping[str, Any]]


def places_in(text: object) -> list[str]:
    """The variables of a text, each once."""
    return list(dict.fromkeys(_PLACE.findall(str(text))))


def check_use(defined: Components, given: object, *, is_named: bool) -> None:
    """Raises `GraphError` 132000, 132012, 132018 or 131008."""
    use = [component for component in given if isinstance(component, dict)] if isinstance(given, list) else []
    for component in defined:
        match _kind(component):
            case "body":
                _check_text("body", component, _parameters(use, "body"), is_named=is_named)
            case "header":
                _check_header(component, _parameters(use, "header"), is_named=is_named)
            case "buttons":
                _check_buttons(component.get("buttons"), use)
            case "carousel":
                _check_carousel(component.get("cards"), use, is_named=is_named)


def _check_text(kind: str, component: Mapping[str, Any], given: Components, *, is_named: bool) -> None:
    expected = places_in(component.get("text", ""))
    if len(given) != len(expected):
        raise GraphError(
            132000,
            f"{kind}: number of localizable_params ({len(given)}) does not match the expected number of params ({len(expected)})",
        )
    for parameter in given:
        if str(parameter.get("type", "")).lower() not in ("text", "currency", "date_time"):
            raise GraphError(132012, f"{kind}: Format mismatch, expected TEXT, received {_upper(parameter.get('type'))}")
    names = [parameter.get("parameter_name") for parameter in given]
    if is_named and set(names) != set(expected):
        raise GraphError(132018, f"{kind}: the parameters' names are not those of the template: {', '.join(expected)}")
    if not is_named and any(name is not None for name in names):
        raise GraphError(132018, f"{kind}: the template's parameters have no names")


def _check_header(component: Mapping[str, Any], given: Components, *, is_named: bool) -> None:
    format_ = str(component.get("format", "TEXT")).upper()
    if format_ == "TEXT":
        _check_text("header", component, given, is_named=is_named)
        return
    received = [_upper(parameter.get("type")) for parameter in given]
    if received != [format_]:
        raise GraphError(132012, f"header: Format mismatch, expected {format_}, received {', '.join(received) or 'UNKNOWN'}")


def _check_buttons(buttons: object, use: Components) -> None:
    given = {str(component.get("index")): component for component in use if _kind(component) == "button"}
    buttons = buttons if isinstance(buttons, list) else []
    for index, button in enumerate(buttons):
        kind = str(button.get("type", "")).lower() if isinstance(button, dict) else ""
        takes = kind in _NEED_PARAMETERS or (kind == "url" and bool(places_in(button.get("url", ""))))
        component = given.pop(str(index), None)
        parameters = component.get("parameters") if component is not None else None
        if takes and not parameters:
            raise GraphError(131008, f"buttons: Button at index {index} of type {kind} requires a parameter")
        if kind == "url" and not takes and parameters:
            raise GraphError(132018, f"buttons: Button at index {index} of type {kind} does not require parameters")
    if given:
        raise GraphError(132018, f"buttons: the template has no button at index {next(iter(given))}")


def _check_carousel(cards: object, use: Components, *, is_named: bool) -> None:
    defined = [card for card in cards if isinstance(card, dict)] if isinstance(cards, list) else []
    carousel = next((component for component in use if _kind(component) == "carousel"), {})
    given = [card for card in carousel.get("cards") or () if isinstance(card, dict)]
    is_product = any(
        str(part.get("format", "")).upper() == "PRODUCT" for card in defined for part in _parts(card.get("components"))
    )
    if is_product:
        if not 2 <= len(given) <= 10:
            raise GraphError(132012, f"carousel: expected 2 to 10 cards, received {len(given)}")
        return
    if len(given) != len(defined):
        raise GraphError(132012, f"carousel: expected {len(defined)} cards, received {len(given)}")
    for card, own in zip(defined, given, strict=True):
        check_use(list(_parts(card.get("components"))), own.get("components"), is_named=is_named)


def _parts(components: object) -> Iterator[Mapping[str, Any]]:
    return (part for part in (components if isinstance(components, list) else ()) if isinstance(part, dict))


def _kind(component: Mapping[str, Any]) -> str:
    return str(component.get("type", "")).lower()


def _parameters(use: Components, kind: str) -> Components:
    for component in use:
        if _kind(component) == kind:
            return list(_parts(component.get("parameters")))
    return []


def _upper(kind: object) -> str:
    return str(kind or "UNKNOWN").upper()
