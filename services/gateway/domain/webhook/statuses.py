"""Statuses: what the provider says became of a message.

Source: WhatsApp Cloud API, status webhooks, read 2026-11.
"""

from __future__ import annotations

from typing import Any, Final

from services.gateway.domain.webhook.missed import fault_of_head
from services.gateway.domain.webhook.origin import STATUSES, Origin
from services.gateway.domain.webhook.parts import FieldChange, Reading
from services.gateway.domain.webhook.people import People
from services.gateway.domain.webhook.report import Report, faults_of
from services.gateway.domain.webhook.values import identifier, moment, phone, too_deep, user_id, word
from shared.events.values import DeliveryStatus
from shared.ids import MessageId

_STATUSES: Final = {
    "sent": DeliveryStatus.SENT,
    "delivered": DeliveryStatus.DELIVERED,
    "read": DeliveryStatus.READ,
    "played": DeliveryStatus.READ,
    "failed": DeliveryStatus.FAILED,
}
_OTHERS: Final = ("payment", "call")
"""What else has a status, in the same list."""
_OUR_ID: Final = "msg_"
_OUR_ID_CHARS: Final = 30
_ATTEMPT_DIGITS: Final = 6


def read_status(status: Any, phone_number_id: str, origin: Origin, people: People, reading: Reading) -> None:
    """One item of `statuses`. One of something else than a message, or in a word that nobody knows yet, is kept as it is."""
    wamid = at = told = None
    if isinstance(status, dict) and not too_deep(status):
        wamid, at, told = identifier(status.get("id")), moment(status.get("timestamp")), status.get("status")
    kind = _STATUSES.get(told) if isinstance(told, str) else None
    if wamid is None or at is None or (kind is None and word(told) is None):
        reading.missed.add(fault_of_head(status, "no status"))
        return
    if kind is None or status.get("type") in _OTHERS:
        contact = people.contact(phone(status.get("recipient_id")), user_id(status.get("recipient_user_id")))
        reading.changes.append(FieldChange(origin, origin.with_only(STATUSES, status, contact)))
        return
    message_id, attempt = _callback(status.get("biz_opaque_callback_data"))
    code = next((f"provider.{fault.code}" for fault in faults_of(status["errors"])), None) if "errors" in status else None
    reading.reports.append(Report(phone_number_id, wamid, kind, at, message_id, attempt, code, origin, status, people))


def _callback(value: Any) -> tuple[MessageId | None, int | None]:
    """Our name for the attempt, `<message id>.<attempt>`; anything else is somebody else's."""
    if not isinstance(value, str) or not value.startswith(_OUR_ID) or not (value.isascii() and value.isprintable()):
        return None, None
    message_id, dot, attempt = value[:_OUR_ID_CHARS], value[_OUR_ID_CHARS : _OUR_ID_CHARS + 1], value[_OUR_ID_CHARS + 1 :]
    if dot != "." or not attempt.isdigit() or len(attempt) > _ATTEMPT_DIGITS:
        return None, None
    return MessageId(message_id), int(attempt)
