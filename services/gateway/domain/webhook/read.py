"""The walk through a payload: every entry, every change, every part of it, each understood, kept as it is, or counted.

Source: WhatsApp Cloud API, webhooks reference, read 2026-11. Nothing in a payload can make the reader raise; a part that cannot be
understood costs itself only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from services.gateway.domain.template_notice import is_notice, notice
from services.gateway.domain.webhook.accounts import read_list
from services.gateway.domain.webhook.messages import Source, items_of, read_echo, read_history, read_message
from services.gateway.domain.webhook.origin import ECHOES, HISTORY, LISTS, MESSAGES, PARTS, STATUSES, Origin
from services.gateway.domain.webhook.parts import FieldChange, Reading
from services.gateway.domain.webhook.people import People
from services.gateway.domain.webhook.statuses import read_status
from services.gateway.domain.webhook.values import at, dicts, moment, node, too_deep, word

_NOTHING: Final = (None,)
"""What is read of an entry in which there is nothing to read, so that it counts."""


def phone_number_ids(payload: Any) -> set[str]:
    """The numbers a payload speaks of, untrusted: they choose the secret that must then fit."""
    return {named for change in _changes(payload) if (named := _number_of(change.get("value"))) is not None}


def account_ids(payload: Any) -> set[str]:
    """The accounts (WABA) a payload speaks of; account events name no number."""
    entries = dicts(payload.get("entry")) if isinstance(payload, dict) else ()
    return {account_id for entry in entries if (account_id := node(entry.get("id"))) is not None}


def read(payload: Any) -> Reading:
    """All updates of a payload. Where `parts` of it is 0, nothing stood in it."""
    reading = Reading()
    entries = payload.get("entry") if isinstance(payload, dict) else None
    if not isinstance(entries, list) or not entries:
        reading.missed.add("not JSON" if payload is None else "no entries")
        return reading
    before = 0
    for place, entry in enumerate(entries):
        changes = entry.get("changes") if isinstance(entry, dict) else None
        for index, change in enumerate(changes if isinstance(changes, list) and changes else _NOTHING):
            reading.missed.change, reading.missed.part = (place, index), None
            has_value = isinstance(change, dict) and isinstance(change.get("value"), dict)
            if has_value:
                _read_change(entry, change, reading)
            parts = reading.parts
            if parts == before:
                reading.missed.part = None
                reading.missed.add("nothing in it that is known" if has_value else "no change with a value")
                parts += 1
            before = parts
    return reading


def _read_change(entry: dict[str, Any], change: dict[str, Any], reading: Reading) -> None:
    value = _trimmed(change["value"], reading)
    number = _number_of(value)
    field = word(change.get("field")) or (MESSAGES if number is not None else "")
    origin = Origin(node(entry.get("id")) or "", field, value, number, moment(entry.get("time")))
    if number is not None:
        reading.phone_number_ids.add(number)
    people = People(value)
    lists = [key for key in LISTS if key in value]
    has_echoes = number is not None and ECHOES in value
    if number is not None and field == MESSAGES:
        _read_messages(value, number, origin, people, reading)
    elif number is not None and field == HISTORY:
        read_history(value, number, origin, people, reading)
    elif is_notice(value):
        told = notice(origin.account_id, value, origin.at)
        if told is not None and not too_deep(value):
            reading.templates.append(told)
            reading.changes.append(FieldChange(origin, value))
    elif field not in ("", MESSAGES) and not lists and not has_echoes and not too_deep(value):
        reading.changes.append(FieldChange(origin, value))
    for key in lists:
        read_list(key, value, origin, people, reading)
    if number is not None and has_echoes:
        source = Source(number, origin, people)
        for index, message in enumerate(items_of(value, ECHOES, reading)):
            reading.missed.part = ECHOES, index
            read_echo(message, source, reading)


def _trimmed(value: dict[str, Any], reading: Reading) -> dict[str, Any]:
    """The value without what no part could be carried with: members that stand beside the parts and are nested too deep."""
    deep = [key for key, part in value.items() if key not in PARTS and too_deep(part)]
    if not deep:
        return value
    reading.missed.add("members nested too deep", len(deep))
    contacts = [contact for contact in dicts(value.get("contacts")) if not too_deep(contact)]
    return {key: part for key, part in value.items() if key not in deep} | {"contacts": contacts}


def _read_messages(value: dict[str, Any], number: str, origin: Origin, people: People, reading: Reading) -> None:
    for index, status in enumerate(items_of(value, STATUSES, reading)):
        reading.missed.part = STATUSES, index
        read_status(status, number, origin, people, reading)
    messages = items_of(value, MESSAGES, reading)
    source = Source(number, origin, people)
    for index, message in enumerate(messages):
        reading.missed.part = MESSAGES, index
        read_message(message, source, reading)
    if "errors" in value and not messages:  # about the number itself
        if isinstance(value["errors"], list):
            reading.changes.append(FieldChange(origin, {key: part for key, part in value.items() if key not in PARTS}))
        else:
            reading.missed.part = "errors", None
            reading.missed.add("not a list")


def _changes(payload: Any) -> Iterator[dict[str, Any]]:
    if isinstance(payload, dict):
        for entry in dicts(payload.get("entry")):
            yield from dicts(entry.get("changes"))


def _number_of(value: Any) -> str | None:
    return node(at(value, "metadata", "phone_number_id"))
