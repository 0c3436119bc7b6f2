"""Twilio's error codes: what each means for the message that met it, in one table.

Source: Twilio, "Error and Warning Dictionary" (www.twilio.com/docs/api/errors, a page a code), read 2026-11. Here are those that a
message to WhatsApp can meet; most of 3xxxx and many of 63xxx come in a status callback, where they end in the message's report. An
answer of 429 was "never processed and is always safe to retry" (20429). Of an error of the server, whatever its body, Twilio says
that a message may have been created all the same (20500): its outcome is unknown, so 205xx have no row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from services.sender.domain.outcome import Outcome, Retry, Scope, Sent, Unknown
from services.sender.provider.ruling import (
    SERVER_ERROR,
    TOO_MANY,
    Ruling,
    by_status,
    paused,
    rejected,
    retried,
    said,
    seconds_of,
    template_rests,
    throttled,
)

# A sentence about tokens, and none itself.
_TOKEN: Final = "The account SID and auth token do not fit. Store a new token, or connect the number with its own account."  # noqa: S105  # a sentence
_SUSPENDED: Final = "Twilio has suspended or closed the account. Have Twilio's support reopen it, then resume the number."
_SENDER: Final = (
    "Twilio knows no WhatsApp sender with this number in this account. Register or repair it there, then resume it."
)
_CALLBACK: Final = "Twilio does not take the callback URL. Set a public https address for Chasqui, then resume the number."
_BUSINESS: Final = "Meta holds back the business account behind this sender. Repair it in the WhatsApp Manager, then resume it."
_HOUR: Final = 3600.0
_MESSAGE_SID: Final = re.compile("(SM|MM)[0-9a-fA-F]{32}")


def _each(codes: Iterable[int], ruling: Ruling) -> dict[int, Ruling]:
    return dict.fromkeys(codes, ruling)


CODES: Final[Mapping[int, Ruling]] = {
    # -- the account and the API
    10001: paused("account not active", _SUSPENDED),
    10002: rejected("not for trial accounts"),
    14107: throttled("send rate", 1),
    **_each((20003, 20006, 20008, 20151), paused("permission denied: wrong SID, token or region, or account closed", _TOKEN)),
    **_each((20005, 20010, 20403, 30002), paused("account suspended or closed", _SUSPENDED)),
    20404: paused("account unknown", _TOKEN),
    20413: rejected("request too large"),
    20422: rejected("parameter invalid"),
    20429: throttled("too many requests at once", 1),
    # -- the message
    **_each((21211, 21214, 21217, 21401, 21604, 21612, 21614), rejected("recipient's number not valid or not reachable")),
    **_each((21212, 21603), paused("sender's number not valid", _SENDER)),
    21266: rejected("sender is the recipient"),
    21408: rejected("not enabled for the recipient's region"),
    **_each((21470, 21471, 21472), paused("account unknown or not active", _SUSPENDED)),
    **_each((21602, 21618), rejected("message body missing or not sendable")),
    **_each((21606, 21607), rejected("sender cannot message this recipient")),
    21608: rejected("recipient not verified, for a trial account"),
    21609: paused("StatusCallback not valid", _CALLBACK),
    21610: rejected("recipient has unsubscribed"),
    21611: throttled("sender's queue full", 60),
    21617: rejected("body longer than 1600 characters"),
    **_each((21620, 21623), rejected("media not valid, or too many")),
    **_each((21654, 21655, 21656), rejected("ContentSid or ContentVariables not valid")),
    # -- delivery
    30001: throttled("queue overflow", 60),
    **_each((30003, 30004, 30005, 30006, 30007), rejected("recipient unreachable, unknown or blocked, or message filtered")),
    30008: retried("unknown error"),
    # -- the WhatsApp channel
    63001: paused("the channel could not authenticate", _SENDER),
    63002: paused("the channel does not know the sender", _SENDER),
    63003: rejected("the channel does not know the recipient"),
    **_each((63005, 63006), rejected("the channel does not take this content")),
    63007: paused("no channel with this sender", _SENDER),
    63008: paused("channel misconfigured", _SENDER),
    **_each((63009, 63010, 63011, 63012, 63023), retried("an internal error of the channel or of Twilio")),
    63013: rejected("violates the channel's policy"),
    63014: rejected("blocked by the user"),
    63015: rejected("recipient has not joined the sandbox"),
    63016: rejected("outside the customer service window; only a template can go"),
    63017: throttled("the account's 2000 messages per second", 1),
    63018: throttled(
        "the channel's rate, or the sender's messaging limit", 60
    ),  # one code for both; the limit takes up to a day
    **_each(
        (63019, 63037), retried("media could not be fetched or uploaded")
    ),  # as 131053: a link often answers a minute later
    63020: paused("an error of the Business Manager account, or unpaid", _BUSINESS),
    63021: rejected("content not valid for the channel"),
    63022: paused("the sender's certificate is not valid", _SENDER),
    63024: rejected("recipient not valid"),
    63025: rejected("media exists already"),
    63026: throttled("the sender's content flagged as spam", 300),  # as 131048
    63027: rejected("template missing in this language"),
    63028: rejected("number of parameters differs from the template"),
    63029: rejected("the receiver could not download the template"),
    63030: rejected("parameter not supported"),
    63031: rejected("sender is the recipient"),
    63032: rejected("a limitation of WhatsApp for this user"),
    63033: rejected("recipient blocked"),
    63034: rejected("media too large"),
    63038: throttled("the account's messages in 24 hours", _HOUR),
    63040: rejected("template rejected"),
    63041: template_rests("template paused", 3 * _HOUR),
    63049: rejected("withheld: this user gets no more marketing for now"),
}
"""An outcome for a message whose error has this code. One without a row is judged by its HTTP status (`ruling.by_status`)."""


def outcome_of(status: int, body: bytes, retry_after: str | None) -> Outcome:
    """The outcome that an HTTP answer stands for. Never raises, whatever the body."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        answer = {}
    if status in (200, 201):
        sid = _sid(answer)
        return Sent(sid) if sid else Unknown("provider.unreadable_answer")
    code = answer.get("code")
    if status < 400 or status >= SERVER_ERROR:
        return Unknown(f"provider.http_{status}")
    if isinstance(code, int) and not isinstance(code, bool):
        ruling = CODES.get(code) or by_status(status)
        return ruling.apply(f"provider.{code}", said(answer.get("message")), after=seconds_of(retry_after))
    if status == TOO_MANY:
        return Retry("provider.http_429", seconds_of(retry_after) or 1.0, counted=False, scope=Scope.NUMBER)
    return Unknown(f"provider.http_{status}")


def _sid(answer: dict[str, Any]) -> str | None:
    sid = answer.get("sid")
    return sid if isinstance(sid, str) and _MESSAGE_SID.fullmatch(sid) else None
