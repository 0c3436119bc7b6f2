"""Every event of the platform, declared once. `docs/asyncapi.json` and the golden schemas are generated from here."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any

from pydantic import AwareDatetime

from shared.events.event import Event
from shared.ids import MessageId, NumberId
from shared.personal import Personal


class Tier(IntEnum):
    """Priority of a message; a smaller number leaves first."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3


class DeliveryStatus(StrEnum):
    """What the provider says of a message after it took it (WhatsApp Cloud API, `statuses[].status`, read 2026-11)."""

    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


Content = dict[str, Any]
"""`{"type": "text", "text": {"body": …}}`: the Cloud API's own shape, the same in requests, events and rows."""


# -- gateway ------------------------------------------------------------------------------------------------------------------


class NumberConnected(Event, name="number.connected", version=1, owner="gateway"):
    """A business number was connected, or its record changed. Later `revision`s win over earlier ones."""

    number_id: NumberId
    revision: int
    phone_number_id: str
    provider_url: str
    sealed_access_token: str
    """Base64 of the AES-256-GCM sealed token; only the sender opens it."""
    messages_per_second: int


class MessageAccepted(Event, name="message.accepted", version=1, owner="gateway"):
    """A tenant's message passed admission and is stored; whoever owns time may release it."""

    message_id: MessageId
    number_id: NumberId
    to: Personal[str]
    """E.164 with the plus sign."""
    content: Personal[Content]
    tier: Tier = Tier.NORMAL
    not_before: AwareDatetime
    """Earliest moment to send."""
    expires_at: AwareDatetime | None = None


class MessageCancelRequested(Event, name="message.cancel_requested", version=1, owner="gateway"):
    """The tenant wants a message not to leave; it is canceled where it has not been released yet."""

    message_id: MessageId


class MessageReceived(Event, name="message.received", version=1, owner="gateway"):
    """Somebody wrote to a business number."""

    number_id: NumberId
    wamid: str
    sender: Personal[str]
    """E.164 with the plus sign."""
    sender_name: Personal[str] | None = None
    content: Personal[Content]
    received_at: AwareDatetime
    """The provider's time."""


class MessageStatusChanged(Event, name="message.status_changed", version=1, owner="gateway"):
    """The provider reported on a message that we sent. Reports come late, twice and out of order."""

    message_id: MessageId
    attempt: int | None = None
    wamid: str
    status: DeliveryStatus
    status_at: AwareDatetime
    """The provider's time, whole seconds."""
    error_code: str | None = None


class MessageConfirmed(Event, name="message.confirmed", version=1, owner="gateway"):
    """A report proves that the provider has a message whose outcome the sender does not know."""

    message_id: MessageId
    attempt: int
    wamid: str


# -- scheduler ----------------------------------------------------------------------------------------------------------------


class MessageReleased(Event, name="message.released", version=1, owner="scheduler"):
    """A message is due and in its number's window: send it now. The same `attempt` may be told twice."""

    message_id: MessageId
    attempt: int
    """1 for the first; the pair (message_id, attempt) is sent at most once."""
    failures: int = 0
    """How many of the earlier attempts count against the message."""
    number_id: NumberId
    to: Personal[str]
    content: Personal[Content]
    tier: Tier = Tier.NORMAL
    expires_at: AwareDatetime | None = None


class MessageCanceled(Event, name="message.canceled", version=1, owner="scheduler"):
    """A message was taken out before it was released; it will not be sent."""

    message_id: MessageId


class MessageExpired(Event, name="message.expired", version=1, owner="scheduler"):
    """A message was not released before its `expires_at`; it will not be sent."""

    message_id: MessageId


# -- sender -------------------------------------------------------------------------------------------------------------------


class MessageSent(Event, name="message.sent", version=1, owner="sender"):
    """The provider took the message under `wamid`."""

    message_id: MessageId
    attempt: int
    wamid: str
    started_at: AwareDatetime
    """When the provider was called."""


class MessageFailed(Event, name="message.failed", version=1, owner="sender"):
    """The message will not be sent: the provider refused it, or the attempts are used up."""

    message_id: MessageId
    attempt: int
    code: str
    detail: str
    started_at: AwareDatetime


class MessageDeferred(Event, name="message.deferred", version=1, owner="sender"):
    """The message surely did not leave; it may be tried again from `retry_at` on."""

    message_id: MessageId
    attempt: int
    retry_at: AwareDatetime
    code: str
    counted: bool = True
    """False for a throttle or a crash before the call: it says nothing about the message."""


class MessageUnsettled(Event, name="message.unsettled", version=1, owner="sender"):
    """The provider may or may not have the message. It is not sent again; a status report settles it."""

    message_id: MessageId
    attempt: int
    code: str
    started_at: AwareDatetime
