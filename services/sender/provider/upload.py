"""Bring a file to the provider: `POST /{phone_number_id}/media`, a form whose length is known before it begins. Have it deleted
there: `DELETE /{media_id}`.

Source: WhatsApp Cloud API, media, read 2026-11. What is uploaded can be sent by its id for 30 days, by this number only.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import aiohttp
import orjson
from yarl import URL

from services.sender.domain.outcome import PauseNumber, PauseTemplate, Rejected, Retry, Sent, Unknown
from services.sender.provider.cloud_api import API_VERSION
from services.sender.provider.cloud_api_codes import OBJECT_GONE, outcome_of
from services.sender.provider.interface import Address
from shared.events.values import Provider

MOST_ANSWERED: Final = 65_536
_LONGEST_HANDLE: Final = 128
_PLAIN_HANDLE: Final = re.compile(r"[A-Za-z0-9_-]+")
_OK: Final = 200
_GONE: Final = f"provider.{OBJECT_GONE}"


NotUploaded = Rejected | Retry | PauseNumber | PauseTemplate | Unknown


class Uploaded(NamedTuple):
    """The provider has it, under this id."""

    handle: str


@dataclass(frozen=True, slots=True, repr=False)
class Place:
    """Where a number's files go up. Holds the token, so it has no `repr`."""

    url: URL
    token: str


@dataclass(frozen=True, slots=True, repr=False)
class File:
    """What goes up. Its name may be personal, so it has no `repr`."""

    mime_type: str
    size_bytes: int
    file_name: str | None


def place_of(address: Address, token: str) -> Place | None:
    """None: the number's provider keeps no files, or the token is none that HTTP can carry, which its messages' calls will say."""
    if address.provider is not Provider.CLOUD_API or not token.isprintable() or not token.isascii():
        return None
    return Place(URL(f"{address.provider_url.rstrip('/')}/{API_VERSION}/{address.phone_number_id}/media"), token)


async def upload(
    session: aiohttp.ClientSession, place: Place, file: File, parts: AsyncIterator[bytes]
) -> Uploaded | NotUploaded:
    """One try. What becomes of it is an outcome, as a message's: `Rejected` will never be taken, `Retry` may be later, `Unknown`
    has no readable answer and may be repeated. Raises aiohttp's errors, `OSError`, and what `parts` raise."""
    boundary = secrets.token_hex(16)
    head, tail = _head(boundary, file), f"\r\n--{boundary}--\r\n".encode()

    async def body() -> AsyncIterator[bytes]:
        yield head
        async for part in parts:
            yield part
        yield tail

    headers = {
        "Authorization": f"Bearer {place.token}",
        "Accept-Encoding": "identity",
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(len(head) + file.size_bytes + len(tail)),
    }
    async with session.post(place.url, data=body(), headers=headers, allow_redirects=False) as response:
        answer = await _answer(response)
        if response.status == _OK:
            handle = _handle(answer)
            return Unknown("provider.unreadable_answer") if handle is None else Uploaded(handle)
        outcome = outcome_of(response.status, answer, response.headers.get("Retry-After"))
        return Unknown("provider.unreadable_answer") if isinstance(outcome, Sent) else outcome


async def remove(session: aiohttp.ClientSession, place: Place, handle: str) -> NotUploaded | None:
    """One try to have it deleted; None: it is not there any more. Raises aiohttp's errors, `OSError`."""
    if not _PLAIN_HANDLE.fullmatch(handle):
        return Rejected("media.handle_odd", "The provider's id of the file is none that fits an address.")
    headers = {"Authorization": f"Bearer {place.token}", "Accept-Encoding": "identity"}
    async with session.delete(place.url.parent.parent / handle, headers=headers, allow_redirects=False) as response:
        if response.status == _OK:
            return None
        answer = await _answer(response)
        outcome = outcome_of(response.status, answer, response.headers.get("Retry-After"))
        if isinstance(outcome, Sent) or outcome.code == _GONE:
            return None
        return outcome


async def _answer(response: aiohttp.ClientResponse) -> bytes:
    answer = bytearray()
    async for part in response.content.iter_any():
        answer += part
        if len(answer) > MOST_ANSWERED:
            break
    return bytes(answer)


def _head(boundary: str, file: File) -> bytes:
    """All of the form that stands before the file."""
    fields = {"messaging_product": "whatsapp", "type": file.mime_type}
    lines = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    ]
    name = "".join(c if c.isprintable() and c not in '"\\' else "_" for c in file.file_name or "file")
    lines.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: {file.mime_type}\r\n\r\n'
    )
    return "".join(lines).encode()


def _handle(body: bytes) -> str | None:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    match answer:
        case {"id": str(handle)} if 0 < len(handle) <= _LONGEST_HANDLE and handle.isprintable():
            return handle
        case {"id": int(handle)}:
            return str(handle)
    return None
