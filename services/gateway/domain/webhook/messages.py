"""Messages: what people write to a number, what the business writes in the number's app, what either takes back or says otherwise.

Source: WhatsApp Cloud API, messages, smb_message_echoes and history webhook references, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from services.gateway.domain.webhook.content import content_of
from services.gateway.domain.webhook.missed import fault_of_head
from services.gateway.domain.webhook.origin import HISTORY, MESSAGES, Origin
from services.gateway.domain.webhook.parts import (
    Echo,
    Edit,
    FieldChange,
    IdentityChange,
    IdentityKind,
    Inbound,
    Reading,
    Revoke,
)
from services.gateway.domain.webhook.people import People, Person
from services.gateway.domain.webhook.values import at, dicts, identifier, moment, phone, too_deep, user_id, word
from shared.phones import spellings

_SYSTEM: Final[Mapping[str, IdentityKind]] = {
    "user_changed_number": IdentityKind.PHONE,
    "customer_changed_number": IdentityKind.PHONE,
    "user_changed_user_id": IdentityKind.USER_ID,
    "customer_identity_changed": IdentityKind.IDENTITY,
}


class Source(NamedTuple):
    """Where messages stand."""

    phone_number_id: str
    origin: Origin
    people: People
    is_history: bool = False


class _Head(NamedTuple):
    name: str
    at: datetime
    raw: Mapping[str, Any]


def read_message(message: Any, source: Source, reading: Reading) -> None:
    """One item of `messages`."""
    head = _head(message, reading)
    if head is None:
        return
    kind, raw = head.raw.get("type"), head.raw
    if kind in ("edit", "revoke"):
        person = source.people.person(raw.get("from"), raw.get("from_user_id"))
        _read_correction(head, source, person, reading)
    elif kind == "system":
        _read_system(head, source, reading)
    else:
        _read_inbound(head, source, reading)


def read_echo(message: Any, source: Source, reading: Reading, thread: Any = None) -> None:
    """One item of `message_echoes`, or of a history's `thread`, which is then who the business wrote to."""
    head = _head(message, reading)
    if head is None:
        return
    raw = head.raw
    person = source.people.person(raw.get("to") or thread, raw.get("to_user_id"))
    if raw.get("type") in ("edit", "revoke"):
        _read_correction(head, source, person, reading)
        return
    group = word(raw.get("group_id"))
    to = f"group:{group}" if group else person.address
    if to is None:
        reading.missed.add("nobody whom it is to")
        return
    reading.echoes.append(
        Echo(
            source.phone_number_id,
            head.name,
            to,
            content_of(raw),
            head.at,
            source.is_history,
            source.origin,
            raw,
            person.contact,
        )
    )


def read_history(value: Mapping[str, Any], phone_number_id: str, origin: Origin, people: People, reading: Reading) -> None:
    """What was written before the number was connected, and, as `messages`, the files that belong to it. Each thread is kept as it
    is too, and so is a part without any: that somebody did not want to share theirs, say."""
    source = Source(phone_number_id, origin, people, is_history=True)
    for index, message in enumerate(items_of(value, MESSAGES, reading)):
        reading.missed.part = MESSAGES, index
        _read_old(message, None, source, reading)
        _keep(MESSAGES, message, origin, reading)
    for index, part in enumerate(items_of(value, HISTORY, reading)):
        reading.missed.part = HISTORY, index
        threads = part.get("threads") if isinstance(part, dict) else None
        if not isinstance(threads, list):
            _keep(HISTORY, part, origin, reading)
            continue
        for thread in threads:
            if not isinstance(thread, dict):
                reading.missed.add("a thread that is not an object")
                continue
            for message in items_of(thread, MESSAGES, reading):
                _read_old(message, thread.get("id"), source, reading)
            _keep(HISTORY, {**part, "threads": [thread]}, origin, reading)


def _keep(key: str, part: Any, origin: Origin, reading: Reading) -> None:
    if isinstance(part, dict) and not too_deep(part):
        contacts = dicts(origin.value.get("contacts"))
        reading.changes.append(FieldChange(origin, origin.with_only(key, part, *contacts)))
    else:
        reading.missed.add("not an object, or nested too deep")


def _read_old(message: Any, thread: Any, source: Source, reading: Reading) -> None:
    """One of a history, whose direction only its addresses tell."""
    if isinstance(message, dict):
        sender, business = phone(message.get("from")), source.origin.display_phone
        is_own = business in spellings(sender or "") if business is not None else sender != (phone(thread) or sender)
        if message.get("to") or (sender is not None and is_own):
            read_echo(message, source, reading, thread)
            return
        if sender is None and thread is not None:
            message = {**message, "from": thread}
    read_message(message, source, reading)


def items_of(value: Mapping[str, Any], key: str, reading: Reading) -> Sequence[Any]:
    """The list of that name; something else than a list in its place is not understood."""
    items = value.get(key, ())
    if isinstance(items, list | tuple):
        return items
    reading.missed.part = key, None
    reading.missed.add("not a list")
    return ()


def _head(message: Any, reading: Reading) -> _Head | None:
    name = told_at = None
    if isinstance(message, dict) and not too_deep(message):
        name, told_at = identifier(message.get("id")), moment(message.get("timestamp"))
    if name is None or told_at is None:
        reading.missed.add(fault_of_head(message, "no id"))
        return None
    return _Head(name, told_at, message)


def _read_inbound(head: _Head, source: Source, reading: Reading) -> None:
    raw = head.raw
    person = source.people.person(raw.get("from"), raw.get("from_user_id"), raw.get("from_parent_user_id"))
    address = person.address
    if address is None:
        reading.missed.add("nobody whom it is from")
        return
    reading.inbound.append(
        Inbound(
            source.phone_number_id,
            head.name,
            address,
            person.name,
            content_of(_with_errors(raw, source.origin.value)),
            head.at,
            person.user_id,
            person.parent_user_id,
            person.username,
            word(raw.get("group_id")),
            source.is_history,
            source.origin,
            raw,
            person.contact,
        )
    )


def _with_errors(message: Mapping[str, Any], value: Mapping[str, Any]) -> Mapping[str, Any]:
    """A message without the object that its type names has been seen, the reason standing beside it."""
    kind, errors = message.get("type"), value.get("errors")
    if isinstance(kind, str) and kind not in message and "errors" not in message and isinstance(errors, list):
        return {**message, "errors": errors}
    return message


def _read_correction(head: _Head, source: Source, person: Person, reading: Reading) -> None:
    """An edit or a revocation, by whichever side."""
    kind = head.raw["type"]
    told = head.raw.get(kind)
    wamid = identifier(told.get("original_message_id")) if isinstance(told, dict) else None
    if wamid is not None and kind == "revoke":
        reading.revokes.append(
            Revoke(source.phone_number_id, head.name, wamid, head.at, source.origin, head.raw, person.contact)
        )
        return
    message = at(told, "message")
    if wamid is None or not isinstance(message, dict) or not message:
        reading.missed.add("no original_message_id" if wamid is None else "no message")
        return
    content = content_of(message)
    reading.edits.append(
        Edit(source.phone_number_id, head.name, wamid, content, head.at, source.origin, head.raw, person.contact)
    )


def _read_system(head: _Head, source: Source, reading: Reading) -> None:
    """Nobody wrote it: WhatsApp says something of the one it is from. It is kept as it is too."""
    raw, told = head.raw, head.raw.get("system")
    kind = _SYSTEM.get(str(told.get("type"))) if isinstance(told, dict) else None
    if not isinstance(told, dict):
        reading.missed.add("no system")
        return
    number, user = phone(raw.get("from")) or phone(told.get("customer")), user_id(raw.get("from_user_id"))
    before: str | None
    after: str | None
    match kind:
        case IdentityKind.PHONE:
            before, after = number, phone(told.get("wa_id")) or phone(told.get("new_wa_id"))
        case IdentityKind.USER_ID:
            before, after = user_id(told.get("previous_user_id")) or user, user_id(told.get("user_id"))
        case IdentityKind.IDENTITY:
            identity = told.get("identity")
            before, after = None, word(at(identity if identity is not None else raw.get("identity"), "hash"))
        case _:
            before, after = None, None
    contact = source.people.contact(number, user)
    reading.changes.append(FieldChange(source.origin, source.origin.with_only(MESSAGES, raw, contact)))
    if kind is None or (after is None and kind is not IdentityKind.IDENTITY) or not (number or user or before):
        return
    reading.identities.append(
        IdentityChange(
            source.phone_number_id,
            head.name,
            kind,
            before,
            after,
            number,
            user,
            head.at,
            source.origin,
            raw,
            contact,
        )
    )
