"""What Twilio writes: messages and errors as JSON, callbacks as signed forms.

Sources: Twilio, "Messages resource", "Twilio API responses", "Secure webhooks", "Track outbound message status", "Twilio's request
to your incoming message webhook URL", error dictionary, read 2026-11.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from types import MappingProxyType
from typing import Final

import orjson

from services.sandbox.answers import response

API_VERSION: Final = "2010-04-01"

MEANINGS: Final[Mapping[int, str]] = MappingProxyType(
    {
        20003: "Authenticate",
        20404: "The requested resource was not found",
        20429: "Too Many Requests",
        20500: "An internal server error has occurred",
        20503: "Service is unavailable. Please try again",
        21211: "The 'To' number is not a valid phone number.",
        21602: "Message body is required.",
        21609: "The 'StatusCallback' URL is not a valid URL.",
        21617: "The concatenated message body exceeds the 1600 character limit.",
        21655: "The ContentSid is Invalid",
        21656: "The Content Variables parameter is invalid.",
        63007: "Twilio could not find a Channel with the specified From address",
        63031: "Channels message cannot have same From and To",
    }
)
_STATUSES: Final = {20003: 401, 20404: 404, 20429: 429, 20500: 500, 20503: 503}

REFUSALS: Final[Mapping[int, int]] = MappingProxyType(
    {1: 20500, 2: 20503, 131000: 20500, 131016: 20503, 130429: 20429, 131056: 20429, 190: 20003}
)
"""Twilio's code for a conduct's or a fault's refusal, which is a code of Meta's; any other is an impossible recipient (21211)."""

FAILURES: Final[Mapping[int, int]] = MappingProxyType({131026: 63024, 131047: 63016, 131049: 63049, 130472: 63032})
"""The same for a failure that comes in a callback; any other is the channel's generic one (63023)."""


def error(code: int) -> bytes:
    """The refusal with this code, as a whole HTTP response."""
    status = _STATUSES.get(code, 400)
    body = {
        "code": code,
        "message": MEANINGS.get(code, "The request was refused"),
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    headers = 'WWW-Authenticate: Basic realm="Twilio API"\r\n' if status == 401 else ""
    return response(status, orjson.dumps(body), headers=headers)


def created(sid: str, account_id: str, form: Mapping[str, str], now: datetime) -> bytes:
    """HTTP 201 with the message, queued."""
    written = format_datetime(now)
    body = {
        "sid": sid,
        "account_sid": account_id,
        "api_version": API_VERSION,
        "from": form["From"],
        "to": form["To"],
        "body": form.get("Body", ""),
        "status": "queued",
        "direction": "outbound-api",
        "num_segments": "1",
        "num_media": "1" if "MediaUrl" in form else "0",
        "messaging_service_sid": None,
        "error_code": None,
        "error_message": None,
        "date_created": written,
        "date_updated": written,
        "date_sent": None,
        "price": None,
        "price_unit": None,
        "uri": f"/{API_VERSION}/Accounts/{account_id}/Messages/{sid}.json",
    }
    return response(201, orjson.dumps(body))


def sign(auth_token: str, url: str, form: Mapping[str, str]) -> str:
    """Value of `X-Twilio-Signature`."""
    text = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    return b64encode(hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()).decode()
