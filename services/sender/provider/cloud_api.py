"""The WhatsApp Cloud API: `POST /{version}/{phone_number_id}/messages`, our name for the attempt in `biz_opaque_callback_data`.

Source: WhatsApp Cloud API, messages, read 2026-11. It knows no idempotency key: a call whose answer is lost must not be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import orjson
from yarl import URL

from services.sender.domain.attempt import AttemptId
from services.sender.domain.outcome import Outcome
from services.sender.provider.cloud_api_codes import outcome_of
from services.sender.provider.interface import GROUP, Address, Request, head_of

API_VERSION: Final = "v23.0"


@dataclass(frozen=True, slots=True, repr=False)
class CloudApiRoute:
    """A number's messages node, and the head of the requests that it lets in."""

    url: URL
    head: bytes | None

    @classmethod
    def of(cls, address: Address, token: str) -> Self:
        url = URL(f"{address.provider_url.rstrip('/')}/{API_VERSION}/{address.phone_number_id}/messages")
        fields = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        return cls(url, head_of(url, fields))

    def request(self, attempt: AttemptId, to: str, content: dict[str, Any]) -> Request:
        """The content as it was given, the recipient, and our name for the attempt."""
        if to.startswith("+"):
            address = {"recipient_type": "individual", "to": to}
        elif to.startswith(GROUP):
            address = {"recipient_type": "group", "to": to.removeprefix(GROUP)}
        else:
            address = {"recipient_type": "individual", "recipient": to}
        body = orjson.dumps(
            {
                "messaging_product": "whatsapp",
                **address,
                **content,
                "biz_opaque_callback_data": str(attempt),
            }
        )
        return Request(self.url, self.head, body)

    def judge(self, status: int, body: bytes, retry_after: str | None) -> Outcome:
        return outcome_of(status, body, retry_after)
