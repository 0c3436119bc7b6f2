"""The provider's form of updates: one update of the Cloud API's webhooks each, `{"entry_id", "field", "value"}`, as an endpoint
right behind the provider would be sent it. Pure.

`contacts` is always there, because some SDKs take the first one of every update, also of a failed status, where the provider leaves
it out. What nobody knows is left out of it, but for what SDKs take without asking, which is empty.

Source: WhatsApp Cloud API, webhooks reference, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

Raw = Mapping[str, Any]
"""A part of a payload as the provider wrote it, `storable`."""

MESSAGES: Final = "messages"
ECHOES: Final = "smb_message_echoes"
_GROUP: Final = "group:"
_NAMING: Final = (
    ("context", "id"), ("context", "message_id"), ("reaction", "message_id"), ("edit", "original_message_id"),
    ("revoke", "original_message_id"),
)  # fmt: skip
_UNNAMED_ERROR: Final = 131_000
_TITLES: Final[Mapping[int, str]] = {
    _UNNAMED_ERROR: "Something went wrong",
    131026: "Message undeliverable",
    131047: "Re-engagement message",
    131049: "This message was not delivered to maintain healthy ecosystem engagement.",
    131050: "User has stopped marketing messages from your business",
    131053: "Media upload error",
    132001: "Template does not exist",
    132015: "Template is paused",
    132016: "Template is disabled",
}
_ERRORS_HREF: Final = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"
_ERROR_OF: Final[Mapping[str, int]] = {
    "window.closed": 131047,
    "template.paused": 132015,
    "contact.opted_out": 131050,
    "message.suppressed": 131050,
}
_FILES: Final = ("image", "video", "audio", "voice", "document", "sticker")
_PROVIDER_CODE: Final = "provider."
_LONGEST_CODE: Final = 9


class Place(NamedTuple):
    """A business number as the provider's payloads name it."""

    account_id: str
    phone_number_id: str
    display_number: str


def one_update(account_id: str, field: str, value: Raw) -> dict[str, Any]:
    """A change as it is told."""
    return {"entry_id": account_id, "field": field, "value": dict(value)}


def inbound(place: Place, message: Raw, contact: Raw | None, name: str | None) -> dict[str, Any]:
    """What somebody wrote."""
    whom = _contact(contact, message.get("from"), message.get("from_user_id"), name)
    whom.setdefault("user_id", "")  # SDKs take it of who writes without asking whether it is there
    return _of_number(place, MESSAGES, {"contacts": [whom], "messages": [_without_address(message)]})


def echo(place: Place, message: Raw, contact: Raw | None) -> dict[str, Any]:
    """What the business wrote from its phone."""
    whom = _contact(contact, message.get("to"), message.get("to_user_id"), None)
    return _of_number(place, ECHOES, {"contacts": [whom], "message_echoes": [_without_address(message)]})


def _without_address(message: Raw) -> Raw:
    """Without the address of its file, which opens with the provider's token only: a client would take its key there."""
    kind = message.get("type")
    file = message.get(kind) if kind in _FILES else None
    if not isinstance(file, Mapping) or "url" not in file:
        return message
    return {**message, str(kind): {name: part for name, part in file.items() if name != "url"}}


def report(place: Place, raw: Raw, contact: Raw | None, wamid: str | None, callback_data: str | None) -> dict[str, Any]:
    """A status, under the wamid and with the callback data that the message's sender knows. `wamid` None: the report's own."""
    status = {name: part for name, part in raw.items() if name != "biz_opaque_callback_data"}
    if wamid is not None:
        status["id"] = wamid
    if callback_data is not None:
        status["biz_opaque_callback_data"] = callback_data
    whom = raw.get("recipient_participant_id") or raw.get("participant_recipient_id") or raw.get("recipient_id")
    user = raw.get("recipient_participant_user_id") or raw.get("recipient_user_id")
    return _of_number(place, MESSAGES, {"contacts": [_contact(contact, whom, user, None)], "statuses": [status]})


def failure(at: datetime, message_id: str, to: str, code: str, detail: str | None) -> dict[str, Any]:
    """The status, as the provider writes it, of a message that ended before the provider took it. `code` is ours."""
    if to.startswith(_GROUP):
        whom = {"recipient_id": to.removeprefix(_GROUP), "recipient_type": "group"}
    elif to.startswith("+"):
        whom = {"recipient_id": to.removeprefix("+")}
    else:
        whom = {"recipient_user_id": to}
    return {
        "id": message_id,
        "status": "failed",
        "timestamp": str(int(at.timestamp())),
        **whom,
        "errors": [_error(code, detail)],
    }


def participant(raw: Raw) -> str:
    """Of a group's report, whom it is about."""
    names = ("recipient_participant_id", "participant_recipient_id", "recipient_participant_user_id")
    return next((name for member in names if isinstance(name := raw.get(member), str)), "")


def named_by(message: Raw) -> set[str]:
    """The messages that one names: what it quotes, reacts to, changes or takes back."""
    return {wamid for part, member in _NAMING if (wamid := _inner(message, part, member)) is not None}


def renamed(message: Raw, wamids: Mapping[str, str]) -> dict[str, Any]:
    """A copy of the message, with others that it names called by those `wamids` where they are there."""
    result = dict(message)
    for part, member in _NAMING if wamids else ():
        other = wamids.get(_inner(message, part, member) or "")
        if other is not None:
            result[part] = {**result[part], member: other}
    return result


def _inner(message: Raw, part: str, member: str) -> str | None:
    outer = message.get(part)
    inner = outer.get(member) if isinstance(outer, Mapping) else None
    return inner if isinstance(inner, str) else None


def _error(ours: str, detail: str | None) -> dict[str, Any]:
    """The Graph error that comes closest. What has none of its own is the unnamed one; our code stands in its details."""
    number = ours.removeprefix(_PROVIDER_CODE)
    is_providers = ours.startswith(_PROVIDER_CODE) and number.isascii() and number.isdigit() and len(number) <= _LONGEST_CODE
    code = int(number) if is_providers else _ERROR_OF.get(ours, _UNNAMED_ERROR)
    title = _TITLES.get(code, _TITLES[_UNNAMED_ERROR])
    details = ours if detail is None else f"{ours}: {detail}"
    return {"code": code, "title": title, "message": title, "error_data": {"details": details}, "href": _ERRORS_HREF}


def _of_number(place: Place, field: str, value: Raw) -> dict[str, Any]:
    metadata = {"display_phone_number": place.display_number.removeprefix("+"), "phone_number_id": place.phone_number_id}
    return one_update(place.account_id, field, {"messaging_product": "whatsapp", "metadata": metadata, **value})


def _contact(contact: Raw | None, wa_id: Any, user_id: Any, name: str | None) -> dict[str, Any]:
    """The entry of `contacts` with what is known, and a profile with a name, which is empty where nobody knows it. No member is
    null: typed clients take none."""
    given = {name: part for name, part in (contact or {}).items() if part is not None}
    profile = given.get("profile")
    known = {name: part for name, part in profile.items() if part is not None} if isinstance(profile, Mapping) else {}
    given["profile"] = {"name": name or "", **known}
    for member, identity in (("wa_id", wa_id), ("user_id", user_id)):
        if isinstance(identity, str):
            given.setdefault(member, identity)
    return given
