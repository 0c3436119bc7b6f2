"""One request to an address that a tenant named."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

import aiohttp
from yarl import URL

from services.sender.domain.callback import Reply
from shared.clock import Clock
from shared.http.outside import Forbidden

CONNECT_SECONDS: Final = 5.0
TOTAL_SECONDS: Final = 15.0
ANSWER_BYTES: Final = 16_384
"""What is read of an answer; one that is longer costs its connection."""
EXCERPT_CHARACTERS: Final = 500
_CHALLENGES: Final = 10**10
_TIMEOUT: Final = aiohttp.ClientTimeout(total=TOTAL_SECONDS, sock_connect=CONNECT_SECONDS)


class Poster:
    """Posts, and asks for the challenge, through a client that connects to admitted addresses only. Redirects are not followed:
    what is signed for one address is not for another."""

    def __init__(self, session: aiohttp.ClientSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Within `TOTAL_SECONDS`. Raises nothing: what goes wrong is an answer too."""
        return await self._ask("POST", URL(url), headers, body)

    async def shake_hands(self, url: str, verify_token: str) -> str | None:
        """Ask the address for a challenge, as Meta does; None where it answers as it must, else why not, as a code.

        Source: WhatsApp Cloud API, webhooks, "Verification requests", read 2026-11.
        """
        challenge = str(secrets.randbelow(_CHALLENGES))
        asked = URL(url).extend_query({"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": verify_token})
        reply = await self._ask("GET", asked, {"User-Agent": "facebookexternalua"}, None)
        if reply.status is None:
            return reply.error
        if reply.status != 200:
            return reply.fault or "answer.refused"
        return None if reply.excerpt.strip() == challenge else "answer.no_challenge"

    async def _ask(self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None) -> Reply:
        began = self._clock.monotonic()
        try:
            async with self._session.request(
                method, url, headers=headers, data=body, allow_redirects=False, timeout=_TIMEOUT
            ) as answer:
                excerpt = await _beginning(answer)
                seconds = self._clock.monotonic() - began
                return Reply(answer.status, seconds, retry_after=answer.headers.get("Retry-After"), excerpt=excerpt)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a URL that has no form on the wire
            return Reply(None, self._clock.monotonic() - began, error=_code(error))


async def _beginning(answer: aiohttp.ClientResponse) -> str:
    """Of its body. The status stands, whatever becomes of the rest."""
    data = b""
    try:
        while len(data) < ANSWER_BYTES:
            part = await answer.content.read(ANSWER_BYTES - len(data))
            if not part:
                return _readable(data)
            data += part
    except (aiohttp.ClientError, OSError):
        pass  # it came slowly, or broke off
    answer.close()
    return _readable(data)


def _readable(data: bytes) -> str:
    """Characters that a database takes."""
    return data.decode(errors="replace").replace("\0", "\ufffd")[:EXCERPT_CHARACTERS]


def _code(error: Exception) -> str:
    match error:
        case Forbidden():
            return "address.forbidden"
        case aiohttp.ClientConnectorDNSError():
            return "address.unknown"
        case aiohttp.ClientSSLError():
            return "connection.tls"
        case aiohttp.InvalidURL() | ValueError():
            return "address.malformed"
        case TimeoutError():
            return "timed_out"
        case aiohttp.ClientConnectorError():
            return "connection.refused"
        case _:
            return "connection.broken"
