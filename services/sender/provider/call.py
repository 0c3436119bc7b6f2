"""One call to a provider: the mechanics of HTTP, the same for all of them.

One try, no redirects; connect within 2 s, the whole within 10. A body tells when it is about to be written to the connection: what
fails before that surely did not leave, what fails after it may have been taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from services.sender.domain.outcome import Outcome, PauseNumber, Retry, Unknown
from services.sender.provider.interface import Request
from shared.telemetry.tracing import is_sampled

CONNECT_SECONDS: Final = 2.0
TOTAL_SECONDS: Final = 10.0
ANSWER_LIMIT_BYTES: Final = 65_536
UNREACHABLE_SECONDS: Final = 5.0
"""A provider that cannot be reached says nothing about the message: it is tried again until it leaves, is canceled or expires."""

_TIMEOUT: Final = aiohttp.ClientTimeout(total=TOTAL_SECONDS, sock_connect=CONNECT_SECONDS)


class Judge(Protocol):
    """`Route.judge`."""

    def __call__(self, status: int, body: bytes, retry_after: str | None, /) -> Outcome: ...


class Departing(aiohttp.BytesPayload):
    """A body that calls `on_departure` right before its bytes, headers included, are written to the connection.

    aiohttp holds the headers back until the body comes, so nothing has left before. `has_departed` tells whoever judges a failure.
    """

    def __init__(self, body: bytes, on_departure: Callable[[], None]) -> None:
        super().__init__(body)
        self._on_departure = on_departure
        self.has_departed = False

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        if not self.has_departed:
            self.has_departed = True
            self._on_departure()
        await super().write_with_length(writer, content_length)


async def send(
    session: aiohttp.ClientSession, request: Request, judge: Judge, on_departure: Callable[[], None], traceparent: str
) -> Outcome:
    """Call once; `on_departure` is called once, right before the first byte leaves, or never. Every failure is an outcome; only
    cancellation passes through."""
    headers = request.headers
    if is_sampled(traceparent):
        headers = headers.copy()
        headers["traceparent"] = traceparent
    body = Departing(request.body, on_departure)
    try:
        async with session.post(request.url, data=body, headers=headers, timeout=_TIMEOUT, allow_redirects=False) as response:
            length = response.content_length
            is_small = length is not None and length <= ANSWER_LIMIT_BYTES
            answer = await response.read() if is_small else await _as_much_as_is_real(response.content)
            return judge(response.status, answer, response.headers.get("Retry-After"))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        code = f"connection.{type(error).__name__}"
        return Unknown(code) if body.has_departed else Retry(code, UNREACHABLE_SECONDS, counted=False, sick=True)
    except ValueError as error:
        if body.has_departed:
            return Unknown(f"connection.{type(error).__name__}")
        return PauseNumber("connection.token_unusable", "The access token is not one that HTTP can carry. Store it again.")


async def _as_much_as_is_real(content: aiohttp.StreamReader) -> bytes:
    """An answer's body without a length, or with an absurd one: no more of it than any real answer has."""
    answer = bytearray()
    async for chunk in content.iter_any():
        answer += chunk
        if len(answer) > ANSWER_LIMIT_BYTES:
            break
    return bytes(answer)
