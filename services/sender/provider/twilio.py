"""WhatsApp by Twilio: `POST /2010-04-01/Accounts/{AccountSid}/Messages.json`, our name for the attempt in its `StatusCallback`.

Sources: Twilio, "Messages resource", "Track outbound message status", "Twilio API requests" (Basic authentication with the account
SID and auth token), read 2026-11. The resource takes no idempotency key, and "sending an SMS [is] not idempotent" (error 20500): a
call whose answer is lost must not be repeated; a status callback settles it. Twilio answers 201 with status `queued`, before
WhatsApp has the message; what becomes of it, refusals included, comes in callbacks.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote_plus, urlencode

from yarl import URL

from services.sender.domain.attempt import AttemptId
from services.sender.domain.outcome import Outcome, PauseNumber, Rejected
from services.sender.provider.interface import Address, Request, head_of
from services.sender.provider.twilio_codes import outcome_of
from services.sender.provider.twilio_content import Inexpressible, fields_of

API_VERSION: Final = "2010-04-01"
ATTEMPT_PARAMETER: Final = "attempt"
_INCOMPLETE: Final = PauseNumber(
    "number.incomplete",
    "A number at Twilio needs account_id, display_number and Chasqui's public address. Complete its record, then resume it.",
)
_NO_PHONE: Final = Rejected("recipient.unsupported_by_provider", "Twilio sends to phone numbers only.")


@dataclass(frozen=True, slots=True, repr=False)
class TwilioRoute:
    """An account's Messages resource, its credentials, and the form's fields that are the same for all of a number's messages."""

    url: URL
    head: bytes | None
    form: str | None
    """Ends where the attempt's name follows; None for a record that is not complete."""

    @classmethod
    def of(cls, address: Address, token: str) -> Self:
        account = address.account_id or ""
        form = None
        if account and address.display_number and address.callback_url:
            sender = quote_plus(f"whatsapp:+{''.join(filter(str.isdecimal, address.display_number))}")
            mark = "&" if "?" in address.callback_url else "?"
            form = f"From={sender}&StatusCallback={quote_plus(f'{address.callback_url}{mark}{ATTEMPT_PARAMETER}=')}"
        url = URL(f"{address.provider_url.rstrip('/')}/{API_VERSION}/Accounts/{account}/Messages.json")
        fields = {
            "Authorization": f"Basic {b64encode(f'{account}:{token}'.encode()).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        return cls(url, head_of(url, fields), form)

    def request(self, attempt: AttemptId, to: str, content: dict[str, Any]) -> Request | Rejected | PauseNumber:
        if self.form is None:
            return _INCOMPLETE
        if not to.startswith("+"):
            return _NO_PHONE
        try:
            fields = fields_of(content)
        except Inexpressible as error:
            return Rejected("content.unsupported_by_provider", f"Twilio cannot carry {error}.")
        form = f"{self.form}{attempt}&To={quote_plus(f'whatsapp:{to}')}&{urlencode(fields)}"
        return Request(self.url, self.head, form.encode())

    def judge(self, status: int, body: bytes, retry_after: str | None) -> Outcome:
        return outcome_of(status, body, retry_after)
