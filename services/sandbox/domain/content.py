"""Messages that are neither text, template nor interactive: files, places, people, reactions, pins.

Source of limits: WhatsApp Cloud API, the pages of the types, read 2026-09.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from services.sandbox.domain.errors import bad_parameter
from services.sandbox.domain.members import (
    MediaUse,
    choice_of,
    decoded,
    element,
    list_of,
    maybe_string,
    media_of,
    missing,
    object_of,
    place_of,
    string_of,
    wrong,
)

MAX_CAPTION: Final = 1024
MAX_FILENAME: Final = 240
MAX_CARDS: Final = 257
MAX_LIST: Final = 50
MAX_FIELD: Final = 1000
MAX_EMOJI: Final = 40
PIN_DAYS: Final = (1, 30)

_CAPTIONED: Final = frozenset({"image", "video", "document"})
_BIRTHDAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_NAME_PARTS: Final = ("first_name", "last_name", "middle_name", "suffix", "prefix")
_LISTS: Final = {
    "phones": ("phone", "type", "wa_id"),
    "emails": ("email", "type"),
    "urls": ("url", "type"),
    "addresses": ("street", "city", "state", "zip", "country", "country_code", "type"),
}

Media = tuple[MediaUse, ...]


def check_media(body: Mapping[str, Any], type_: str) -> Media:
    media = object_of(body, type_)
    found = media_of(media, type_, type_)
    caption = media.get("caption")
    if caption is not None and type_ in _CAPTIONED and (not isinstance(caption, str) or len(caption) > MAX_CAPTION):
        raise bad_parameter(f"Param {type_}['caption'] must be a string of at most {MAX_CAPTION} characters.")
    if caption is not None and type_ not in _CAPTIONED:
        raise wrong(f"{type_}.caption", "is not taken by this type")
    if type_ == "document":
        maybe_string(media, "filename", type_, most=MAX_FILENAME)
    is_voice = media.get("voice")
    if is_voice is not None and not isinstance(is_voice, bool):
        raise wrong(f"{type_}.voice", "must be a boolean")
    return tuple(use._replace(is_voice=bool(is_voice)) for use in found) if type_ == "audio" else found


def check_location(body: Mapping[str, Any], type_: str) -> Media:
    place_of(object_of(body, type_), type_)
    return ()


def check_contacts(body: Mapping[str, Any], type_: str) -> Media:
    cards = body.get(type_)
    if isinstance(cards, str):
        cards = decoded(cards)
    if not isinstance(cards, list) or not cards:
        raise missing(type_)
    if len(cards) > MAX_CARDS:
        raise wrong(type_, f"has an invalid number of elements. Min: 1, Max: {MAX_CARDS}")
    for index, card in enumerate(cards):
        where = f"{type_}[{index}]"
        _check_card(element(card, where), where)
    return ()


def _check_card(card: Mapping[str, Any], where: str) -> None:
    name = object_of(card, "name", f"{where}.name")
    string_of(name, "formatted_name", f"{where}.name", most=MAX_FIELD)
    for part in _NAME_PARTS:
        maybe_string(name, part, f"{where}.name", most=MAX_FIELD)
    if not any(name.get(part) for part in _NAME_PARTS):
        raise missing(f"{where}.name.first_name")
    for list_name, fields in _LISTS.items():
        if card.get(list_name) is None:
            continue
        for index, entry in enumerate(list_of(card, list_name, f"{where}.{list_name}", least=0, most=MAX_LIST)):
            place = f"{where}.{list_name}[{index}]"
            for field in fields:
                maybe_string(element(entry, place), field, place, most=MAX_FIELD)
    if card.get("org") is not None:
        for field in ("company", "department", "title"):
            maybe_string(object_of(card, "org", f"{where}.org"), field, f"{where}.org", most=MAX_FIELD)
    birthday = maybe_string(card, "birthday", where, most=10)
    if birthday and _BIRTHDAY.fullmatch(birthday) is None:
        raise wrong(f"{where}.birthday", "must be of the form YYYY-MM-DD")


def check_reaction(body: Mapping[str, Any], type_: str) -> Media:
    reaction = object_of(body, type_)
    string_of(reaction, "message_id", type_)
    emoji = maybe_string(reaction, "emoji", type_, most=MAX_EMOJI)
    if emoji and emoji.isascii():
        raise wrong(f"{type_}.emoji", "must be a single emoji")
    return ()


def check_pin(body: Mapping[str, Any], type_: str) -> Media:
    pin = object_of(body, type_)
    string_of(pin, "message_id", type_)
    if choice_of(pin, "type", type_, ("pin", "unpin")) == "pin":
        days = pin.get("expiration_days")
        if days is not None and (isinstance(days, bool) or not isinstance(days, int) or not PIN_DAYS[0] <= days <= PIN_DAYS[1]):
            raise wrong(f"{type_}.expiration_days", f"must be a whole number from {PIN_DAYS[0]} to {PIN_DAYS[1]}")
    return ()
