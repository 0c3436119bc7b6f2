"""What a template may be made of, and how its review ends.

Source of limits and subcodes: WhatsApp Cloud API, template components and error codes, read 2026-09. How a review ends is the
sandbox's own: a name that ends in `_rejected`, or in `_rejected_` and a reason, is rejected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from services.sandbox.domain.errors import GraphError
from services.sandbox.domain.template_match import places_in

MAX_BODY: Final = 1024
MAX_OFFER_BODY: Final = 600
MAX_LINE: Final = 60
MAX_BUTTONS: Final = 10
MAX_LABEL: Final = 25
MAX_URL: Final = 2000
MAX_PHONE: Final = 20

_TOO_LONG: Final = 2388040
_HEADER: Final = 2388047
_BODY: Final = 2388072
_FOOTER: Final = 2388073
_EDGES: Final = 2388299
_FORMATS: Final = frozenset({"TEXT", "IMAGE", "VIDEO", "DOCUMENT", "LOCATION", "PRODUCT"})
_TYPES: Final = frozenset({"HEADER", "BODY", "FOOTER", "BUTTONS", "CAROUSEL", "LIMITED_TIME_OFFER"})
_REJECTED: Final = re.compile(r".*_rejected(?:_(abusive_content|invalid_format|promotional|tag_content_mismatch|scam))?")
_EDGE_VARIABLE: Final = re.compile(r"\s*\{\{|[\s\S]*\}\}\s*\Z")


def verdict(name: str) -> str | None:
    """Why a template of that name is rejected; None where it is approved."""
    found = _REJECTED.fullmatch(name)
    return None if found is None else (found[1] or "invalid_format").upper()


def check_components(components: Sequence[Mapping[str, Any]], *, refuses_edges: bool) -> None:
    """Raises `GraphError` 100 with Meta's subcode. `refuses_edges`: a body may neither begin nor end with a variable."""
    types = [str(component.get("type", "")).upper() for component in components]
    for type_ in types:
        if type_ not in _TYPES:
            raise GraphError(100, f"components: type must be one of {', '.join(sorted(_TYPES))}.")
    if len(set(types)) != len(types):
        raise GraphError(100, "components: each type may stand there once.")
    most = MAX_OFFER_BODY if "LIMITED_TIME_OFFER" in types else MAX_BODY
    for type_, component in zip(types, components, strict=True):
        match type_:
            case "HEADER":
                _check_header(component)
            case "BODY":
                text = _text(component, "body", _BODY, most, is_needed=False)
                if refuses_edges and _EDGE_VARIABLE.match(text):
                    raise GraphError(100, "body: variables cannot be at the beginning or end.", subcode=_EDGES)
            case "FOOTER":
                if places_in(_text(component, "footer", _FOOTER, MAX_LINE, is_needed=False)):
                    raise GraphError(100, "footer: takes no variables.", subcode=_FOOTER)
            case "BUTTONS":
                _check_buttons(component.get("buttons"))


def _check_header(component: Mapping[str, Any]) -> None:
    format_ = str(component.get("format", "TEXT")).upper()
    if format_ not in _FORMATS:
        raise GraphError(100, f"header: format must be one of {', '.join(sorted(_FORMATS))}.", subcode=_HEADER)
    if format_ == "TEXT" and len(places_in(_text(component, "header", _HEADER, MAX_LINE, is_needed=True))) > 1:
        raise GraphError(100, "header: takes one variable at most.", subcode=_HEADER)


def _check_buttons(buttons: object) -> None:
    if not isinstance(buttons, list) or not 1 <= len(buttons) <= MAX_BUTTONS:
        raise GraphError(100, f"buttons: must be 1 to {MAX_BUTTONS} buttons.")
    for index, button in enumerate(buttons):
        if not isinstance(button, dict) or not isinstance(button.get("type"), str):
            raise GraphError(100, f"buttons[{index}]: must be an object with a type.")
        for name, most in (("text", MAX_LABEL), ("url", MAX_URL), ("phone_number", MAX_PHONE)):
            value = button.get(name)
            if value is not None and (not isinstance(value, str) or len(value) > most):
                raise GraphError(
                    100, f"buttons[{index}].{name}: must be a string of at most {most} characters.", subcode=_TOO_LONG
                )


def _text(component: Mapping[str, Any], kind: str, subcode: int, most: int, *, is_needed: bool) -> str:
    text = component.get("text", "" if not is_needed else None)
    if not isinstance(text, str) or (is_needed and not text):
        raise GraphError(100, f"{kind}: text is required.", subcode=subcode)
    if len(text) > most:
        raise GraphError(100, f"{kind}: text must be at most {most} characters long.", subcode=_TOO_LONG)
    return text
