"""What businesses keep up beside messages: registration and PIN, profile, settings, uploads, callback URLs of their apps.

Source: WhatsApp Cloud API, registration, business profiles, settings, webhook overrides and the Graph API's resumable upload, read
2026-09.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from services.sandbox.domain.errors import GraphError

REGISTRATIONS: Final = 10
REGISTRATION_SECONDS: Final = 72 * 3600.0
CALL_SECONDS: Final = 3600.0
MAX_UPLOADS: Final = 100
VERIFICATION_CODE: Final = "123456"
"""What a phone is told by SMS or voice."""

_REMEMBERED_ACCOUNTS: Final = 10_000


@dataclass(slots=True)
class Upkeep:
    """One number's."""

    pin: str | None = None
    is_verified: bool = True
    registrations: deque[float] = field(default_factory=deque)
    profile: dict[str, Any] = field(default_factory=dict)
    edges: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was posted to edges that only keep it."""
    qr_codes: dict[str, str] = field(default_factory=dict)
    """The messages, by code."""
    commerce: dict[str, bool] = field(default_factory=lambda: {"is_cart_enabled": True, "is_catalog_visible": False})

    def count_registration(self, now: float, seconds: float) -> None:
        """Raises `GraphError` beyond what is allowed within so many seconds."""
        while self.registrations and self.registrations[0] <= now - seconds:
            self.registrations.popleft()
        if len(self.registrations) >= REGISTRATIONS:
            raise GraphError(133016)
        self.registrations.append(now)


@dataclass(slots=True)
class Upload:
    """A file that comes in pieces."""

    id: str
    length: int
    mime_type: str
    content: bytearray = field(default_factory=bytearray)

    @property
    def handle(self) -> str:
        return f"4::{hashlib.sha256(self.content).hexdigest()}"


class Business:
    """All of it, by number, account and app."""

    def __init__(self) -> None:
        self._upkeep: dict[str, Upkeep] = {}
        self._calls: dict[str, deque[float]] = {}
        self.uploads: dict[str, Upload] = {}
        self.app_tokens: dict[str, bytes] = {}
        """The app's secret, by the token that it was exchanged for."""

    def of(self, phone_number_id: str) -> Upkeep:
        upkeep = self._upkeep.get(phone_number_id)
        if upkeep is None:
            upkeep = self._upkeep[phone_number_id] = Upkeep()
        return upkeep

    def keep(self, upload: Upload) -> None:
        """The oldest are forgotten beyond a hundred."""
        self.uploads[upload.id] = upload
        while len(self.uploads) > MAX_UPLOADS:
            del self.uploads[next(iter(self.uploads))]

    def count_call(self, waba_id: str, now: float, limit: int) -> int:
        """Percent of the account's hourly calls that are used with this one. Raises `GraphError` 80007 beyond them."""
        if len(self._calls) >= _REMEMBERED_ACCOUNTS:
            self._calls.clear()
        calls = self._calls.setdefault(waba_id, deque())
        while calls and calls[0] <= now - CALL_SECONDS:
            calls.popleft()
        if len(calls) >= limit:
            raise GraphError(80007, "There have been too many calls to this WhatsApp Business account.")
        calls.append(now)
        return 100 * len(calls) // limit

    def forget_calls(self) -> None:
        self._calls.clear()
