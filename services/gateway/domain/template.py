"""WhatsApp templates: what their status means for sending, and what the parameters given must be.

Sources: WhatsApp Cloud API, template management, template components and messages references, read 2026-11. What the provider
describes is read carefully: a component of an unknown form demands nothing, so that only the provider can refuse what it is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.errors import FieldError
from shared.events.values import Content

APPROVED: Final = "approved"
DELETED: Final = "deleted"
_HOLDING: Final = frozenset(
    {
        "pending", "rejected", "paused", "disabled", "in_appeal", "pending_deletion", "deleted", "limit_exceeded", "archived",
        "locked",
    }
)  # fmt: skip
"""Statuses in which nothing is sent. What we have never heard of is the provider's to refuse."""
_RETURNED: Final = frozenset({"reinstated", "unarchived"})
_MEDIA: Final = ("image", "video", "document", "gif")
_PLACE: Final = re.compile(r"\{\{\s*([A-Za-z0-9_]{1,64})\s*\}\}")
_ROOT: Final = "/template/components"
LONGEST_CODE: Final = 15


def status_of(word: str) -> str | None:
    """A status by the provider's word for it, which of an event may be what happened; None where it tells of no new status."""
    status = word.lower()
    if status == "flagged":  # a warning: it is sent as before
        return None
    return APPROVED if status in _RETURNED else status


def held_by(status: str) -> str | None:
    """The code of the reason why a template in that status is not sent; None where it is."""
    return f"template.{status}" if status in _HOLDING else None


@dataclass(frozen=True, slots=True)
class Button:
    """What a button needs: `url` a suffix, `copy_code` a coupon code, others a parameter of their own kind; None: nothing."""

    sub_type: str
    needs: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """What a template's components take. `header` is `text`, a kind of media, `location`, `product`, or empty."""

    is_named: bool
    header: str
    header_names: tuple[str, ...]
    body_names: tuple[str, ...]
    buttons: tuple[Button, ...]
    of_cards: tuple[Shape, ...]
    """Of a carousel. Cards of products are as many as the message says, each as the first."""
    has_offer: bool
    is_authentication: bool

    @classmethod
    def of(cls, components: Any, parameter_format: str | None, category: str | None, *, is_outermost: bool = True) -> Shape:
        """From the provider's description, of a template or of a card in one."""
        header, header_names, body_names = "", _places(None), _places(None)
        buttons: list[Button] = []
        of_cards: tuple[Shape, ...] = ()
        has_offer = False
        for component in _dicts(components):
            match str(component.get("type", "")).lower():
                case "header":
                    header = str(component.get("format", "text")).lower()
                    header_names = _places(component.get("text")) if header == "text" else ()
                case "body":
                    body_names = _places(component.get("text"))
                case "buttons":
                    buttons = [_button(button) for button in _dicts(component.get("buttons"))]
                case "carousel":
                    cards = _dicts(component.get("cards")) if is_outermost else []
                    of_cards = tuple(
                        cls.of(card.get("components"), parameter_format, category, is_outermost=False) for card in cards
                    )
                case "limited_time_offer":
                    offer = component.get("limited_time_offer")
                    has_offer = isinstance(offer, dict) and offer.get("has_expiration") is True
        return cls(
            (parameter_format or "").upper() == "NAMED",
            header,
            header_names,
            body_names,
            tuple(buttons),
            of_cards,
            has_offer,
            (category or "").lower() == "authentication",
        )

    def faults(self, given: Any, root: str = _ROOT) -> Iterator[FieldError]:
        """What the provider would refuse of the `components` of a message, each with the pointer to its place there."""
        seen: dict[str, None] = {}
        for index, component in enumerate(_dicts(given)):
            place, kind = f"{root}/{index}", str(component.get("type", "")).lower()
            parameters = component.get("parameters")
            if parameters is not None and not _are_dicts(parameters):
                yield FieldError(f"{place}/parameters", "template.parameter_type", "must be an array of objects")
                continue
            name = f"button {component.get('index')}" if kind == "button" else kind
            if name in seen:
                yield FieldError(place, "template.component_repeated", f"is the second {name}")
                continue
            seen[name] = None
            yield from self._component_faults(kind, component, _dicts(parameters), place)
        yield from self._absent(seen, root)
        if self.is_authentication:
            yield from _code_faults(_dicts(given), root)

    def _component_faults(
        self, kind: str, component: Mapping[str, Any], parameters: Sequence[Mapping[str, Any]], place: str
    ) -> Iterator[FieldError]:
        where = f"{place}/parameters"
        match kind:
            case "header":
                if self.header == "text" or not self.header:
                    yield from self._text_faults("header", self.header_names, parameters, where)
                elif len(parameters) != 1:
                    yield _count("header", 1, len(parameters), where)
                else:
                    yield from _header_faults(self.header, parameters[0], f"{where}/0")
            case "body":
                yield from self._text_faults("body", self.body_names, parameters, where)
            case "button":
                yield from self._button_faults(component, parameters, place)
            case "carousel" if not self.of_cards:
                yield FieldError(place, "template.component_unknown", "the template has no carousel")
            case "carousel":
                yield from self._card_faults(component.get("cards"), f"{place}/cards")
            case "limited_time_offer" if not self.has_offer:
                yield FieldError(place, "template.component_unknown", "the template has no offer that expires")
            case "limited_time_offer" | "tap_target_configuration":
                pass
            case _:
                yield FieldError(f"{place}/type", "template.component_unknown", "is no component that takes parameters")

    def _card_faults(self, given: Any, where: str) -> Iterator[FieldError]:
        """Of a carousel's cards, each as the template has it under its `card_index`."""
        cards = _dicts(given)
        is_of_products = self.of_cards[0].header == "product"
        if not is_of_products and len(cards) != len(self.of_cards):
            detail = f"the template's carousel has {len(self.of_cards)} cards, {len(cards)} given"
            yield FieldError(where, "template.parameter_count", detail)
        for place, card in enumerate(cards):
            index = 0 if is_of_products else card.get("card_index")
            if isinstance(index, int) and 0 <= index < len(self.of_cards):
                yield from self.of_cards[index].faults(card.get("components"), f"{where}/{place}/components")
            else:
                detail = f"the template's cards are numbered from 0 to {len(self.of_cards) - 1}"
                yield FieldError(f"{where}/{place}/card_index", "template.card_unknown", detail)

    def _text_faults(
        self, name: str, wanted: Sequence[str], parameters: Sequence[Mapping[str, Any]], where: str
    ) -> Iterator[FieldError]:
        """Of a header's or the body's variables."""
        if len(parameters) != len(wanted):
            yield _count(name, len(wanted), len(parameters), where)
        given: set[str] = set()
        for place, parameter in enumerate(parameters):
            kind = parameter.get("type")
            if kind not in ("text", "currency", "date_time", "group_id"):
                detail = "must be text, currency, date_time or group_id"
                yield FieldError(f"{where}/{place}/type", "template.parameter_type", detail)
            elif kind == "text" and not isinstance(parameter.get("text"), str):
                yield FieldError(f"{where}/{place}/text", "template.parameter_type", "must be a text")
            label = parameter.get("parameter_name")
            if not self.is_named:
                if label is not None:
                    detail = "has no place here: the template's variables have numbers, not names"
                    yield FieldError(f"{where}/{place}/parameter_name", "template.parameter_name", detail)
            elif not isinstance(label, str) or label not in wanted or label in given:
                detail = f"must name one of the template's variables, each once: {', '.join(wanted) or 'it has none'}"
                yield FieldError(f"{where}/{place}/parameter_name", "template.parameter_name", detail)
            else:
                given.add(label)

    def _button_faults(
        self, component: Mapping[str, Any], parameters: Sequence[Mapping[str, Any]], place: str
    ) -> Iterator[FieldError]:
        index, sub_type = _index(component.get("index")), str(component.get("sub_type", "")).lower()
        if index is None or index >= len(self.buttons):
            detail = f"the template has {len(self.buttons)} buttons, numbered from 0"
            yield FieldError(f"{place}/index", "template.button_unknown", detail)
            return
        button = self.buttons[index]
        if sub_type != button.sub_type:
            yield FieldError(f"{place}/sub_type", "template.button_type", f"is a button of type {button.sub_type}")
        elif sub_type in ("url", "copy_code"):
            if len(parameters) != int(button.needs):
                yield _count("button", int(button.needs), len(parameters), f"{place}/parameters")
                return
            wanted = "coupon_code" if sub_type == "copy_code" else "text"
            for parameter in parameters:
                if parameter.get("type") != wanted or not isinstance(parameter.get(wanted), str):
                    yield FieldError(f"{place}/parameters/0", "template.parameter_type", f"must be of type {wanted}")

    def _absent(self, seen: Mapping[str, None], root: str) -> Iterator[FieldError]:
        """Components that the template cannot do without."""
        if "body" not in seen and self.body_names:
            yield _count("body", len(self.body_names), 0, root)
        if "header" not in seen and (self.header_names or self.header not in ("", "text")):
            yield _count("header", len(self.header_names) or 1, 0, root)
        for index, button in enumerate(self.buttons):
            if button.needs and not any(_index(name[7:]) == index for name in seen if name.startswith("button ")):
                detail = f"button {index} ({button.sub_type}) takes 1 parameter, none is given"
                yield FieldError(root, "template.parameter_count", detail)
        if self.of_cards and "carousel" not in seen:
            yield FieldError(root, "template.parameter_count", f"the carousel's {len(self.of_cards)} cards are missing")
        if self.has_offer and "limited_time_offer" not in seen:
            yield FieldError(root, "template.parameter_count", "the limited time offer's expiration is missing")

    def content(self, name: str, language: str) -> Content | None:
        """A message of this template whose parameters are variables: the body's and the header's by their
        own names (a numbered header's is `header_1`), its media's link `header_link`, what a button needs `button_0`, `button_1` …
        With the category `authentication` the button gets the body's code. None where it takes more than texts and links."""
        if self.of_cards or self.has_offer or self.header in ("location", "product"):
            return None
        if any(button.needs and button.sub_type not in ("url", "copy_code") for button in self.buttons):
            return None
        components: list[dict[str, Any]] = []
        if self.header in _MEDIA:
            media = [{"type": self.header, self.header: {"link": "{{header_link}}"}}]
            components.append({"type": "header", "parameters": media})
        elif self.header_names:
            prefix = "" if self.is_named else "header_"
            components.append({"type": "header", "parameters": self._variables(self.header_names, prefix)})
        if self.body_names:
            components.append({"type": "body", "parameters": self._variables(self.body_names, "")})
        for index, button in enumerate(self.buttons):
            if button.needs:
                variable = self.body_names[0] if self.is_authentication and self.body_names else f"button_{index}"
                kind = "text" if button.sub_type == "url" else "coupon_code"
                parameter = {"type": kind, kind: f"{{{{{variable}}}}}"}
                components.append(
                    {"type": "button", "sub_type": button.sub_type, "index": str(index), "parameters": [parameter]}
                )
        template: dict[str, Any] = {"name": name, "language": {"code": language}}
        return {"type": "template", "template": {**template, "components": components} if components else template}

    def _variables(self, names: Sequence[str], prefix: str) -> list[dict[str, Any]]:
        return [
            {"type": "text", **({"parameter_name": name} if self.is_named else {}), "text": f"{{{{{prefix}{name}}}}}"}
            for name in names
        ]


def _header_faults(wanted: str, parameter: Mapping[str, Any], place: str) -> Iterator[FieldError]:
    kind = parameter.get("type")
    if kind != wanted:
        yield FieldError(f"{place}/type", "template.parameter_type", f"the template's header is of type {wanted}")
        return
    value = parameter.get(wanted)
    if not isinstance(value, dict):
        yield FieldError(f"{place}/{wanted}", "template.parameter_type", "must be an object")
    elif wanted in _MEDIA and (value.get("id") is None) == (value.get("link") is None):
        yield FieldError(f"{place}/{wanted}", "template.parameter_type", "needs exactly one of id and link")


def _code_faults(components: Sequence[Mapping[str, Any]], root: str) -> Iterator[FieldError]:
    """Of an authentication template: the button copies the code that the body shows, of 15 characters at most."""
    codes: dict[str, tuple[str, str]] = {}
    for index, component in enumerate(components):
        kind, parameters = str(component.get("type", "")).lower(), _dicts(component.get("parameters"))
        if kind in ("body", "button") and parameters and isinstance(code := parameters[0].get("text"), str):
            codes.setdefault(kind, (code, f"{root}/{index}/parameters/0/text"))
    for code, pointer in codes.values():
        if len(code) > LONGEST_CODE and "{{" not in code:
            yield FieldError(pointer, "template.code_too_long", f"a code has {LONGEST_CODE} characters at most")
    if len(codes) == 2 and codes["body"][0] != codes["button"][0]:
        yield FieldError(codes["button"][1], "template.code_differs", "must be the code that the body has")


def _count(name: str, wanted: int, given: int, pointer: str) -> FieldError:
    parameters = "parameter" if wanted == 1 else "parameters"
    return FieldError(pointer, "template.parameter_count", f"the template's {name} takes {wanted} {parameters}, {given} given")


def _button(button: Mapping[str, Any]) -> Button:
    kind = str(button.get("type", "")).lower()
    match kind:
        case "otp":
            return Button("url", needs=True)
        case "url":
            return Button("url", needs=bool(_places(button.get("url"))))
        case "copy_code" | "mpm" | "order_details":
            return Button(kind, needs=True)
        case _:
            return Button(kind, needs=False)


def _places(text: Any) -> tuple[str, ...]:
    """The variables of a template's text, each once, numbers in their order."""
    if not isinstance(text, str):
        return ()
    names = list(dict.fromkeys(_PLACE.findall(text)))
    return tuple(sorted(names, key=int) if all(name.isdecimal() for name in names) else names)


def _index(value: Any) -> int | None:
    """A button's number, which comes as a number or as text."""
    text = str(value)
    return int(text) if len(text) == 1 and text in "0123456789" else None


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _are_dicts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)
