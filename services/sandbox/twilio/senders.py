"""WhatsApp senders at Twilio: whose they are, and which secret opens their account."""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.sandbox.numbers import Secret, WebUrl

MOST: Final = 10_000


class SenderSpec(BaseModel):
    """What makes a sender; the token is never shown again."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    account_id: Annotated[str, StringConstraints(pattern="^AC[0-9a-f]{32}$")]
    auth_token: Secret
    webhook_url: WebUrl | None = None
    """Where messages go that people write to it; none: to where its last message's callbacks went."""
    refusal: Annotated[int, Field(ge=10_000, le=99_999)] | None = None
    """A code of Twilio's that answers everything it sends."""


@dataclass(slots=True, eq=False)
class Sender:
    """A sender by its digits. `callback_url` is the last that a message named, without the query."""

    digits: str
    spec: SenderSpec
    callback_url: str | None = None

    @property
    def address(self) -> str:
        return f"whatsapp:+{self.digits}"

    @property
    def webhook_url(self) -> str | None:
        return self.spec.webhook_url or self.callback_url

    def public(self) -> dict[str, Any]:
        return {"number": self.digits, **self.spec.model_dump(exclude={"auth_token"})}


class Senders:
    """All of them, by digits."""

    def __init__(self) -> None:
        self._senders: dict[str, Sender] = {}

    def put(self, digits: str, spec: SenderSpec) -> Sender | None:
        """Add one, or replace it; None where there are too many."""
        if digits not in self._senders and len(self._senders) >= MOST:
            return None
        sender = self._senders[digits] = Sender(digits, spec)
        return sender

    def find(self, digits: str) -> Sender | None:
        return self._senders.get(digits)

    def remove(self, digits: str) -> bool:
        return self._senders.pop(digits, None) is not None

    def all(self) -> list[Sender]:
        return list(self._senders.values())

    def opens(self, account_id: str, authorization: str | None) -> bool:
        """Whether the header holds the account's credentials."""
        scheme, _, encoded = (authorization or "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            user, _, password = b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return False
        tokens = [s.spec.auth_token.get_secret_value() for s in self._senders.values() if s.spec.account_id == account_id]
        return user == account_id and any(hmac.compare_digest(token.encode(), password.encode()) for token in tokens)
