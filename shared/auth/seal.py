"""Secrets at rest: AES-256-GCM under a key per tenant, derived from the master key (HKDF-SHA256).

The place a secret stands in (tenant, column, row) is authenticated with it: a sealed value copied elsewhere does not open. The
first bytes name the master key, so that a second one can be introduced without a flag day: while a key is rotated, one seals and
several open.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.ids import TenantId

_NONCE_BYTES: Final = 12
_KEY_ID_BYTES: Final = 4


class SealError(Exception):
    """The master key has the wrong form, or a sealed value does not open with it in this place."""


@dataclass(frozen=True, slots=True, repr=False)
class _Master:
    """One master key, by its name in front of what it seals."""

    key_id: bytes
    key: bytes

    @classmethod
    def of(cls, text: str) -> _Master:
        try:
            key = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != 32:
            raise SealError("the master key must be 32 bytes in base64; make one with: openssl rand -base64 32")
        digest = hashes.Hash(hashes.SHA256())
        digest.update(b"chasqui master key id" + key)
        return cls(digest.finalize()[:_KEY_ID_BYTES], key)


class Sealer:
    """Seals with one master key (32 bytes, base64) and opens with it and all `others`. Raises `SealError` for any other form."""

    def __init__(self, master_key: str, *others: str) -> None:
        own = _Master.of(master_key)
        masters = {master.key_id: master.key for master in (own, *map(_Master.of, others))}
        self._key_id = own.key_id
        self._key_ids = frozenset(masters)
        self._cipher_of = lru_cache(maxsize=1024)(lambda key_id, tenant: AESGCM(_derive(masters[key_id], tenant)))

    def seal(self, tenant_id: TenantId, column: str, row: str, secret: str) -> str:
        """Base64 of key id, nonce and ciphertext. `column` as `numbers.access_token`, `row` the row's id."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher_of(self._key_id, tenant_id).encrypt(nonce, secret.encode(), _place(tenant_id, column, row))
        return base64.b64encode(self._key_id + nonce + sealed).decode()

    def open(self, tenant_id: TenantId, column: str, row: str, sealed: str) -> str:
        """The secret. Raises `SealError` where it was sealed by a key that is not here, for another place, or changed."""
        try:
            blob = base64.b64decode(sealed, validate=True)
        except (binascii.Error, ValueError):
            raise SealError("not a sealed value") from None
        key_id, nonce, text = (
            blob[:_KEY_ID_BYTES],
            blob[_KEY_ID_BYTES : _KEY_ID_BYTES + _NONCE_BYTES],
            blob[_KEY_ID_BYTES + _NONCE_BYTES :],
        )
        if key_id not in self._key_ids:
            raise SealError("sealed with another master key")
        try:
            return self._cipher_of(key_id, tenant_id).decrypt(nonce, text, _place(tenant_id, column, row)).decode()
        except (InvalidTag, ValueError):  # ValueError: cut off within the nonce
            raise SealError("does not open in this place") from None

    def is_current(self, sealed: str) -> bool:
        """Whether the key that seals has sealed this, by its name; not whether it opens."""
        try:
            return base64.b64decode(sealed, validate=True)[:_KEY_ID_BYTES] == self._key_id
        except (binascii.Error, ValueError):
            return False


def _place(tenant_id: TenantId, column: str, row: str) -> bytes:
    return f"{tenant_id}|{column}|{row}".encode()


def _derive(master: bytes, tenant_id: str) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=f"chasqui tenant {tenant_id}".encode()).derive(master)
