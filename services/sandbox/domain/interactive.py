"""Interactive messages, each kind with its limits.

Source: WhatsApp Cloud API, the pages of the interactive types, read 2026-09. Where they differ from the OpenAPI file the greater
limit stands: a list's body has 4096 characters, a flow's button 30.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from services.sandbox.domain.errors import GraphError
from services.sandbox.domain.members import (
    MediaUse,
    choice_of,
    element,
    link_of,
    list_of,
    maybe_string,
    media_of,
    object_of,
    string_of,
    wrong,
)

MAX_HEADER: Final = 60
MAX_FOOTER: Final = 60
MAX_BODY: Final = 1024
MAX_LIST_BODY: Final = 4096
MAX_LABEL: Final = 20
MAX_PRODUCTS: Final = 30
MAX_CARD_BODY: Final = 160
MAX_CARD_BREAKS: Final = 2
MAX_VOICE_CALL_MINUTES: Final = 43_200
MAX_ID: Final = 1000

Members = Mapping[str, Any]
Media = tuple[MediaUse, ...]

_FILES: Final = ("image", "video", "document")
_ANY_HEADER: Final = ("text", *_FILES)
_ORDER_STATES: Final = ("pending", "processing", "partially_shipped", "shipped", "completed", "canceled")


class Kind(NamedTuple):
    """What one kind takes. `headers` are the types of header, `check` sees the action and the whole, and returns files."""

    check: Callable[[Members, Members], Media]
    headers: tuple[str, ...] = ()
    needs_header: bool = False
    max_body: int = MAX_BODY
    needs_body: bool = True
    has_footer: bool = True


def check_interactive(body: Members, type_: str) -> Media:
    """Raises `GraphError`. Returns the files that it names."""
    interactive = object_of(body, type_)
    name = string_of(interactive, "type", type_)
    kind = KINDS.get(name)
    if kind is None:
        raise wrong(f"{type_}.type", f"must be one of {', '.join(KINDS)}")
    action = object_of(interactive, "action", "interactive.action")
    media = _check_header(interactive, kind)
    if kind.needs_body or interactive.get("body") is not None:
        string_of(object_of(interactive, "body", "interactive.body"), "text", "interactive.body", most=kind.max_body)
    if interactive.get("footer") is not None:
        if not kind.has_footer:
            raise wrong("interactive.footer", f"is not taken by type {name}")
        string_of(object_of(interactive, "footer", "interactive.footer"), "text", "interactive.footer", most=MAX_FOOTER)
    return media + kind.check(action, interactive)


def _check_header(interactive: Members, kind: Kind) -> Media:
    if interactive.get("header") is None and not kind.needs_header:
        return ()
    where = "interactive.header"
    header = object_of(interactive, "header", where)
    if not kind.headers:
        raise wrong(where, "is not taken by this type")
    return _header_of(header, where, kind.headers)


def _header_of(header: Members, where: str, types: tuple[str, ...]) -> Media:
    type_ = choice_of(header, "type", where, types)
    if type_ == "text":
        string_of(header, "text", where, most=MAX_HEADER)
        return ()
    return media_of(object_of(header, type_, f"{where}.{type_}"), type_, f"{where}.{type_}")


def _buttons(action: Members, _: Members) -> Media:
    where = "interactive.action.buttons"
    ids, titles = [], []
    for index, button in enumerate(list_of(action, "buttons", where, least=1, most=3)):
        place = f"{where}[{index}]"
        choice_of(element(button, place), "type", place, ("reply",))
        reply = object_of(button, "reply", f"{place}.reply")
        ids.append(string_of(reply, "id", f"{place}.reply", most=256))
        titles.append(string_of(reply, "title", f"{place}.reply", most=MAX_LABEL))
    _check_unique(ids, f"{where}.reply.id")
    _check_unique(titles, f"{where}.reply.title")
    return ()


def _list(action: Members, _: Members) -> Media:
    string_of(action, "button", "interactive.action", most=MAX_LABEL)
    where = "interactive.action.sections"
    sections = list_of(action, "sections", where, least=1, most=10)
    ids: list[str] = []
    for index, section in enumerate(sections):
        place = f"{where}[{index}]"
        _check_section_title(element(section, place), place, is_needed=len(sections) > 1)
        for row_index, row in enumerate(list_of(section, "rows", f"{place}.rows", least=1, most=10)):
            row_place = f"{place}.rows[{row_index}]"
            ids.append(string_of(element(row, row_place), "id", row_place, most=200))
            string_of(row, "title", row_place, most=24)
            maybe_string(row, "description", row_place, most=72)
    if len(ids) > 10:
        raise wrong(where, "has too many rows in total. Max: 10")
    _check_unique(ids, f"{where}.rows.id")
    return ()


def _check_section_title(section: Members, place: str, *, is_needed: bool) -> None:
    if is_needed:
        string_of(section, "title", place, most=24)
    else:
        maybe_string(section, "title", place, most=24)


def _check_unique(values: Iterable[str], where: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise wrong(where, "must be unique, and is there twice")
        seen.add(value)


def _parameters(action: Members, name: str) -> Members:
    """The parameters of an action, whose `name` says what it is."""
    choice_of(action, "name", "interactive.action", (name,))
    return object_of(action, "parameters", "interactive.action.parameters")


_WHERE: Final = "interactive.action.parameters"


def _link(action: Members, _: Members) -> Media:
    parameters = _parameters(action, "cta_url")
    string_of(parameters, "display_text", _WHERE, most=MAX_LABEL)
    link_of(parameters, "url", _WHERE)
    return ()


def _flow(action: Members, _: Members) -> Media:
    parameters = _parameters(action, "flow")
    if parameters.get("flow_message_version") is None:
        raise GraphError(131008, f"Parameter '{_WHERE}.flow_message_version' is mandatory.")
    names = [name for name in ("flow_id", "flow_name") if parameters.get(name) is not None]
    if len(names) != 1:
        raise GraphError(131008 if not names else 131009, f"Parameter '{_WHERE}' needs exactly one of flow_id and flow_name.")
    string_of(parameters, names[0], _WHERE, most=MAX_ID)
    string_of(parameters, "flow_cta", _WHERE, most=30)
    if parameters.get("mode") is not None:
        choice_of(parameters, "mode", _WHERE, ("draft", "published"))
    if parameters.get("flow_action") is not None:
        choice_of(parameters, "flow_action", _WHERE, ("navigate", "data_exchange"))
    return ()


def _product(action: Members, _: Members) -> Media:
    for name in ("catalog_id", "product_retailer_id"):
        string_of(action, name, "interactive.action", most=MAX_ID)
    return ()


def _products(action: Members, _: Members) -> Media:
    string_of(action, "catalog_id", "interactive.action", most=MAX_ID)
    where = "interactive.action.sections"
    sections = list_of(action, "sections", where, least=1, most=10)
    count = 0
    for index, section in enumerate(sections):
        place = f"{where}[{index}]"
        _check_section_title(element(section, place), place, is_needed=len(sections) > 1)
        items = list_of(section, "product_items", f"{place}.product_items", least=1, most=MAX_PRODUCTS)
        count += len(items)
        for item_index, item in enumerate(items):
            item_place = f"{place}.product_items[{item_index}]"
            string_of(element(item, item_place), "product_retailer_id", item_place, most=MAX_ID)
    if count > MAX_PRODUCTS:
        raise wrong(where, f"has too many products in total. Max: {MAX_PRODUCTS}")
    return ()


def _named(name: str) -> Callable[[Members, Members], Media]:
    """An action that needs no parameters."""

    def check(action: Members, _: Members) -> Media:
        choice_of(action, "name", "interactive.action", (name,))
        return ()

    return check


def _address(action: Members, _: Members) -> Media:
    string_of(_parameters(action, "address_message"), "country", _WHERE, most=2)
    return ()


def _voice_call(action: Members, _: Members) -> Media:
    choice_of(action, "name", "interactive.action", ("voice_call",))
    if action.get("parameters") is not None:
        parameters = object_of(action, "parameters", _WHERE)
        maybe_string(parameters, "display_text", _WHERE, most=MAX_LABEL)
        minutes = parameters.get("ttl_minutes")
        if minutes is not None and not (isinstance(minutes, int) and 1 <= minutes <= MAX_VOICE_CALL_MINUTES):
            raise wrong(f"{_WHERE}.ttl_minutes", f"must be a whole number from 1 to {MAX_VOICE_CALL_MINUTES}")
    return ()


def _carousel(action: Members, _: Members) -> Media:
    where = "interactive.action.cards"
    cards = list_of(action, "cards", where, least=2, most=10)
    media: list[MediaUse] = []
    types: set[str] = set()
    indexes: list[str] = []
    for index, card in enumerate(cards):
        place = f"{where}[{index}]"
        types.add(choice_of(element(card, place), "type", place, ("cta_url", "product")))
        if str(card.get("card_index")) not in tuple("0123456789"):
            raise wrong(f"{place}.card_index", "must be 0 to 9")
        indexes.append(str(card["card_index"]))
        own = object_of(card, "action", f"{place}.action")
        if card["type"] == "product":
            for name in ("catalog_id", "product_retailer_id"):
                string_of(own, name, f"{place}.action", most=MAX_ID)
            continue
        media += _header_of(object_of(card, "header", f"{place}.header"), f"{place}.header", ("image", "video"))
        if card.get("body") is not None:
            text = string_of(object_of(card, "body", f"{place}.body"), "text", f"{place}.body", most=MAX_CARD_BODY)
            if text.count("\n") > MAX_CARD_BREAKS:
                raise wrong(f"{place}.body.text", f"has too many line breaks. Max: {MAX_CARD_BREAKS}")
        if own.get("buttons") is None:
            parameters = object_of(own, "parameters", f"{place}.action.parameters")
            string_of(parameters, "display_text", f"{place}.action.parameters", most=MAX_LABEL)
            link_of(parameters, "url", f"{place}.action.parameters")
    if len(types) > 1:
        raise wrong(where, "must all be of one type")
    _check_unique(indexes, f"{where}.card_index")
    return tuple(media)


def _order(action: Members, _: Members) -> Media:
    parameters = _parameters(action, "review_and_pay")
    string_of(parameters, "reference_id", _WHERE, most=60)
    choice_of(parameters, "type", _WHERE, ("digital-goods", "physical-goods"))
    string_of(parameters, "currency", _WHERE, most=3)
    total = object_of(parameters, "total_amount", f"{_WHERE}.total_amount")
    for name in ("value", "offset"):
        if isinstance(total.get(name), bool) or not isinstance(total.get(name), int):
            raise wrong(f"{_WHERE}.total_amount.{name}", "must be a whole number")
    order = object_of(parameters, "order", f"{_WHERE}.order")
    for index, item in enumerate(list_of(order, "items", f"{_WHERE}.order.items", least=1, most=999)):
        place = f"{_WHERE}.order.items[{index}]"
        string_of(element(item, place), "name", place, most=MAX_ID)
        object_of(item, "amount", f"{place}.amount")
    return ()


def _order_status(action: Members, _: Members) -> Media:
    parameters = _parameters(action, "review_order")
    string_of(parameters, "reference_id", _WHERE, most=60)
    order = object_of(parameters, "order", f"{_WHERE}.order")
    choice_of(order, "status", f"{_WHERE}.order", _ORDER_STATES)
    maybe_string(order, "description", f"{_WHERE}.order", most=120)
    return ()


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "button": Kind(_buttons, headers=_ANY_HEADER),
        "list": Kind(_list, headers=("text",), max_body=MAX_LIST_BODY),
        "cta_url": Kind(_link, headers=_ANY_HEADER),
        "flow": Kind(_flow, headers=_ANY_HEADER),
        "product": Kind(_product, needs_body=False),
        "product_list": Kind(_products, headers=("text",), needs_header=True),
        "catalog_message": Kind(_named("catalog_message")),
        "location_request_message": Kind(_named("send_location"), has_footer=False),
        "address_message": Kind(_address, headers=_ANY_HEADER),
        "call_permission_request": Kind(_named("call_permission_request"), needs_body=False),
        "voice_call": Kind(_voice_call, headers=_ANY_HEADER),
        "request_contact_info": Kind(_named("request_contact_info")),
        "carousel": Kind(_carousel, has_footer=False),
        "order_details": Kind(_order, headers=_FILES),
        "order_status": Kind(_order_status),
    }
)
"""By `interactive.type`."""
