"""The files: what was uploaded and what users sent, in memory, and the short-lived addresses they are fetched from.

Source: WhatsApp Cloud API, media, read 2026-09.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.sandbox.domain.media_types import bare
from shared.clock import Clock

UPLOAD_SECONDS: Final = 30 * 86_400.0
INBOUND_SECONDS: Final = 7 * 86_400.0
ATTACHMENTS: Final = "/whatsapp_business/attachments/"

_LEAST_ID: Final = 10**15
_IDS: Final = 8 * 10**15
"""Sixteen digits below 2^53, drawn: after a restart an old id must not name another file."""


@dataclass(frozen=True, slots=True)
class Media:
    """One file of one number. `expires_at` is a Unix time."""

    id: str
    phone_number_id: str
    mime_type: str
    filename: str | None
    content: bytes
    sha256: bytes
    expires_at: float
    is_inbound: bool

    @property
    def size(self) -> int:
        return len(self.content)

    def described(self) -> dict[str, Any]:
        """As the control API lists it."""
        return {
            "id": self.id,
            "phone_number_id": self.phone_number_id,
            "mime_type": self.mime_type,
            "filename": self.filename,
            "sha256": self.sha256.hex(),
            "file_size": self.size,
            "is_inbound": self.is_inbound,
            "expires_at": int(self.expires_at),
        }

    def told(self) -> dict[str, Any]:
        """As a user's message names it."""
        return {"mime_type": self.mime_type, "sha256": b64encode(self.sha256).decode("ascii"), "id": self.id}


class MediaStore:
    """All files, at most `limit_bytes` of them together: beyond, the oldest are forgotten."""

    def __init__(self, clock: Clock, limit_bytes: int) -> None:
        self._clock = clock
        self._limit_bytes = limit_bytes
        self._files: dict[str, Media] = {}
        self._bytes = 0
        self.expire_addresses()

    def expire_addresses(self) -> None:
        """No address that was given is good any more."""
        self._key = secrets.token_bytes(32)

    def put(
        self, phone_number_id: str, content: bytes, mime_type: str, filename: str | None, seconds: float, *, is_inbound: bool
    ) -> Media:
        """Keep a file for so long."""
        media_id = str(_LEAST_ID + secrets.randbelow(_IDS))
        expires_at = self._now() + seconds
        media = Media(
            media_id,
            phone_number_id,
            mime_type,
            filename,
            content,
            hashlib.sha256(content).digest(),
            expires_at,
            is_inbound,
        )
        self._files[media_id] = media
        self._bytes += media.size
        while self._bytes > self._limit_bytes and len(self._files) > 1:
            self.remove(next(iter(self._files)))
        return media

    def find(self, media_id: str) -> Media | None:
        """The file, unless its time is over."""
        media = self._files.get(media_id)
        if media is not None and media.expires_at <= self._now():
            self.remove(media_id)
            return None
        return media

    def remove(self, media_id: str) -> bool:
        media = self._files.pop(media_id, None)
        if media is not None:
            self._bytes -= media.size
        return media is not None

    def clear(self) -> None:
        self._files.clear()
        self._bytes = 0

    def all(self) -> list[Media]:
        return list(self._files.values())

    def address(self, media: Media, host: str, seconds: float) -> str:
        """Where the file is fetched from, for so long."""
        expiry = str(int(self._now() + seconds))
        mark = self._mark(media.id, expiry)
        return f"http://{host}{ATTACHMENTS}?mid={media.id}&source=getMedia&ext={expiry}&hash={mark}"

    def opened(self, query: Mapping[str, str]) -> Media | None:
        """The file behind an address' query; None where it is another's, or its time is over."""
        media_id, expiry, mark = query.get("mid", ""), query.get("ext", ""), query.get("hash", "")
        if not (mark.isascii() and hmac.compare_digest(mark, self._mark(media_id, expiry))) or int(expiry) <= self._now():
            return None
        return self.find(media_id)

    def _mark(self, media_id: str, expiry: str) -> str:
        return hmac.new(self._key, f"{media_id}:{expiry}".encode(), hashlib.sha256).hexdigest()[:40]

    def _now(self) -> float:
        return self._clock.now().timestamp()


def inline_name(media: Media) -> str:
    """A file name for a header: its own, or one made from its type."""
    name = media.filename or f"{media.id}.{bare(media.mime_type).rpartition('/')[2]}"
    return "".join(
        character for character in name if character.isascii() and character.isprintable() and character not in '";\\'
    )
