"""The fields that are not messages: what people prefer, what they are called, what becomes of templates, numbers and accounts.

Source: WhatsApp Cloud API, webhooks reference, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.gateway.domain.webhook.missed import fault_of
from services.gateway.domain.webhook.origin import Origin
from services.gateway.domain.webhook.parts import (
    BookEntry,
    FieldChange,
    IdentityChange,
    IdentityKind,
    Preference,
    Reading,
)
from services.gateway.domain.webhook.people import People
from services.gateway.domain.webhook.values import at, moment, name, phone, user_id

_MARKETING: Final = "marketing_messages"


def read_list(key: str, value: Mapping[str, Any], origin: Origin, people: People, reading: Reading) -> None:
    """One of the `LISTS`. Each item is kept as it is too, once it is understood."""
    items = value[key]
    for index, item in enumerate(items if isinstance(items, list) else [items]):
        reading.missed.part = key, index
        if (fault := fault_of(item)) is not None:
            reading.missed.add(fault)
        elif not _read_item(key, item, origin, people, reading):
            reading.missed.add("what it needs is not there, or not of the right form")
        else:
            contact = people.contact(phone(item.get("wa_id")), user_id(item.get("user_id")))
            reading.changes.append(FieldChange(origin, origin.with_only(key, item, contact)))


def _read_item(key: str, item: dict[str, Any], origin: Origin, people: People, reading: Reading) -> bool:
    if key == "user_id_update":
        return _read_user_id(item, origin, people, reading)
    if origin.phone_number_id is None:
        return False
    if key == "user_preferences":
        return _read_preference(item, origin.phone_number_id, people, reading)
    return _read_book_entry(item, origin.phone_number_id, reading)


def _read_preference(item: dict[str, Any], phone_number_id: str, people: People, reading: Reading) -> bool:
    told_at, number, user = moment(item.get("timestamp")), phone(item.get("wa_id")), user_id(item.get("user_id"))
    value = item.get("value")
    is_known = item.get("category") == _MARKETING and value in ("stop", "resume")
    if told_at is None or (number is None and user is None) or not is_known:
        return False
    person = people.person(number, user)
    reading.preferences.append(Preference(phone_number_id, number, user, person.name, value == "stop", told_at))
    return True


def _read_user_id(item: dict[str, Any], origin: Origin, people: People, reading: Reading) -> bool:
    told_at, number = moment(item.get("timestamp")), phone(item.get("wa_id"))
    before, after = user_id(at(item, "user_id", "previous")), user_id(at(item, "user_id", "current"))
    if told_at is None or after is None or (before is None and number is None):
        return False
    contact = people.contact(number, before) or people.contact(None, after)
    reading.identities.append(
        IdentityChange(
            origin.phone_number_id, None, IdentityKind.USER_ID, before, after, number, before, told_at, origin, item, contact
        )
    )
    return True


def _read_book_entry(item: dict[str, Any], phone_number_id: str, reading: Reading) -> bool:
    number, action = phone(at(item, "contact", "phone_number")), item.get("action")
    if item.get("type") != "contact" or number is None or action not in ("add", "edit", "remove"):
        return False
    called = name(at(item, "contact", "full_name")) or name(at(item, "contact", "first_name"))
    told_at = moment(at(item, "metadata", "timestamp"))
    reading.book.append(BookEntry(phone_number_id, number, called, action != "remove", told_at))
    return True
