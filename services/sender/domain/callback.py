"""Callbacks: which updates a tenant is told, in which words, under which signature, and when a failed delivery comes again.

    waiting ──2xx──▶ delivered
      │  ▲
      │  └── anything else, up to ten times in three days
      ├── the tenth failure ──▶ failed (`retries.exhausted`)
      └── its callback is turned off, or answers 410 ──▶ failed (`callback.disabled`)

What has ended can be replayed: then it waits as at first.

Sources: WhatsApp Cloud API, webhooks (envelope, signature, handshake), read 2026-11; Standard Webhooks specification 1.0.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Final, Protocol

import orjson

from shared.auth import signatures

SCHEDULE: Final = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds before each attempt, counted from the one before: 0, 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h."""
JITTER: Final = 0.1
LONGEST_WAIT: Final = 86_400.0
"""No `Retry-After` makes it longer."""
FAILING_HOURS: Final = 120
"""A callback is turned off that goes on failing for so long, without a success; one that nothing is told meanwhile is not."""
ALL: Final = "*"
TEST: Final = "callback.test"

EXHAUSTED: Final = "retries.exhausted"
DISABLED: Final = "callback.disabled"

KEY_MARK: Final = "whsec_"
KEY_BYTES: Final = range(24, 65)
"""Of a Standard Webhooks secret."""
_GONE: Final = 410
_ASKED_FOR_QUIET: Final = frozenset({429, 503})
_UNSIGNED: Final = frozenset({401, 403})
_WHOLE_SECONDS: Final = re.compile(r"[0-9]{1,9}")


class CallbackFormat(StrEnum):
    META = "meta"
    """As the Cloud API's own webhooks."""
    STANDARD = "standard"
    """In this API's shapes, by the Standard Webhooks specification."""


class CallbackState(StrEnum):
    ENABLED = "enabled"
    DISABLED = "disabled"


class DeliveryState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


class Update(Protocol):
    """What `update.told` says, or a test says in its stead."""

    @property
    def update_id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def number_id(self) -> str | None: ...
    @property
    def at(self) -> datetime: ...
    @property
    def data(self) -> Mapping[str, Any]: ...
    @property
    def graph(self) -> Mapping[str, Any] | None: ...


def selects(events: Sequence[str], number_ids: Sequence[str] | None, update: Update) -> bool:
    """True where one of the patterns (`message.read`, `message.*`, `*`) fits the update and, where numbers are named, it is of one
    of them."""
    if number_ids is not None and update.number_id not in number_ids:
        return False
    return any(fits(pattern, update.type) for pattern in events)


def fits(pattern: str, kind: str) -> bool:
    """Whether it is this type of update's, all types', or that of all whose types begin so."""
    return pattern in {ALL, kind} or (pattern.endswith(".*") and kind.startswith(pattern[:-1]))


def body_of(form: CallbackFormat, update: Update) -> bytes | None:
    """What is posted; None for what the update has no words for in this form."""
    if form is CallbackFormat.META:
        return None if update.graph is None else meta_body(update.graph, update.at)
    if not update.data:
        return None
    numbered = {} if update.number_id is None else {"number_id": update.number_id}
    envelope = {"type": update.type, "timestamp": update.at, "id": update.update_id, **numbered, "data": update.data}
    return orjson.dumps(envelope, option=orjson.OPT_UTC_Z)


def meta_body(graph: Mapping[str, Any], at: datetime) -> bytes:
    """One update as the provider posts it. All but ASCII, slashes and at signs are escaped as it does: servers exist that write
    what they have parsed anew in that way before they check the signature."""
    # Changes of an account carry when they happened; of messages each one does.
    timed = {} if graph["field"] == "messages" else {"time": int(at.timestamp())}
    change = {"value": graph["value"], "field": graph["field"]}
    envelope = {"object": "whatsapp_business_account", "entry": [{"id": graph["entry_id"], **timed, "changes": [change]}]}
    text = json.dumps(envelope, ensure_ascii=True, separators=(",", ":"))
    return text.replace("/", "\\/").replace("@", "\\u0040").encode()


def headers_of(form: CallbackFormat, secrets: Sequence[str], update_id: str, body: bytes, at: datetime) -> dict[str, str]:
    """Headers of a post made at that moment; `secrets` are the valid ones, the present one first. The provider's form has room for
    one signature: that of the first."""
    if form is CallbackFormat.META:
        return {
            "Content-Type": "application/json",
            "User-Agent": "facebookexternalua",
            signatures.HEADER: signatures.sign(secrets[0], body),
        }
    seconds = str(int(at.timestamp()))
    signed = f"{update_id}.{seconds}.".encode() + body
    return {
        "Content-Type": "application/json",
        "User-Agent": "chasqui",
        "webhook-id": update_id,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(_standard_signature(secret, signed) for secret in secrets),
    }


def is_standard_secret(secret: str) -> bool:
    """True for `whsec_` and 24 to 64 bytes in base64."""
    return len(_key(secret)) in KEY_BYTES


def _standard_signature(secret: str, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()


def _key(secret: str) -> bytes:
    """Empty for what is none."""
    if not secret.startswith(KEY_MARK):
        return b""
    try:
        return base64.b64decode(secret.removeprefix(KEY_MARK), validate=True)
    except (binascii.Error, ValueError):
        return b""


@dataclass(frozen=True, slots=True)
class Reply:
    """How a post ended: with a status, or without one for the reason that `error` names."""

    status: int | None
    seconds: float
    error: str | None = None
    retry_after: str | None = None
    excerpt: str = ""
    """The beginning of what was answered."""

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_sick(self) -> bool:
        """Nobody is there, or who is there is not well; a refusal is an answer."""
        return self.status is None or self.status >= 500

    @property
    def is_gone(self) -> bool:
        """The receiver wants nothing more, ever."""
        return self.status == _GONE

    @property
    def doubts_signature(self) -> bool:
        return self.status in _UNSIGNED

    @property
    def fault(self) -> str | None:
        """Why it is no success, as a code."""
        if self.is_success:
            return None
        return self.error or ("answer.redirect" if self.status is not None and 300 <= self.status < 400 else "answer.refused")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reply makes of its delivery, which comes again in `wait` seconds; for `rest` seconds its callback gets nothing."""

    state: DeliveryState
    failures: int
    wait: float = 0.0
    rest: float = 0.0
    code: str | None = None


def judge(reply: Reply, failures: int, now: datetime, jitter: float) -> Verdict:
    """`failures` are those before this one; `jitter` is a random number in 0..1."""
    if reply.is_success:
        return Verdict(DeliveryState.DELIVERED, failures)
    failures += 1
    if reply.is_gone:
        return Verdict(DeliveryState.FAILED, failures, code=DISABLED)
    asked = min(LONGEST_WAIT, retry_after_seconds(reply.retry_after, now))
    rest = asked if reply.status in _ASKED_FOR_QUIET else 0.0
    if failures >= len(SCHEDULE):
        return Verdict(DeliveryState.FAILED, failures, rest=rest, code=EXHAUSTED)
    wait = SCHEDULE[failures] * (1 - JITTER + 2 * JITTER * jitter)
    return Verdict(DeliveryState.WAITING, failures, max(wait, asked), rest)


def retry_after_seconds(header: str | None, now: datetime) -> float:
    """Of a `Retry-After`, in either of its forms; 0 where there is none that can be read."""
    if header is None:
        return 0.0
    text = header.strip()
    if _WHOLE_SECONDS.fullmatch(text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
