"""Webhook payloads: what happened to messages, in Meta's envelope.

Source: WhatsApp Cloud API, webhooks, messages field, read 2026-09; `contacts` stand beside all statuses but `failed`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from services.sandbox.domain.errors import webhook_error

MAX_UPDATES: Final = 1000
MAX_BYTES: Final = 3_000_000
"""Meta's bounds for one POST."""

_NAMES: Final = ("Ana", "Bruno", "Chidi", "Dolores", "Füsun", "Giulia", "Hanna", "Inés", "João", "Kofi", "Leila", "Zoë")


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


Update = StatusUpdate | InboundUpdate


def name_of(digits: str) -> str:
    """The profile name of the virtual user behind a number: always the same one."""
    return _NAMES[sum(map(ord, digits)) % len(_NAMES)]


def size_bound(update: Update) -> int:
    """At least the bytes that `update` takes in a payload, so that a batch can be cut before it is written.

    One character takes twelve bytes at most: a pair of escaped surrogates.
    """
    if isinstance(update, InboundUpdate):
        return 600 + 12 * (len(update.text) + len(update.name))
    return 1000 + 12 * len(update.message.callback_data or "")


def envelope(updates: Iterable[Update]) -> dict[str, Any]:
    """One payload for all `updates`: an entry per account, in it a change per number and kind, in the order they came."""
    changes: dict[tuple[Line, bool], tuple[dict[str, Any], list[dict[str, Any]]]] = {}
    for update in updates:
        if isinstance(update, StatusUpdate):
            line = update.message.line
            contacts, items = changes.setdefault((line, True), ({}, []))
            items.append(_status(update, contacts))
        else:
            contacts, items = changes.setdefault((update.line, False), ({}, []))
            items.append(_inbound(update, contacts))
    entries: dict[str, list[dict[str, Any]]] = {}
    for (line, is_status), (contacts, items) in changes.items():
        value: dict[str, Any] = {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": line.display_phone_number, "phone_number_id": line.phone_number_id},
        }
        if contacts:
            value["contacts"] = list(contacts.values())
        value["statuses" if is_status else "messages"] = items
        entries.setdefault(line.waba_id, []).append({"value": value, "field": "messages"})
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": waba_id, "changes": changed} for waba_id, changed in entries.items()],
    }


def _status(update: StatusUpdate, contacts: dict[str, Any]) -> dict[str, Any]:
    message, status, timestamp = update
    item: dict[str, Any] = {"id": message.wamid, "status": status, "timestamp": str(timestamp)}
    contact: dict[str, Any] = {}
    if message.recipient is not None:
        item["recipient_id"] = contact["wa_id"] = message.recipient
    if message.user_id is not None:
        item["recipient_user_id"] = contact["user_id"] = message.user_id
    if message.callback_data is not None:
        item["biz_opaque_callback_data"] = message.callback_data
    if status == "failed":
        item["errors"] = [webhook_error(131000 if message.failure is None else message.failure)]
        return item
    if status in ("sent", "delivered"):
        item["pricing"] = (
            {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "utility"}
            if message.is_template
            else {"billable": False, "pricing_model": "PMP", "type": "free_customer_service", "category": "service"}
        )
    contacts[message.recipient or message.user_id or ""] = contact
    return item


def _inbound(update: InboundUpdate, contacts: dict[str, Any]) -> dict[str, Any]:
    contact: dict[str, Any] = {"profile": {"name": update.name}}
    item: dict[str, Any] = {}
    if update.sender is not None:
        item["from"] = contact["wa_id"] = update.sender
    if update.user_id is not None:
        item["from_user_id"] = contact["user_id"] = update.user_id
    contacts[update.sender or update.user_id or ""] = contact
    item |= {"id": update.wamid, "timestamp": str(update.timestamp), "type": "text", "text": {"body": update.text}}
    return item
