"""What events say, beyond texts and times: words with a fixed meaning, and values that several events share."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any, Final

from pydantic import AwareDatetime, Field

from shared.personal import Model, Personal

UPDATE_TYPES: Final = (
    "message.received", "message.echoed", "message.edited", "message.revoked",
    "message.sent", "message.delivered", "message.read", "message.failed", "message.unknown", "message.canceled", "message.expired",
    "message.suppressed",
    "media.stored", "media.lost", "template.changed", "account.reported", "contact.identity_changed", "contact.consent_changed",
)  # fmt: skip
"""Types of the updates that have words of this API's own. Beside them there is `provider.` and the field of a webhook, for what
only the provider has words for."""


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


class Provider(StrEnum):
    """Whose API a number's messages go through."""

    CLOUD_API = "cloud_api"
    TWILIO = "twilio"


class Profile(StrEnum):
    """How the tiers share a number. `cloud`: any of them may use the whole rate, less a part that the more urgent keep free for
    themselves; `device`: each has its own limit per minute, as a linked phone needs."""

    CLOUD = "cloud"
    DEVICE = "device"


class OnUnknown(StrEnum):
    """What to do when nobody has reported on a message of unknown outcome within the grace time."""

    WAIT = "wait"
    """Say so and send nothing: a later report still settles it."""
    RESEND = "resend"
    """Send it again, once; it may arrive twice."""


class Gate(Model):
    """Nothing of `scope` from `tier` to `last_tier`, or to the least urgent, can leave before `until`. A scope is a number's id, a
    tenant's id, or `*` for everything."""

    scope: str
    tier: Tier
    last_tier: Tier = Tier.LOW
    until: AwareDatetime


Content = dict[str, Any]
"""`{"type": "text", "text": {"body": …}}`: the Cloud API's own shape, the same in requests, events and rows."""


class Consent(StrEnum):
    """Whether somebody wants to be written to."""

    UNKNOWN = "unknown"
    OPTED_IN = "opted_in"
    OPTED_OUT = "opted_out"


class ConsentScope(StrEnum):
    """What an opt-out is about."""

    ALL = "all"
    MARKETING = "marketing"
    """Templates of the category `marketing` only: what WhatsApp's own switch turns off (`user_preferences`)."""


class WindowPolicy(StrEnum):
    """What becomes of free-form content outside the customer service window (24 h from the user's last message)."""

    ENFORCE = "enforce"
    """Refused before the provider would. Only once the number has been connected for 24 h: before that nobody can know."""
    IGNORE = "ignore"
    """Sent; the provider decides."""


class DailySpan(Model):
    """A part of each of `days` (1 Monday … 7 Sunday). One whose `end` is not after its `start` passes midnight and belongs to the
    day on which it starts."""

    start: str = Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")
    end: str = Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")
    days: list[int] = Field(default_factory=lambda: [1, 2, 3, 4, 5, 6, 7], min_length=1, max_length=7)


class Hours(Model):
    """When a message may leave, in the local time of `zone`: never within `quiet`; where `allowed` is not empty, only within it."""

    zone: str
    """IANA name."""
    quiet: list[DailySpan] = Field(default_factory=list)
    allowed: list[DailySpan] = Field(default_factory=list)


class NamedRecipient(Model):
    """Somebody named in a request."""

    to: Personal[str]
    variables: Personal[dict[str, str]] = Field(default_factory=dict)


class Audience(Model):
    """To whom: the union of all that is given, each phone number once."""

    group_ids: list[str] = Field(default_factory=list)
    contact_ids: list[str] = Field(default_factory=list)
    segment_id: str | None = None
    filter: dict[str, Any] | None = None
    """A segment's filter, given in place."""
    recipients: Personal[list[NamedRecipient]] = Field(default_factory=list)


class Variant(Model):
    """What to say, to a share of the audience by weight. One of `content` (the Cloud API's shape; `{{name}}` in its texts is a
    variable), `template_id` and `message_id` (a draft, or a message whose content is said again)."""

    name: str = "a"
    weight: int = Field(default=1, ge=0)
    content: Personal[Content] | None = None
    template_id: str | None = None
    message_id: str | None = None
    variables: Personal[dict[str, str]] = Field(default_factory=dict)


class Recipient(Model):
    """One of an audience. `content` is rendered; where it cannot be, `fault` says why, by a code."""

    contact_id: str | None = None
    to: Personal[str]
    """E.164 with the plus sign; as it was given, where the fault is that it is none."""
    zone: str
    """IANA name: the contact's own, else its number's country's, else the tenant's."""
    variant: int = 0
    content: Personal[Content] | None = None
    fault: str | None = None
    detail: str | None = None
