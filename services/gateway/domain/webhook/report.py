"""One status of one message, with all that the provider says beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from services.gateway.domain.webhook.origin import Origin
from services.gateway.domain.webhook.people import People
from services.gateway.domain.webhook.values import at as at_path
from services.gateway.domain.webhook.values import moment, phone, text, user_id, word
from shared.events.values import DeliveryStatus
from shared.ids import MessageId


class Pricing(NamedTuple):
    """What a message is charged as, as the provider writes it."""

    billable: bool | None
    model: str | None
    kind: str | None
    category: str | None


class Conversation(NamedTuple):
    """What a message is charged with."""

    id: str
    origin: str | None
    expires_at: datetime | None


class Fault(NamedTuple):
    """One of `errors`."""

    code: int
    title: str | None
    detail: str | None


class Report(NamedTuple):
    """One status of one message. `attempt` is there where the message left with our name on it. What few ask for is read when it is
    asked for. Holds whose message it is, which its `repr` does not show."""

    phone_number_id: str
    wamid: str
    status: DeliveryStatus
    at: datetime
    message_id: MessageId | None
    attempt: int | None
    error_code: str | None
    origin: Origin
    raw: Mapping[str, Any]
    people: People

    def __repr__(self) -> str:
        return f"<Report {self.wamid} {self.status}>"

    @property
    def contact(self) -> Mapping[str, Any] | None:
        """The entry of `contacts` of the recipient; of a group's, of the participant whom it is about."""
        raw = self.raw
        if raw.get("recipient_type") != "group":
            return self.people.contact(phone(raw.get("recipient_id")), user_id(raw.get("recipient_user_id")))
        number = phone(raw.get("recipient_participant_id")) or phone(raw.get("participant_recipient_id"))
        return self.people.contact(number, user_id(raw.get("recipient_participant_user_id")))

    @property
    def provider_status(self) -> str:
        """The provider's word: `played`, say, which is `read` to us."""
        return str(self.raw["status"])

    @property
    def participant(self) -> str | None:
        """Who of a group it is about."""
        for key in ("recipient_participant_user_id", "recipient_participant_id", "participant_recipient_id"):
            who = word(self.raw.get(key))
            if who is not None:
                return who
        return None

    @property
    def recipient(self) -> str | None:
        """E.164 with the plus sign, else the business-scoped user id, else the group as we address it."""
        if self.raw.get("recipient_type") == "group":
            group = word(self.raw.get("recipient_id"))
            return None if group is None else f"group:{group}"
        return phone(self.raw.get("recipient_id")) or user_id(self.raw.get("recipient_user_id"))

    @property
    def callback_data(self) -> str | None:
        """What the message was sent with."""
        return text(self.raw.get("biz_opaque_callback_data"))

    @property
    def faults(self) -> Sequence[Fault]:
        """Why it failed."""
        return faults_of(self.raw.get("errors"))

    @property
    def error_detail(self) -> str | None:
        """The first of them in words."""
        return next((fault.detail or fault.title for fault in self.faults), None)

    @property
    def pricing(self) -> Pricing | None:
        told = self.raw.get("pricing")
        if not isinstance(told, dict):
            return None
        billable = told.get("billable")
        return Pricing(
            billable if isinstance(billable, bool) else None,
            word(told.get("pricing_model")),
            word(told.get("type")),
            word(told.get("category")),
        )

    @property
    def conversation(self) -> Conversation | None:
        told = self.raw.get("conversation")
        name = word(told.get("id")) if isinstance(told, dict) else None
        if not isinstance(told, dict) or name is None:
            return None
        return Conversation(name, word(at_path(told, "origin", "type")), moment(told.get("expiration_timestamp")))

    @property
    def key(self) -> tuple[str, str, datetime, str | None]:
        """Names it among all reports, however often it comes."""
        return self.wamid, self.provider_status, self.at, self.participant


def faults_of(errors: Any) -> list[Fault]:
    """Those whose code can be read."""
    found = []
    for error in errors if isinstance(errors, list) else ():
        code = error.get("code") if isinstance(error, dict) else None
        if isinstance(code, int) and not isinstance(code, bool) and abs(code) < 2**63:
            found.append(Fault(code, text(error.get("title")), text(at_path(error, "error_data", "details"))))
    return found
