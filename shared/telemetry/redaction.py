"""What may be shown in logs and spans. Redaction is by type and by name first; the patterns here are the last resort.

A wamid is shown nowhere on a span: it holds the recipient's phone number in base64.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

SPAN_ATTRIBUTES: Final = frozenset(
    {
        # ids
        "tenant_id",
        "message_id",
        "event_id",
        "number_id",
        "conversation_id",
        "entry_id",
        "key_id",
        "request_id",
        # counts and sizes
        "attempt",
        "attempts",
        "count",
        "failed",
        "retried",
        "dead",
        "bytes",
        "revision",
        "share",
        "wait_ms",
        "lateness_ms",
        "retry_ms",
        # codes and states
        "code",
        "outcome",
        "status",
        "tier",
        "subject",
        "subscription",
        "provider",
        "breaker",
        # OpenTelemetry's semantic conventions
        "error.type",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "http.request.resend_count",
        "url.scheme",
        "network.protocol.name",
        "server.address",
        "server.port",
        "messaging.system",
        "messaging.operation.name",
        "messaging.operation.type",
        "messaging.destination.name",
        "messaging.batch.message_count",
        "db.system.name",
        "db.operation.name",
    }
)
"""Ids, counts, codes, the basics of HTTP and messaging. Whatever is not named here gets onto no span."""

HIDDEN_FIELDS: Final = frozenset(
    {
        "access_token",
        "api_key",
        "app_secret",
        "authorization",
        "body",
        "content",
        "cookie",
        "display_number",
        "dsn",
        "email",
        "headers",
        "master_key",
        "metadata",
        "password",
        "phone",
        "query",
        "recipient",
        "secret",
        "sender",
        "sender_name",
        "text",
        "to",
        "token",
        "url",
        "verify_token",
        "wa_id",
        "wamid",
    }
)
"""Names that hold personal data or secrets wherever they appear; a log line keeps the name and hides the value."""

HIDDEN: Final = "<hidden>"

# The shape of ids, codes and route templates: free text has spaces, a phone number is plus and digits, a token is longer.
_IDENTIFIER: Final = re.compile(r"(?![0-9]{7,})[A-Za-z0-9_.:/{}#-]{0,80}")

_SECRETS: Final = re.compile(
    r"chq_(?:live|test|admin)_[A-Za-z0-9_]+"  # our API keys
    r"|(?i:bearer)[ +]+[A-Za-z0-9._~+/=-]+"
    r"|EAA[A-Za-z0-9]{8,}"  # Meta's access tokens
    r"|\+[0-9]{7,15}(?![0-9])"  # phone numbers, E.164
    r"|wamid\.[A-Za-z0-9+/=_-]+"
    r"|(?<=://)[^/\s:@\"]*:[^/\s@\"]+(?=@)"  # user and password of a URL
)


def scrub(text: str) -> str:
    """`text` without anything that looks like a credential, a phone number or a wamid."""
    # The pattern alone would cost more than the line it guards.
    if "chq_" in text or "+" in text or "EAA" in text or "wamid." in text or "@" in text or "bearer" in text.lower():
        return _SECRETS.sub(HIDDEN, text)
    return text


def span_attributes(attributes: Mapping[str, object]) -> Iterator[tuple[str, str | int | float | bool]]:
    """The attributes that may be shown. The others are dropped without a word: a span is no place to fail."""
    for name, value in attributes.items():
        if name not in SPAN_ATTRIBUTES:
            continue
        if isinstance(value, bool | int | float):
            yield name, value
        elif isinstance(value, str) and is_plain(value):
            yield name, str(value)


@lru_cache(maxsize=8_192)  # ids come with each span of a message, most else with every span
def is_plain(value: str) -> bool:
    """Whether it has the shape of an id, a code or a name of ours: nothing that somebody wrote, no number to call."""
    return _IDENTIFIER.fullmatch(value) is not None and scrub(value) == value
