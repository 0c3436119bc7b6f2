"""What the provider's errors mean for the message that met them.

Source: WhatsApp Cloud API, error codes and rate limits, read 2026-11. Meta asks to decide by `error.code`. A Graph error body, with
whatever code, says that the message was not accepted; only a timeout, a broken connection or a body without `error` leaves that
open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from services.sender.domain.outcome import NotSent, Outcome, Refused, Sent, Unknown
from shared.telemetry.redaction import scrub

LONGEST_WAMID: Final = 512
_HTTP_OK: Final = 200
_HTTP_TOO_MANY: Final = 429
_HTTP_SERVER_ERROR: Final = 500

THROTTLED: Final[Mapping[int, float]] = {
    # code: seconds to wait
    4: 60.0,  # application's call limit
    17: 60.0,  # user's call limit
    32: 60.0,  # page's call limit
    613: 60.0,  # a custom call limit
    80007: 60.0,  # WABA's call limit
    80008: 60.0,  # the management API's call limit
    130429: 1.0,  # the number's messages per second
    131056: 6.0,  # the pair's: one message per 6 seconds
    131057: 60.0,  # account in maintenance, as during a throughput upgrade of up to a minute
    131208: 60.0,  # the group's rate
    132069: 360.0,  # a flow's: ten messages an hour
    133016: 3600.0,  # too many registrations
}
"""Says something about the pace and nothing about the message: comes back, uncounted."""

TRANSIENT: Final = frozenset({1, 2, 131000, 131016, 133004, 134101, 134102})
"""The provider's trouble: comes back with back-off, counted."""

NUMBER_OR_ACCOUNT: Final[Mapping[int, float]] = dict.fromkeys(
    (
        0,
        3,
        10,
        33,
        104,
        190,
        368,
        131005,
        131031,
        131037,
        131042,
        131044,
        131045,
        131048,
        133000,
        133005,
        133006,
        133008,
        133009,
        133010,
        133015,
    ),
    300.0,
)
"""The token, number or account is not fit: no message of it can go until somebody repairs that. Comes back, uncounted."""

_PERMISSION_CODES: Final = range(200, 300)


def outcome_of(status: int, body: bytes, retry_after: str | None) -> Outcome:
    """The outcome that an HTTP answer stands for. Never raises, whatever the body."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        answer = {}
    error = answer.get("error")
    if isinstance(error, dict):
        return _of_error(error, status, _seconds(retry_after))
    if status == _HTTP_OK:
        wamid = _wamid(answer)
        return Sent(wamid) if wamid else Unknown("provider.unreadable_answer")
    if status == _HTTP_TOO_MANY:
        return NotSent("provider.http_429", _seconds(retry_after) or 1.0, counted=False)
    return Unknown(f"provider.http_{status}")


def _of_error(error: dict[str, Any], status: int, after: float | None) -> Outcome:
    number = error.get("code")
    if not isinstance(number, int) or isinstance(number, bool):
        return Unknown(f"provider.http_{status}")
    code = f"provider.{number}"
    if number in THROTTLED or status == _HTTP_TOO_MANY:
        return NotSent(code, after or THROTTLED.get(number, 1.0), counted=False)
    if number in NUMBER_OR_ACCOUNT or number in _PERMISSION_CODES or error.get("error_subcode") == 33:
        return NotSent(code, after or NUMBER_OR_ACCOUNT.get(number, 300.0), counted=False)
    if number in TRANSIENT or status >= _HTTP_SERVER_ERROR:
        return NotSent(code, after)
    return Refused(code, _detail(error))


def _detail(error: dict[str, Any]) -> str:
    """The provider's most precise sentence, cut to a sensible length; it is kept and shown, so tokens and phone numbers that it
    repeats ("Malformed access token EAA…") are taken out."""
    data = error.get("error_data")
    details = data.get("details") if isinstance(data, dict) else None
    return scrub(str(details or error.get("message") or "refused by the provider"))[:500].replace("\0", "\ufffd")


def _wamid(answer: dict[str, Any]) -> str | None:
    match answer.get("messages"):
        case [{"id": str(wamid)}, *_] if 0 < len(wamid) <= LONGEST_WAMID and wamid.isprintable():
            return wamid
    return None


def _seconds(retry_after: str | None) -> float | None:
    """`Retry-After` in seconds, within a day; the date form is not used by any API of this kind."""
    if retry_after is None or not retry_after.strip().isdecimal():
        return None
    return min(float(retry_after), 86_400.0)
