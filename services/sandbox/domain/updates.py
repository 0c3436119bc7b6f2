"""Webhook payloads: what happened to messages, in Meta's envelope.

They are written as text at once, in Meta's escaping, because three of them follow every message. Source: WhatsApp Cloud API,
webhooks, messages field, read 2026-09; `contacts` stand beside all statuses but `failed`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

import orjson

from services.sandbox.domain.errors import webhook_error
from services.sandbox.domain.wire import escape

MAX_UPDATES: Final = 1000
MAX_BYTES: Final = 3_000_000
"""Meta's bounds for one POST."""

GROUP_MEMBER: Final = "15551234567"

_NAMES: Final = ("Ana", "Bruno", "Chidi", "Dolores", "Füsun", "Giulia", "Hanna", "Inés", "João", "Kofi", "Leila", "Zoë")

_NEEDS_NO_ESCAPE: Final = re.compile(r"[0-9A-Za-z _.:=+-]*").fullmatch
_FREE: Final = ',"pricing":{"billable":false,"pricing_model":"PMP","type":"free_customer_service","category":"service"}}'


class Line(NamedTuple):
    """A business number as webhooks name it."""

    phone_number_id: str
    waba_id: str
    display_phone_number: str


@dataclass(slots=True)
class Accepted:
    """A message the sandbox took, as far as webhooks speak of it. `recipient` is None where only a user id is known."""

    line: Line
    wamid: str
    recipient: str | None
    user_id: str | None
    is_template: bool
    callback_data: str | None
    failure: int | None = None
    """Code of its `failed` status."""
    reply: str | None = None
    """What the recipient will answer."""
    is_group: bool = False
    """The recipient is a group, whose one member the webhooks name."""
    category: str = "utility"
    """A template's, which its price depends on."""
    written: _Written | None = field(default=None, init=False)


class _Written(NamedTuple):
    """What all statuses of a message share: `before` the status, `after` the timestamp, the contact and its key."""

    before: str
    after: str
    contact: str
    who: str


class StatusUpdate(NamedTuple):
    message: Accepted
    status: str
    timestamp: int


class InboundUpdate(NamedTuple):
    """A text from a user; `sender` is None where only `user_id` is known."""

    line: Line
    wamid: str
    sender: str | None
    user_id: str | None
    name: str
    text: str
    timestamp: int


class MessageUpdate(NamedTuple):
    """A user's message that is no text. `contact` and `item` are JSON in Meta's style, `who` is the contact's key."""

    line: Line
    who: str
    contact: str | None
    item: str


class AccountUpdate(NamedTuple):
    """A change that shares its value with no other. `value` is JSON in Meta's style; an entry has no time for `messages`."""

    waba_id: str
    field: str
    value: str
    timestamp: int | None


Update = StatusUpdate | InboundUpdate | MessageUpdate | AccountUpdate


def name_of(digits: str) -> str:
    """The profile name of the virtual user behind a number: always the same one."""
    return _NAMES[sum(map(ord, digits)) % len(_NAMES)]


def size_bound(update: Update) -> int:
    """At least the bytes that `update` takes in a payload, so that a batch can be cut before it is written.

    One character takes twelve bytes at most: a pair of escaped surrogates.
    """
    if isinstance(update, InboundUpdate):
        return 600 + 12 * (len(update.text) + len(update.name))
    if isinstance(update, AccountUpdate):
        return 200 + len(update.field) + len(update.value)
    if isinstance(update, MessageUpdate):
        return 600 + len(update.item) + len(update.contact or "")
    return 1000 + 12 * len(update.message.callback_data or "")


class _Change:
    """The statuses, or the messages, of one number."""

    __slots__ = ("contacts", "items")

    def __init__(self) -> None:
        self.contacts: dict[str, str] = {}
        self.items: list[str] = []


def payload(updates: Iterable[Update]) -> bytes:
    """One body for all `updates`: an entry per account, in it a change per number and kind, in the order they came."""
    statuses: dict[Line, _Change] = {}
    messages: dict[Line, _Change] = {}
    changes: list[tuple[Line, str, _Change]] = []
    accounts: list[str] = []
    for update in updates:
        if isinstance(update, AccountUpdate):
            accounts.append(_entry(update))
            continue
        is_status = isinstance(update, StatusUpdate)
        line = update.message.line if isinstance(update, StatusUpdate) else update.line
        kind = statuses if is_status else messages
        change = kind.get(line)
        if change is None:
            change = kind[line] = _Change()
            changes.append((line, "statuses" if is_status else "messages", change))
        if isinstance(update, StatusUpdate):
            _write_status(update, change)
        elif isinstance(update, MessageUpdate):
            if update.contact is not None:
                change.contacts[update.who] = update.contact
            change.items.append(update.item)
        else:
            _write_inbound(update, change)
    entries: dict[str, list[str]] = {}
    for line, name, change in changes:
        entries.setdefault(line.waba_id, []).append(_change(line, name, change))
    written = ",".join(
        [*(f'{{"id":"{waba_id}","changes":[{",".join(texts)}]}}' for waba_id, texts in entries.items()), *accounts]
    )
    return f'{{"object":"whatsapp_business_account","entry":[{written}]}}'.encode("ascii")


def _entry(update: AccountUpdate) -> str:
    """An entry of its own: only those that are not about messages have a time."""
    change = f'{{"value":{update.value},"field":"{update.field}"}}'
    time = "" if update.timestamp is None else f'"time":{update.timestamp},'
    return f'{{"id":"{update.waba_id}",{time}"changes":[{change}]}}'


def _change(line: Line, name: str, change: _Change) -> str:
    metadata = f'{{"display_phone_number":{quote(line.display_phone_number)},"phone_number_id":"{line.phone_number_id}"}}'
    contacts = f'"contacts":[{",".join(change.contacts.values())}],' if change.contacts else ""
    items = ",".join(change.items)
    return (
        f'{{"value":{{"messaging_product":"whatsapp","metadata":{metadata},{contacts}"{name}":[{items}]}},"field":"messages"}}'
    )


def _write_status(update: StatusUpdate, change: _Change) -> None:
    message, status, timestamp = update
    before, after, contact, who = message.written or _write(message)
    if status == "failed":
        end = _errors(131000 if message.failure is None else message.failure)
    else:
        change.contacts[who] = contact
        end = "}" if status == "read" else _billed(message.category) if message.is_template else _FREE
    change.items.append(f'{before}{status}","timestamp":"{timestamp}{after}{end}')


def _write(message: Accepted) -> _Written:
    wamid = message.wamid.replace("/", "\\/")
    phone, user_id = message.recipient, message.user_id
    after, contact = '"', []
    if message.is_group:
        after += f',"recipient_id":"{phone}","recipient_type":"group","recipient_participant_id":"{GROUP_MEMBER}"'
        contact.append(f'"wa_id":"{GROUP_MEMBER}"')
    elif phone is not None:
        after += f',"recipient_id":"{phone}"'
        contact.append(f'"wa_id":"{phone}"')
    if user_id is not None:
        after += f',"recipient_user_id":"{user_id}"'
        contact.append(f'"user_id":"{user_id}"')
    if message.callback_data is not None:
        after += f',"biz_opaque_callback_data":{quote(message.callback_data)}'
    written = _Written(f'{{"id":"{wamid}","status":"', after, f"{{{','.join(contact)}}}", phone or user_id or "")
    message.written = written
    return written


def _write_inbound(update: InboundUpdate, change: _Change) -> None:
    contact = [f'"profile":{{"name":{quote(update.name)}}}']
    item = []
    if update.sender is not None:
        item.append(f'"from":"{update.sender}"')
        contact.append(f'"wa_id":"{update.sender}"')
    if update.user_id is not None:
        item.append(f'"from_user_id":"{update.user_id}"')
        contact.append(f'"user_id":"{update.user_id}"')
    wamid = update.wamid.replace("/", "\\/")
    item.append(f'"id":"{wamid}","timestamp":"{update.timestamp}","type":"text","text":{{"body":{quote(update.text)}}}')
    change.contacts[update.sender or update.user_id or ""] = f"{{{','.join(contact)}}}"
    change.items.append(f"{{{','.join(item)}}}")


@lru_cache(maxsize=8)
def _billed(category: str) -> str:
    return f',"pricing":{{"billable":true,"pricing_model":"PMP","type":"regular","category":"{category}"}}}}'


@lru_cache(maxsize=64)
def _errors(code: int) -> str:
    return f',"errors":[{escape(orjson.dumps(webhook_error(code)).decode()).decode("ascii")}]}}'


def quote(text: str) -> str:
    """A JSON string in Meta's style."""
    return f'"{text}"' if _NEEDS_NO_ESCAPE(text) else escape(orjson.dumps(text).decode()).decode("ascii")
