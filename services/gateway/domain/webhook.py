"""The provider's payloads, read carefully: what is understood becomes reports and inbound messages, the rest is counted.

Source: WhatsApp Cloud API, webhooks reference, read 2026-11. Nothing in a payload can make the reader raise; a part that cannot be
understood costs itself only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from services.gateway.domain.contact import parse_user_id
from services.gateway.domain.template_notice import Notice, is_notice, notices
from shared.events.values import DeliveryStatus
from shared.ids import MessageId

_CONTENT_KEYS: Final = (
    "text", "image", "video", "audio", "document", "sticker", "location", "contacts", "button", "interactive", "reaction", "order",
    "system", "errors", "context",
)  # fmt: skip
_STATUSES: Final = {
    "sent": DeliveryStatus.SENT,
    "delivered": DeliveryStatus.DELIVERED,
    "read": DeliveryStatus.READ,
    "played": DeliveryStatus.READ,
    "failed": DeliveryStatus.FAILED,
}
_WA_ID: Final = re.compile(r"[0-9]{6,20}")
_OUR_ID: Final = "msg_"
_OUR_ID_CHARS: Final = 30
_ATTEMPT_DIGITS: Final = 6
_MARKETING: Final = "marketing_messages"
_NO_MESSAGES: Final = ("payment", "call")
_SECONDS: Final = re.compile("[0-9]{1,15}")
_LATEST: Final = 4_102_444_800  # the year 2100
_MILLISECONDS_FROM: Final = 100_000_000_000
_LONGEST_ID: Final = 512
_DEEPEST: Final = 64


class Report(NamedTuple):
    """One status of one message. `attempt` is there where the message left with our name on it."""

    phone_number_id: str
    wamid: str
    status: DeliveryStatus
    at: datetime
    message_id: MessageId | None
    attempt: int | None
    error_code: str | None


@dataclass(frozen=True, slots=True, repr=False)
class Inbound:
    """One message somebody wrote to a number. Holds what they wrote, so it has no `repr`."""

    phone_number_id: str
    wamid: str
    sender: str
    sender_name: str | None
    content: dict[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True, repr=False)
class Preference:
    """Somebody has turned WhatsApp's switch for marketing messages of a business. Holds who, so it has no `repr`."""

    phone_number_id: str
    phone: str | None
    user_id: str | None
    name: str | None
    stops: bool
    at: datetime


@dataclass(slots=True)
class Reading:
    """What was understood of a payload. `not_understood` counts parts that were not."""

    reports: list[Report] = field(default_factory=list)
    inbound: list[Inbound] = field(default_factory=list)
    preferences: list[Preference] = field(default_factory=list)
    templates: list[Notice] = field(default_factory=list)
    not_understood: int = 0
    phone_number_ids: set[str] = field(default_factory=set)
    """The numbers that it is about."""

    def keep_only(self, phone_number_ids: set[str]) -> None:
        """Count the parts about other numbers as not understood."""
        if self.phone_number_ids <= phone_number_ids:
            return
        parts = len(self.reports) + len(self.inbound) + len(self.preferences)
        self.reports = [report for report in self.reports if report.phone_number_id in phone_number_ids]
        self.inbound = [message for message in self.inbound if message.phone_number_id in phone_number_ids]
        self.preferences = [switch for switch in self.preferences if switch.phone_number_id in phone_number_ids]
        self.not_understood += parts - len(self.reports) - len(self.inbound) - len(self.preferences)


def phone_number_ids(payload: Any) -> set[str]:
    """The numbers a payload speaks of, untrusted: they choose the secret that must then fit."""
    return {phone_number_id for _, phone_number_id in _values(payload) if phone_number_id is not None}


def account_ids(payload: Any) -> set[str]:
    """The accounts (WABA) a payload speaks of; account events name no number."""
    entries = _dicts(payload.get("entry")) if isinstance(payload, dict) else ()
    return {account_id for entry in entries if (account_id := _identifier(entry.get("id"))) is not None}


def read(payload: Any) -> Reading:
    """All updates of a payload."""
    reading = Reading(templates=list(notices(payload)))
    for value, phone_number_id in _values(payload):
        if phone_number_id is None:
            reading.not_understood += not is_notice(value)
            continue
        reading.phone_number_ids.add(phone_number_id)
        for status in _dicts(value.get("statuses")):
            report = _report(status, phone_number_id)
            if report is None:
                reading.not_understood += 1
            else:
                reading.reports.append(report)
        names = _names(value) if "messages" in value or "user_preferences" in value else {}
        for message in _dicts(value.get("messages")):
            inbound = _inbound(message, phone_number_id, names)
            if inbound is None:
                reading.not_understood += 1
            else:
                reading.inbound.append(inbound)
        for switch in _dicts(value.get("user_preferences")):
            preference = _preference(switch, phone_number_id, names)
            if preference is None:
                reading.not_understood += 1
            else:
                reading.preferences.append(preference)
    return reading


def _values(payload: Any) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Every change's value with its number's id; None for changes that are not about messages."""
    if not isinstance(payload, dict):
        return
    for entry in _dicts(payload.get("entry")):
        for change in _dicts(entry.get("changes")):
            value = change.get("value")
            if not isinstance(value, dict):
                continue
            metadata = value.get("metadata")
            number = metadata.get("phone_number_id") if isinstance(metadata, dict) else None
            yield value, _identifier(number)


def _names(value: dict[str, Any]) -> dict[str, str]:
    names = {}
    for contact in _dicts(value.get("contacts")):
        profile = contact.get("profile")
        name = profile.get("name") if isinstance(profile, dict) else None
        if isinstance(name, str) and isinstance(contact.get("wa_id"), str):
            names[contact["wa_id"]] = _storable(name)[:200]
    return names


def _report(status: dict[str, Any], phone_number_id: str) -> Report | None:
    wamid, at = _identifier(status.get("id")), _time(status.get("timestamp"))
    kind = _STATUSES.get(str(status.get("status")))
    if wamid is None or at is None or kind is None or status.get("type") in _NO_MESSAGES:
        return None
    message_id, attempt = _callback(status.get("biz_opaque_callback_data"))
    return Report(
        phone_number_id, wamid, kind, at, message_id, attempt, _code(status["errors"]) if "errors" in status else None
    )


def _code(errors: Any) -> str | None:
    code = next((e["code"] for e in _dicts(errors) if isinstance(e.get("code"), int)), None)
    return None if code is None else f"provider.{code}"


def _inbound(message: dict[str, Any], phone_number_id: str, names: dict[str, str]) -> Inbound | None:
    wamid, at = _identifier(message.get("id")), _time(message.get("timestamp"))
    sender, kind = message.get("from"), message.get("type")
    if wamid is None or at is None or not isinstance(sender, str) or not _WA_ID.fullmatch(sender):
        return None
    content: dict[str, Any] = {key: message[key] for key in _CONTENT_KEYS if key in message}
    if _is_deeper(content, _DEEPEST):
        return None
    content["type"] = kind if isinstance(kind, str) else next(iter(content), "unsupported")
    return Inbound(phone_number_id, wamid, f"+{sender}", names.get(sender), _storable(content), at)


def _preference(switch: dict[str, Any], phone_number_id: str, names: dict[str, str]) -> Preference | None:
    at, wa_id, user_id = _time(switch.get("timestamp")), switch.get("wa_id"), switch.get("user_id")
    phone = wa_id if isinstance(wa_id, str) and _WA_ID.fullmatch(wa_id) else None
    user = parse_user_id(user_id) if isinstance(user_id, str) else None
    value = switch.get("value")
    is_known = switch.get("category") == _MARKETING and value in ("stop", "resume")
    if at is None or (phone is None and user is None) or not is_known:
        return None
    name = None if phone is None else names.get(phone)
    return Preference(phone_number_id, phone and f"+{phone}", user, name, value == "stop", at)


def _callback(value: Any) -> tuple[MessageId | None, int | None]:
    """Our name for the attempt, `<message id>.<attempt>`; anything else is somebody else's."""
    if not isinstance(value, str) or not value.startswith(_OUR_ID) or not (value.isascii() and value.isprintable()):
        return None, None
    message_id, dot, attempt = value[:_OUR_ID_CHARS], value[_OUR_ID_CHARS : _OUR_ID_CHARS + 1], value[_OUR_ID_CHARS + 1 :]
    if dot != "." or not attempt.isdigit() or len(attempt) > _ATTEMPT_DIGITS:
        return None, None
    return MessageId(message_id), int(attempt)


def _time(value: Any) -> datetime | None:
    """Seconds since 1970 as text or number; milliseconds have been seen too."""
    if isinstance(value, str):
        return _moment(int(value)) if _SECONDS.fullmatch(value) else None
    return _moment(value) if isinstance(value, int) and not isinstance(value, bool) else None


@lru_cache(maxsize=256)
def _moment(seconds: int) -> datetime | None:
    """Remembered, because a second has thousands of reports."""
    if seconds >= _MILLISECONDS_FROM:
        seconds //= 1000
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < _LATEST else None


def _identifier(value: Any) -> str | None:
    """The value, where it can be an id. Ids are compared and stored as they are: one with NUL or half a surrogate pair is none."""
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.isprintable() else None


def _storable(value: Any) -> Any:
    """The same without NUL characters and halves of surrogate pairs, which PostgreSQL cannot hold, and without numbers that other
    hops cannot carry."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_storable(key): _storable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_storable(inner) for inner in value]
    return str(value) if isinstance(value, int) and abs(value) >= 2**63 else value


def _is_deeper(value: Any, levels: int) -> bool:
    """True where `value` is nested deeper than every hop can carry: encoders and this very reader recurse."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(part, levels - 1) for part in inner)


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))
