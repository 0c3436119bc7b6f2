"""The call: `POST /{version}/{phone_number_id}/messages`.

One try, no redirects; connect within 2 s, the whole within 10. `on_departure` is called at the last moment before the request is
written to the connection: what fails before it surely did not leave.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
import orjson

from services.sender.domain.attempt import AttemptId
from services.sender.domain.outcome import NotSent, Outcome, Unknown
from services.sender.provider.errors import outcome_of

API_VERSION: Final = "v23.0"
CONNECT_SECONDS: Final = 2.0
TOTAL_SECONDS: Final = 10.0
ANSWER_LIMIT_BYTES: Final = 65_536

_TIMEOUT: Final = aiohttp.ClientTimeout(total=TOTAL_SECONDS, sock_connect=CONNECT_SECONDS)


@dataclass(slots=True)
class Departure:
    """Whether a request has begun to leave; set by the connection, read by whoever must judge a failure."""

    on_departure: Callable[[], None]
    began: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """Where a number's messages go and with which token."""

    url: str
    access_token: str

    @classmethod
    def of(cls, provider_url: str, phone_number_id: str, access_token: str) -> Route:
        return cls(f"{provider_url.rstrip('/')}/{API_VERSION}/{phone_number_id}/messages", access_token)


def departures() -> aiohttp.TraceConfig:
    """Tells each request's `Departure` when its bytes are about to be written; give it to the session."""

    async def on_chunk(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        departure: Departure = context.trace_request_ctx
        if not departure.began:
            departure.began = True
            departure.on_departure()

    config = aiohttp.TraceConfig()
    config.on_request_chunk_sent.append(on_chunk)
    return config


def request_body(attempt: AttemptId, to: str, content: dict[str, Any]) -> bytes:
    """The Cloud API's body: the content as it was given, the recipient, and our name for the attempt."""
    return orjson.dumps(
        {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": to,
            **content,
            "biz_opaque_callback_data": str(attempt),
        }
    )


async def send(session: aiohttp.ClientSession, route: Route, body: bytes, departure: Departure, traceparent: str) -> Outcome:
    """Call once. Every failure is an outcome; only cancellation passes through."""
    headers = {
        "Authorization": f"Bearer {route.access_token}",
        "Content-Type": "application/json",
        "traceparent": traceparent,
    }
    try:
        async with session.post(
            route.url, data=body, headers=headers, timeout=_TIMEOUT, allow_redirects=False, trace_request_ctx=departure
        ) as response:
            answer = await response.content.read(ANSWER_LIMIT_BYTES)
            while not response.content.at_eof() and len(answer) < ANSWER_LIMIT_BYTES:
                answer += await response.content.read(ANSWER_LIMIT_BYTES - len(answer))
            return outcome_of(response.status, answer, response.headers.get("Retry-After"))
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        code = f"connection.{type(error).__name__}"
        return Unknown(code) if departure.began else NotSent(code)
