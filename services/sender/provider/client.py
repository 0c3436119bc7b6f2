"""The call: `POST /{version}/{phone_number_id}/messages`.

One try, no redirects; connect within 2 s, the whole within 10. A body tells when it is about to be written to the connection: what
fails before that surely did not leave.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import orjson
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from services.sender.domain.attempt import AttemptId
from services.sender.domain.outcome import NotSent, Outcome, Unknown
from services.sender.provider.errors import outcome_of
from shared.telemetry.tracing import is_sampled

API_VERSION: Final = "v23.0"
CONNECT_SECONDS: Final = 2.0
TOTAL_SECONDS: Final = 10.0
ANSWER_LIMIT_BYTES: Final = 65_536
UNREACHABLE_SECONDS: Final = 5.0
"""A provider that cannot be reached says nothing about the message: it is tried again until it leaves, is canceled or expires."""
UNUSABLE_SECONDS: Final = 300.0

_TIMEOUT: Final = aiohttp.ClientTimeout(total=TOTAL_SECONDS, sock_connect=CONNECT_SECONDS)


class Departing(aiohttp.BytesPayload):
    """A request's JSON that calls `on_departure` right before its bytes, headers included, are written to the connection.

    aiohttp holds the headers back until the body comes, so nothing has left before. `has_departed` tells whoever judges a failure.
    """

    def __init__(self, body: bytes, on_departure: Callable[[], None]) -> None:
        super().__init__(body, content_type="application/json")
        self._on_departure = on_departure
        self.has_departed = False

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        if not self.has_departed:
            self.has_departed = True
            self._on_departure()
        await super().write_with_length(writer, content_length)


@dataclass(frozen=True, slots=True, repr=False)
class Route:
    """Where a number's messages go, and the headers that let them in. Holds the token, so it has no `repr`."""

    url: URL
    headers: dict[str, str]

    @classmethod
    def of(cls, provider_url: str, phone_number_id: str, access_token: str) -> Route:
        url = URL(f"{provider_url.rstrip('/')}/{API_VERSION}/{phone_number_id}/messages")
        return cls(url, {"Authorization": f"Bearer {access_token}", "Accept-Encoding": "identity"})


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


async def send(session: aiohttp.ClientSession, route: Route, body: Departing, traceparent: str) -> Outcome:
    """Call once. Every failure is an outcome; only cancellation passes through."""
    headers = {**route.headers, "traceparent": traceparent} if is_sampled(traceparent) else route.headers
    try:
        async with session.post(route.url, data=body, headers=headers, timeout=_TIMEOUT, allow_redirects=False) as response:
            answer = await _bounded(response)
            return outcome_of(response.status, answer, response.headers.get("Retry-After"))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        code = f"connection.{type(error).__name__}"
        return Unknown(code) if body.has_departed else NotSent(code, UNREACHABLE_SECONDS, counted=False)
    except (
        ValueError
    ) as error:  # a token that no header can carry: nothing was written, and somebody must repair the number's record
        if body.has_departed:
            return Unknown(f"connection.{type(error).__name__}")
        return NotSent("connection.token_unusable", UNUSABLE_SECONDS, counted=False)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """The answer's body, or as much of it as any real answer has."""
    if response.content_length is not None and response.content_length <= ANSWER_LIMIT_BYTES:
        return await response.read()
    answer = bytearray()
    async for chunk in response.content.iter_any():
        answer += chunk
        if len(answer) > ANSWER_LIMIT_BYTES:
            break
    return bytes(answer)
