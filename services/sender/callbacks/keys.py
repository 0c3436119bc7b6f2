"""The callbacks' secrets: made, sealed for the table, opened in memory."""

from __future__ import annotations

import base64
import secrets
from typing import Final

from services.sender.domain.callback import KEY_MARK, CallbackFormat
from shared.auth.seal import Sealer
from shared.ids import TenantId

KEY_BYTES: Final = 32
_SECRET: Final = "callbacks.secret"  # noqa: S105  # the place it is sealed for
_VERIFY_TOKEN: Final = "callbacks.verify_token"  # noqa: S105  # the place it is sealed for


class Keys:
    """Seals and opens; `open…` raise `SealError` for what was sealed by another master key."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def seal(self, tenant_id: TenantId, callback_id: str, secret: str) -> str:
        return self._sealer.seal(tenant_id, _SECRET, callback_id, secret)

    def open(self, tenant_id: TenantId, callback_id: str, sealed: str) -> str:
        return self._sealer.open(tenant_id, _SECRET, callback_id, sealed)

    def seal_verify_token(self, tenant_id: TenantId, callback_id: str, token: str) -> str:
        return self._sealer.seal(tenant_id, _VERIFY_TOKEN, callback_id, token)

    def open_verify_token(self, tenant_id: TenantId, callback_id: str, sealed: str) -> str:
        return self._sealer.open(tenant_id, _VERIFY_TOKEN, callback_id, sealed)


def new_secret(form: CallbackFormat) -> str:
    """In the form that its receivers know: 32 hexadecimal digits as Meta's app secrets, or `whsec_` and base64."""
    if form is CallbackFormat.META:
        return secrets.token_hex(KEY_BYTES // 2)
    return KEY_MARK + base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
