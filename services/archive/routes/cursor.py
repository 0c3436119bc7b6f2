"""Cursors: a reader's place, signed, good for the list it was given for and no other."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import SecretStr

from services.archive.domain.reading import NEWEST, Place
from shared.errors import FieldError, Rejected

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TAG_BYTES: Final = 12


class Cursors:
    """Signs with a key of its own, derived from the internal token: all replicas read each other's cursors. Those of `other`
    tokens are read too: while the token is rotated some replicas sign with the next one already."""

    def __init__(self, token: SecretStr, *other: SecretStr) -> None:
        values = [one.get_secret_value() for one in (token, *other)]
        self._keys = [hmac.digest(value.encode(), b"archive cursors", "sha256") for value in values if value]

    def encode(self, place: Place | None, *scope: str) -> str | None:
        """The cursor of a place in the list that `scope` names; None stays None: nothing is left."""
        if place is None:
            return None
        text = f"{(place.at - _EPOCH) // timedelta(microseconds=1)}.{place.id}".encode()
        return _spelt(_tag(self._keys[0], text, scope) + text)

    def decode(self, cursor: str | None, *scope: str) -> Place:
        """The place, or the beginning where there is no cursor. Raises `Rejected` (400) for one not made for `scope`."""
        if cursor is None:
            return NEWEST
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise _invalid() from None
        tag, text = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
        is_ours = any(hmac.compare_digest(tag, _tag(key, text, scope)) for key in self._keys)
        if not is_ours or _spelt(raw) != cursor:
            raise _invalid()
        micros, _, row_id = text.decode().partition(".")
        return Place(_EPOCH + timedelta(microseconds=int(micros)), row_id)


def _tag(key: bytes, text: bytes, scope: tuple[str, ...]) -> bytes:
    named = b"".join(hashlib.sha256(part.encode(errors="surrogatepass")).digest() for part in scope)
    return hmac.digest(key, named + text, "sha256")[:_TAG_BYTES]


def _spelt(raw: bytes) -> str:
    """base64url as we write it; the last character's spare bits could be spelt otherwise."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _invalid() -> Rejected:
    detail = "The cursor belongs to another list, or was changed; start again without one."
    return Rejected("cursor.invalid", detail, status=400, errors=(FieldError("/cursor", "cursor.invalid", detail),))
