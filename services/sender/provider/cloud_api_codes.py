"""The Cloud API's error codes: what each means for the message that met it, in one table.

Source: WhatsApp Cloud API, "Error codes", "Throughput", "Template pausing", read 2026-11. Meta asks to decide by `error.code`
and not by the HTTP status, which its tables, its OpenAPI file and its servers give differently. A Graph error body, with whatever
code, says that the message was not taken; only a timeout, a broken connection or a body without `error` leaves that open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from services.sender.domain.outcome import Outcome, Retry, Scope, Sent, Unknown
from services.sender.provider.ruling import (
    TOO_MANY,
    Ruling,
    by_status,
    outage,
    paused,
    rejected,
    retried,
    said,
    seconds_of,
    template_rests,
    throttled,
)

LONGEST_WAMID: Final = 512
OBJECT_GONE: Final = 33
"""As `error_subcode` of 100: not a bad parameter, but a number that is gone or out of the token's sight."""
_OK: Final = 200

# A sentence about tokens, and none itself.
_TOKEN: Final = "The access token is missing, invalid, expired or revoked. Store a new one: sending resumes by itself."  # noqa: S105  # a sentence
_PERMISSION: Final = (
    "The token's app may not send from this number. Give it the permission whatsapp_business_messaging for the number's account, "
    "then store a new token or resume the number."
)
_BLOCKED: Final = "Meta has blocked or restricted the account. See its WhatsApp Manager, appeal there, then resume the number."
_UNPAID: Final = "The account cannot be charged. Repair its payment method or credit line at Meta, then resume the number."
_UNREGISTERED: Final = "The number is not registered with the Cloud API. Register it, with its PIN, then resume it."
_GONE: Final = "The phone number id does not exist or the token cannot see it. Check both, then connect the number again."
_HOUR: Final = 3600.0


def _each(codes: Iterable[int], ruling: Ruling) -> dict[int, Ruling]:
    return dict.fromkeys(codes, ruling)


CODES: Final[Mapping[int, Ruling]] = {
    # -- the Graph API's own: access, calls, parameters
    0: paused("authentication failed, token expired or invalidated", _TOKEN),
    1: retried("invalid request, or an unknown fault of the platform"),
    2: outage("service temporarily down"),
    3: paused("capability or permission for the method missing", _PERMISSION),
    4: throttled("the app's call limit", 60),
    10: paused("permission missing or removed", _PERMISSION),
    17: throttled("the user's call limit", 60),
    32: throttled("the page's call limit", 60),
    33: paused("business number deleted or unknown", _GONE),
    100: rejected("bad parameter, unknown field, malformed JSON, too long"),
    104: paused("access token missing", _TOKEN),
    190: paused("access token expired or revoked", _TOKEN),
    **_each(range(200, 300), paused("permission missing or removed", _PERMISSION)),
    368: paused("temporarily blocked for a violation of policy", _BLOCKED),
    613: throttled("a custom call limit", 60),
    80007: throttled("the account's call limit", 60),
    80008: throttled("the management API's call limit", 60),
    # -- messages
    130403: rejected("the business itself blocked the user"),
    130429: throttled("the number's messages per second", 1),
    130472: rejected("the user is in a marketing experiment"),
    130497: rejected("the business may not message this country"),
    130501: rejected("message type not supported"),
    131000: retried("unknown fault"),
    131005: paused("access denied", _PERMISSION),
    131008: rejected("required parameter missing"),
    131009: rejected("parameter value invalid"),
    131014: rejected("media link refused"),
    131016: outage("service temporarily unavailable or overloaded"),
    131020: rejected("group: single member"),
    131021: rejected("sender is the recipient"),
    131026: rejected("undeliverable: not on WhatsApp, blocked, restricted or outdated"),
    131030: rejected("recipient not in the allowed list of a test number"),
    131031: paused("account restricted, disabled or locked", _BLOCKED),
    131037: paused(
        "display name not approved",
        "The number has no approved display name. Have one approved in the WhatsApp Manager, then resume the number.",
    ),
    131041: rejected("group unknown"),
    131042: paused("payment method missing or refused", _UNPAID),
    131044: paused("business not eligible for payment", _UNPAID),
    131045: paused("number not registered, or a fault of its certificate", _UNREGISTERED),
    131047: rejected("more than 24 hours since the user's last message; only a template can go"),
    131048: throttled("spam limit: too many blocks and reports of this number", 300),  # lifts by itself as its quality recovers
    131049: rejected(
        "withheld: this user gets no more marketing for now"
    ),  # again after a day at the earliest, as a new message
    131050: rejected("the user stopped this business's marketing"),
    131051: rejected("message type not supported"),
    131052: rejected("media could not be downloaded"),
    131053: retried(
        "media could not be fetched or converted"
    ),  # Meta: repair the file. But a link often answers a minute later
    131055: rejected("method not allowed for this message"),
    131056: throttled("pair limit: too many to this recipient", None, Scope.PAIR),
    131057: throttled("account in maintenance, as during a throughput upgrade of up to a minute", 60),
    131059: rejected("group: cursor"),
    131062: rejected("recipient without a phone number not allowed for this message"),
    131063: rejected("marketing templates disabled on this API"),
    131064: template_rests("template messaging limited for category abuse; lifts by itself", _HOUR),
    **_each(range(131201, 131216), rejected("group: not possible")),
    131208: throttled("the groups' rate", 60),
    # -- templates and flows
    132000: rejected("number of parameters differs from the template"),
    132001: rejected("template missing in this language, or not approved"),
    132005: rejected("filled-in text too long"),
    132007: rejected("template content violates policy"),
    132008: rejected("parameter value violates policy or format"),
    132012: rejected("parameter format differs from the template"),
    132015: template_rests("template paused for quality, the first time for three hours", 3 * _HOUR),
    132016: rejected("template disabled for good"),
    132018: rejected("template parameters inconsistent"),
    132068: rejected("flow blocked"),
    132069: throttled("flow throttled to ten messages an hour", 360, Scope.MESSAGE),  # of the number's messages only the flow's
    # -- registration
    133000: paused("a former deregistration is incomplete", _UNREGISTERED),
    133004: outage("server temporarily unavailable"),
    133005: paused("PIN wrong", _UNREGISTERED),
    133006: paused("number must be verified", _UNREGISTERED),
    133008: paused("too many PIN tries", _UNREGISTERED),
    133009: paused("PIN tried too fast", _UNREGISTERED),
    133010: paused("number not registered", _UNREGISTERED),
    133015: throttled("number recently deleted; five minutes before it can be registered", 300),
    133016: throttled("more than ten registrations in 72 hours", _HOUR),
    # -- payments, marketing endpoint, users, calls, blocks, names
    134011: rejected("payments terms not accepted"),
    134100: rejected("only marketing templates here"),
    134101: retried("template still being synchronised, for up to ten minutes", 600),
    134102: retried("template could not be synchronised"),
    135000: rejected("generic user error, mostly a malformed template parameter"),
    137000: rejected("recipient's identity changed and not acknowledged"),
    **_each(range(138000, 138022), rejected("calling")),
    **_each(range(139000, 139005), rejected("flows")),
    **_each((139100, 139101, 139103), rejected("block list")),
    139102: retried("block list updated by another at the same time"),
    **_each(range(147001, 147006), rejected("business usernames")),
    # -- management calls; no send has answered with one of these
    **_each((2388019, 2388039, 2388040, 2388047, 2388072, 2388073, 2388293, 2388299), rejected("template not creatable")),
    **_each((2388012, 2388091, 2388093, 2388103, 2494100), rejected("number not movable or registrable")),
    **_each((2593107, 2593108, 2593109), rejected("coexistence synchronisation")),
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
    error = answer.get("error")
    if isinstance(error, dict):
        return _of_error(error, status, retry_after)
    if status == _OK:
        wamid = _wamid(answer)
        return Sent(wamid) if wamid else Unknown("provider.unreadable_answer")
    if status == TOO_MANY:
        return Retry("provider.http_429", seconds_of(retry_after) or 1.0, counted=False, scope=Scope.NUMBER)
    return Unknown(f"provider.http_{status}")


def _of_error(error: dict[str, Any], status: int, retry_after: str | None) -> Outcome:
    code = error.get("code")
    if not isinstance(code, int) or isinstance(code, bool):
        return Unknown(f"provider.http_{status}")
    if code == 100 and error.get("error_subcode") == OBJECT_GONE:
        code = OBJECT_GONE
    ruling = CODES.get(code) or by_status(status)
    return ruling.apply(f"provider.{code}", _detail(error), after=seconds_of(retry_after), sick=status >= 500)


def _detail(error: dict[str, Any]) -> str:
    """The most precise sentence of the error."""
    data = error.get("error_data")
    details = data.get("details") if isinstance(data, dict) else None
    return said(details or error.get("message"))


def _wamid(answer: dict[str, Any]) -> str | None:
    messages = answer.get("messages")
    first = messages[0] if isinstance(messages, list) and messages else None
    wamid = first.get("id") if isinstance(first, dict) else None
    if isinstance(wamid, str) and 0 < len(wamid) <= LONGEST_WAMID and wamid.isprintable():
        return wamid
    return None
