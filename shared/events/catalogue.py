"""Every event of the platform, declared once. `docs/asyncapi.json` and the golden schemas are generated from here."""

from __future__ import annotations

from pydantic import AwareDatetime

from shared.events.event import Event
from shared.events.values import (
    Audience,
    Consent,
    ConsentScope,
    Content,
    DeliveryStatus,
    Gate,
    Hours,
    OnUnknown,
    Profile,
    Provider,
    Recipient,
    Tier,
    Variant,
    WindowPolicy,
)
from shared.ids import MessageId, NumberId
from shared.personal import Personal

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
    provider: Provider = Provider.CLOUD_API
    account_id: str | None = None
    """The WhatsApp Business Account; with Twilio the account's SID."""
    display_number: str | None = None
    """E.164 with the plus sign; the business's own, so not personal."""
    callback_url: str | None = None
    """Where a provider that is told with each message shall report on it."""
    profile: Profile = Profile.CLOUD
    calls_per_hour: int | None = None
    """None: no limit but the number's rate."""
    portfolio_id: str | None = None
    """The business portfolio whose numbers share a messaging limit; None: the account."""
    unique_users_per_day: int | None = None
    """The portfolio's messaging limit: users written to outside a customer service window in any 24 hours. None: no limit."""
    paused: str | None = None
    """The code of the reason why nothing is sent from it; None: it is not paused."""
    window_policy: WindowPolicy = WindowPolicy.ENFORCE
    connected_at: AwareDatetime | None = None
    """When it was connected first; None from before this was told: then no window is enforced."""


class MessageAccepted(Event, name="message.accepted", version=1, owner="gateway"):
    """A tenant's message passed admission and is stored; whoever owns time may release it."""

    message_id: MessageId
    number_id: NumberId
    to: Personal[str]
    """E.164 with the plus sign; a business-scoped user id (`US.…`); or `group:` and the id of a WhatsApp group."""
    content: Personal[Content]
    """Files of ours by their ids (`med_…`), quoted or reacted-to messages of ours by theirs (`msg_…`): the sender puts the
    provider's in their place."""
    tier: Tier = Tier.NORMAL
    not_before: AwareDatetime
    """Earliest moment to send."""
    expires_at: AwareDatetime | None = None
    on_unknown: OnUnknown = OnUnknown.WAIT
    run_id: str | None = None
    """The scheduler's run that asked for it (`message.requested`)."""
    needs_consent: bool = True
    """False: sent in spite of an opt-out."""
    hours: Hours | None = None
    """When it may leave; None: at any hour."""


class MessageCancelRequested(Event, name="message.cancel_requested", version=1, owner="gateway"):
    """The tenant wants a message not to leave; it is canceled where it has not been released yet."""

    message_id: MessageId


class MessageReceived(Event, name="message.received", version=1, owner="gateway"):
    """Somebody wrote to a business number."""

    number_id: NumberId
    wamid: str
    sender: Personal[str]
    """E.164 with the plus sign; the business-scoped user id (`US.…`) where the provider does not tell the phone number."""
    sender_name: Personal[str] | None = None
    content: Personal[Content]
    received_at: AwareDatetime
    """The provider's time."""
    user_id: Personal[str] | None = None
    """The business-scoped user id, where the provider tells it."""
    username: Personal[str] | None = None
    """Without the @."""
    group_id: str | None = None
    """The WhatsApp group that it was written in."""
    is_history: bool = False
    """From before the number was connected (coexistence): nobody waits for an answer to it."""
    is_over_rate: bool = False
    """More than the user's messages per minute; kept and told as any other, for those who answer by machine to leave alone."""


class MessageEchoed(Event, name="message.echoed", version=1, owner="gateway"):
    """The business wrote from the WhatsApp Business app of the number (coexistence)."""

    number_id: NumberId
    wamid: str
    to: Personal[str]
    """As `message.received` has its sender."""
    content: Personal[Content]
    sent_at: AwareDatetime
    """The provider's time."""
    is_history: bool = False


class MessageEdited(Event, name="message.edited", version=1, owner="gateway"):
    """Somebody changed what they had written. `wamid` is the message's own, not the edit's."""

    number_id: NumberId
    wamid: str
    content: Personal[Content]
    edited_at: AwareDatetime
    """The provider's time."""


class MessageRevoked(Event, name="message.revoked", version=1, owner="gateway"):
    """Somebody took back what they had written, for everyone. `wamid` is the message's own."""

    number_id: NumberId
    wamid: str
    revoked_at: AwareDatetime
    """The provider's time."""


class MediaStored(Event, name="media.stored", version=1, owner="gateway"):
    """A file is in the object store: uploaded by the tenant, or fetched because somebody sent it."""

    media_id: str
    object_key: str
    mime_type: str
    size_bytes: int
    sha256: str
    """Hex."""
    file_name: Personal[str] | None = None
    number_id: NumberId | None = None
    """The number that it was sent to; with `wamid`."""
    wamid: str | None = None
    """The inbound message that it belongs to."""


class MediaDeleted(Event, name="media.deleted", version=1, owner="gateway"):
    """A file that was in the object store was deleted, by its tenant. It may be told before `media.stored` is."""

    media_id: str


class MediaLost(Event, name="media.lost", version=1, owner="gateway"):
    """A file that somebody sent cannot be fetched and will not be tried again."""

    number_id: NumberId
    wamid: str
    code: str


class WebhookSpooled(Event, name="webhook.spooled", version=1, owner="gateway"):
    """A webhook's payload, in the bus's custody while the gateway's database is away."""

    body: Personal[str]
    """Base64 of the signed bytes."""
    came_at: AwareDatetime


class UpdateTold(Event, name="update.told", version=1, owner="gateway"):
    """Something that a tenant wants to hear of, who watches. Told for tenants with callbacks or live readers only."""

    update_id: str
    """`upd_…`; the same update is told under the same id."""
    type: str
    """`message.received`, `message.delivered`, `template.changed` …"""
    number_id: NumberId | None = None
    at: AwareDatetime
    """When it happened: the provider's time where it is the provider's news."""
    data: Personal[Content]
    """In this API's own shapes."""
    graph: Personal[Content] | None = None
    """The same in the Cloud API's shape: `{"entry_id", "field", "value"}`, one update; None where it has none."""


class MessageStatusChanged(Event, name="message.status_changed", version=1, owner="gateway"):
    """The provider reported on a message that we sent. Reports come late, twice and out of order. `sent` is told only where the
    outcome was unknown: otherwise the sender tells it."""

    message_id: MessageId
    attempt: int | None = None
    wamid: str
    status: DeliveryStatus
    status_at: AwareDatetime
    """The provider's time, whole seconds."""
    error_code: str | None = None
    error_detail: str | None = None


class MessageConfirmed(Event, name="message.confirmed", version=1, owner="gateway"):
    """A report proves that the provider has a message whose outcome the sender does not know."""

    message_id: MessageId
    attempt: int
    wamid: str


class MessageRequestRefused(Event, name="message.request_refused", version=1, owner="gateway"):
    """A message that the scheduler asked for was not accepted: it will not exist."""

    message_id: MessageId
    run_id: str
    code: str
    detail: str


class RunReported(Event, name="run.reported", version=1, owner="gateway"):
    """The provider reported on a message of a run. The same as `message.status_changed`, for the few messages that a run counts."""

    run_id: str
    message_id: MessageId
    status: DeliveryStatus
    status_at: AwareDatetime
    """The provider's time, whole seconds."""


class AudienceFound(Event, name="audience.found", version=1, owner="gateway"):
    """A page of an audience. `next_cursor` None: it was the last one."""

    run_id: str
    page: int
    recipients: Personal[list[Recipient]]
    next_cursor: str | None = None
    code: str | None = None
    """There is no audience to be found, and why: a group or a template that does not exist. Then there are no recipients."""
    detail: str | None = None


class ContactConsentChanged(Event, name="contact.consent_changed", version=1, owner="gateway"):
    """Somebody opted in or out. Of two about one address the later `changed_at` counts."""

    contact_id: str
    phone: Personal[str] | None = None
    """The address that it is about: E.164 with the plus sign, or the business-scoped user id. Told once of each that they have."""
    consent: Consent
    scope: ConsentScope = ConsentScope.ALL
    source: str
    """How it became known: `keyword`, `provider`, `api`, `import`."""
    changed_at: AwareDatetime


class TemplateChanged(Event, name="template.changed", version=1, owner="gateway"):
    """What the provider says of a WhatsApp template. Of two about one template the later `changed_at` counts."""

    account_id: str
    """The WhatsApp Business Account."""
    name: str
    language: str
    category: str | None = None
    """Lower case: `marketing`, `utility`, `authentication`."""
    held: str | None = None
    """The code of the reason why it cannot be sent now (`template.paused`); None: it can."""
    changed_at: AwareDatetime


class TenantChanged(Event, name="tenant.changed", version=1, owner="gateway"):
    """A tenant's settings that matter to time. Later `revision`s win."""

    revision: int
    time_zone: str
    hours: Hours | None = None
    """The quiet hours and allowed windows of what has none of its own."""


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
    on_unknown: OnUnknown = OnUnknown.WAIT
    first_due_at: AwareDatetime | None = None
    """Since when it could have been sent, however often it was put back; None from before this was told."""


class MessageCanceled(Event, name="message.canceled", version=1, owner="scheduler"):
    """A message was taken out before it was released; it will not be sent."""

    message_id: MessageId


class MessageExpired(Event, name="message.expired", version=1, owner="scheduler"):
    """A message was not released before its `expires_at`; it will not be sent."""

    message_id: MessageId


class MessageSuppressed(Event, name="message.suppressed", version=1, owner="scheduler"):
    """A message was taken out because its recipient does not want it; it will not be sent."""

    message_id: MessageId
    code: str


class MessageRefused(Event, name="message.refused", version=1, owner="scheduler"):
    """A message was due and could not have been sent: the provider would refuse it. It will not be sent."""

    message_id: MessageId
    code: str
    detail: str


class MessageHeld(Event, name="message.held", version=1, owner="scheduler"):
    """A message that is due waits for something other than room: its template, the end of quiet hours."""

    message_id: MessageId
    code: str
    until: AwareDatetime | None = None
    """None: nobody knows."""


class MessageRequested(Event, name="message.requested", version=1, owner="scheduler"):
    """A schedule or a campaign wants this message sent; it becomes one of the tenant's messages, under the id given here."""

    message_id: MessageId
    run_id: str
    number_id: NumberId
    contact_id: str | None = None
    to: Personal[str]
    content: Personal[Content]
    tier: Tier = Tier.NORMAL
    not_before: AwareDatetime
    expires_at: AwareDatetime | None = None
    on_unknown: OnUnknown = OnUnknown.WAIT
    needs_consent: bool = True
    hours: Hours | None = None
    reference: str | None = None
    metadata: dict[str, str] | None = None


class AudienceWanted(Event, name="audience.wanted", version=1, owner="scheduler"):
    """The scheduler needs a page of an audience, with what is to be said to each."""

    run_id: str
    page: int
    """0 for the first; `audience.found` answers with the same."""
    cursor: str | None = None
    limit: int = 500
    audience: Audience
    variants: list[Variant]
    default_zone: str | None = None
    """For recipients whose zone nobody knows; None: the tenant's."""


# -- sender -------------------------------------------------------------------------------------------------------------------


class MessageSent(Event, name="message.sent", version=1, owner="sender"):
    """The provider took the message under `wamid`."""

    message_id: MessageId
    attempt: int
    wamid: str
    started_at: AwareDatetime
    """When the provider was called."""
    released_at: AwareDatetime | None = None
    """When the scheduler released this attempt; None from before this was told."""


class MessageFailed(Event, name="message.failed", version=1, owner="sender"):
    """The message will not be sent: the provider refused it, or the attempts are used up."""

    message_id: MessageId
    attempt: int
    code: str
    detail: str
    started_at: AwareDatetime
    released_at: AwareDatetime | None = None
    """When the scheduler released this attempt; None from before this was told."""


class MessageDeferred(Event, name="message.deferred", version=1, owner="sender"):
    """The message surely did not leave; it may be tried again from `retry_at` on."""

    message_id: MessageId
    attempt: int
    retry_at: AwareDatetime
    code: str
    counted: bool = True
    """False for a throttle or a crash before the call: it says nothing about the message."""
    gate: Gate | None = None
    """What else cannot leave for the same reason."""
    released_at: AwareDatetime | None = None
    """When the scheduler released this attempt; None from before this was told."""


class MessageUnsettled(Event, name="message.unsettled", version=1, owner="sender"):
    """The provider may or may not have the message; a status report settles it. Told once more when the grace time is over and the
    message's policy is to wait."""

    message_id: MessageId
    attempt: int
    code: str
    started_at: AwareDatetime
    released_at: AwareDatetime | None = None
    """When the scheduler released this attempt; None from before this was told."""


class NumberPaused(Event, name="number.paused", version=1, owner="sender"):
    """The provider takes nothing from a number until somebody repairs what is wrong with it."""

    number_id: NumberId
    revision: int
    """Of the number's record that was used; where a later one exists, it is repaired already."""
    code: str
    detail: str


class CallbacksWatched(Event, name="callbacks.watched", version=1, owner="sender"):
    """Whether a tenant has a callback that is on: only then its updates are told. Later `revision`s win."""

    revision: int
    is_watched: bool
