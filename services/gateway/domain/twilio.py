"""Twilio's webhooks, read carefully: who signed them, and what they say in the shape of the Cloud API's payloads.

A form becomes a payload that `webhook.read` understands, so from there on both providers go one way. What cannot be understood
keeps its form, in a change that names no number: the reader counts it and it is set aside.

Sources: Twilio, "Secure webhooks", "Outbound message status in status callbacks", "Twilio's request to your incoming message
webhook URL", read 2026-11. Neither kind of request says when it happened, so the time is that of its arrival; a status that Twilio
sends twice is told twice.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from shared.ids import NumberId

SIGNATURE_HEADER: Final = "X-Twilio-Signature"
ATTEMPT_PARAMETER: Final = "attempt"
"""Of the callback URL's query: our name for the attempt, as the sender wrote it there."""
PATH: Final = "/api/webhooks/twilio"
"""A number's id follows."""

_STATUSES: Final[Mapping[str, str]] = {
    # Ours is of who has the message: before WhatsApp got it from Twilio it counts as sent, as after Meta's answer.
    **dict.fromkeys(("accepted", "scheduled", "queued", "sending", "sent"), "sent"),
    **dict.fromkeys(("delivered", "partially_delivered"), "delivered"),
    "read": "read",
    **dict.fromkeys(("failed", "undelivered", "canceled"), "failed"),
}
_INBOUND: Final = frozenset({"receiving", "received"})
_SENDER: Final = re.compile(r"(?:whatsapp:)?\+?([0-9]{6,20})")
_PORTS: Final = {"https": 443, "http": 80}

Fields = Sequence[tuple[str, str]]


def callback_url(public_url: str, number_id: NumberId) -> str:
    """Where Twilio shall report on what a number sends, and deliver what people write to it."""
    return f"{public_url.rstrip('/')}{PATH}/{number_id}"


def sign(secret: str, url: str, fields: Fields) -> str:
    """The header's value: HMAC-SHA1 with the auth token over the URL and the form's names and values, sorted by name and value."""
    signed = url + "".join(name + value for name, value in sorted(fields))
    return b64encode(hmac.digest(secret.encode(), signed.encode("utf-8", "surrogatepass"), "sha1")).decode()


def verify(secret: str, header: str | None, url: str, fields: Fields) -> bool:
    """True where the header signs this form at this URL, its default port named or not: Twilio does either."""
    if header is None:
        return False
    given = header.encode("utf-8", "surrogateescape")
    fits = [hmac.compare_digest(sign(secret, named, fields).encode(), given) for named in _spellings(url)]
    return any(fits)


def payload(fields: Fields, phone_number_id: str, attempt: str | None, at: datetime) -> dict[str, Any]:
    """The form in the Cloud API's shape: one status, or one message that somebody wrote to the number."""
    form = dict(fields)
    timestamp = str(int(at.timestamp()))
    if form.get("MessageStatus", form.get("SmsStatus", "received")) in _INBOUND:
        kind, part = "messages", _message(form, timestamp)
    else:
        kind, part = "statuses", _status(form, attempt, timestamp)
    account = form.get("AccountSid", "")
    if part is None:
        return _envelope(account, {"form": [list(field) for field in fields]})
    value: dict[str, Any] = {"metadata": {"phone_number_id": phone_number_id}, kind: [part]}
    if kind == "messages" and "ProfileName" in form:
        value["contacts"] = [{"wa_id": part["from"], "profile": {"name": form["ProfileName"]}}]
    return _envelope(account, value)


def _envelope(account: str, value: dict[str, Any]) -> dict[str, Any]:
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": account, "changes": [{"field": "messages", "value": value}]}],
    }


def _status(form: Mapping[str, str], attempt: str | None, timestamp: str) -> dict[str, Any] | None:
    status = _STATUSES.get(form.get("MessageStatus", ""))
    sid = form.get("MessageSid")
    if status is None or not sid:
        return None
    code = form.get("ErrorCode", "")
    errors = [{"code": int(code)}] if status == "failed" and re.fullmatch("[0-9]{1,6}", code) else []
    return {
        "id": sid,
        "status": status,
        "timestamp": timestamp,
        "errors": errors,
        "biz_opaque_callback_data": attempt,
    }


def _message(form: Mapping[str, str], timestamp: str) -> dict[str, Any] | None:
    sender = _SENDER.fullmatch(form.get("From", ""))
    content = _content(form)
    sid = form.get("MessageSid")
    if sender is None or content is None or not sid:
        return None
    message = {"id": sid, "from": sender[1], "timestamp": timestamp, **content}
    if form.get("OriginalRepliedMessageSid"):
        message["context"] = {"id": form["OriginalRepliedMessageSid"]}
    return message


def _content(form: Mapping[str, str]) -> dict[str, Any] | None:
    """What was written; None for a form that has nothing of the kind, or more than the one file that WhatsApp knows."""
    body = form.get("Body", "")
    if form.get("Latitude") and form.get("Longitude"):
        return _part("location", _location(form))
    if form.get("ButtonText"):
        return _part("button", {"text": form["ButtonText"], "payload": form.get("ButtonPayload", form["ButtonText"])})
    files = form.get("NumMedia", "0")
    if files == "1" and form.get("MediaUrl0"):
        media = {"url": form["MediaUrl0"], "mime_type": form.get("MediaContentType0", "")}
        return _part(_media_type(media["mime_type"]), media | ({"caption": body} if body else {}))
    return _part("text", {"body": body}) if files == "0" and body else None


def _part(kind: str, part: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, kind: part}


def _location(form: Mapping[str, str]) -> dict[str, Any]:
    named = {"latitude": "Latitude", "longitude": "Longitude", "name": "Label", "address": "Address"}
    return {ours: _number(form[theirs]) for ours, theirs in named.items() if form.get(theirs)}


def _number(text: str) -> float | str:
    return float(text) if re.fullmatch(r"-?[0-9]{1,3}(\.[0-9]{1,15})?", text) else text


def _media_type(mime_type: str) -> str:
    family = mime_type.partition("/")[0]
    return family if family in ("image", "video", "audio") else "document"


def _spellings(url: str) -> Iterator[str]:
    yield url
    parts = urlsplit(url)
    default = _PORTS.get(parts.scheme)
    if default is not None and parts.port is None:
        yield parts._replace(netloc=f"{parts.netloc}:{default}").geturl()
    elif parts.port == default:
        yield parts._replace(netloc=parts.netloc.removesuffix(f":{default}")).geturl()
