"""Updates: what tenants who watch are told, composed of facts in this API's own shapes (`data`) and, where the provider has the
like, in the provider's (`graph`, `domain/graph_update.py`). Pure.

An update whose `data` is empty is for readers of the provider's form only: a report of what is known already, or a change that
means nothing here, whose type is `provider.` and the webhook's field.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

from services.gateway.domain import graph_update
from services.gateway.domain.graph_update import Place, Raw
from services.gateway.domain.state import Change, State
from services.gateway.domain.status import Status
from shared.events.catalogue import (
    ContactConsentChanged,
    MediaLost,
    MediaStored,
    MessageEchoed,
    MessageEdited,
    MessageReceived,
    MessageRevoked,
)
from shared.ids import MessageId, NumberId, TenantId

_PROGRESS: Final = frozenset({Status.SENT, Status.DELIVERED, Status.READ})
"""States that tenants are told of whenever they become known."""
_ENDS: Final = frozenset({Status.FAILED, Status.EXPIRED, Status.CANCELED, Status.SUPPRESSED})
"""States that tenants are told of where the message stays in them, and `unknown` too."""
_GRAPH_ONLY: Final = "provider."
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuv"

Saying = MessageReceived | MessageEchoed | MessageEdited | MessageRevoked


class Own(NamedTuple):
    """What is known of a message of ours. `wamid` is the one that its sender knows it by, None before the provider has it; `graph`
    the front door's record, None for what came another way."""

    message_id: MessageId
    to: str
    reference: str | None = None
    metadata: dict[str, str] | None = None
    run_id: str | None = None
    graph: Raw | None = None
    wamid: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Update:
    """One update, not yet anybody's. `key` tells it from all others of its tenant, type and time. Holds personal data, so it has no
    `repr`."""

    type: str
    key: str
    at: datetime
    data: dict[str, Any] = field(default_factory=dict)
    graph: dict[str, Any] | None = None
    number_id: NumberId | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Reported:
    """A message of ours is in a state. `raw` is the provider's report and `contact` its entry of `contacts`, where it is the
    provider who says so; `is_new` False: it is known already, so only readers of the provider's form hear of it."""

    tenant_id: TenantId
    number_id: NumberId
    message_id: MessageId
    status: Status
    at: datetime
    wamid: str | None = None
    code: str | None = None
    detail: str | None = None
    raw: Raw | None = None
    contact: Raw | None = None
    is_new: bool = True


@dataclass(frozen=True, slots=True, repr=False)
class Heard:
    """Something that was said in a number's conversations, by its event. `raw` is the message and `contact` its entry of
    `contacts`, as the provider wrote them; what is history has its payload passed on whole (`PassedOn`) instead."""

    event: Saying
    raw: Raw | None = None
    contact: Raw | None = None
    is_echo: bool = False
    """True where the business itself said it, from its phone."""


@dataclass(frozen=True, slots=True, repr=False)
class Happened:
    """Something that its event says all of."""

    event: ContactConsentChanged | MediaStored | MediaLost


@dataclass(frozen=True, slots=True, repr=False)
class AccountNews:
    """The provider reports on an account, or on one of its numbers: a restriction, a review, a limit, a quality. `field` and
    `value` as the provider wrote them."""

    tenant_id: TenantId
    account_id: str
    field: str
    value: Raw
    at: datetime
    number_id: NumberId | None = None


@dataclass(frozen=True, slots=True, repr=False)
class IdentityChanged:
    """The provider calls somebody by another number or id from now on. `contact_id` None: nobody whom the tenant has as a contact;
    `kind`: `phone`, `user_id`, or `identity` where who it is may have changed too."""

    tenant_id: TenantId
    contact_id: str | None
    kind: str
    before: str | None
    after: str | None
    at: datetime


@dataclass(frozen=True, slots=True, repr=False)
class TemplateNews:
    """What a webhook says of a template. `field` and `value` as the provider wrote them."""

    tenant_id: TenantId
    account_id: str
    name: str
    language: str
    field: str
    value: Raw
    at: datetime
    status: str | None = None
    category: str | None = None
    quality: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class PassedOn:
    """A change that means nothing to this API: told in the provider's form only."""

    tenant_id: TenantId
    account_id: str
    field: str
    value: Raw
    at: datetime
    number_id: NumberId | None = None


Fact = Reported | Heard | Happened | AccountNews | IdentityChanged | TemplateNews | PassedOn


def update_id(tenant_id: TenantId, update: Update) -> str:
    """The same update of a tenant has the same id whoever composes it; ids sort by the time when it happened."""
    named = orjson.dumps([tenant_id, update.type, update.key, update.at])
    value = int(update.at.timestamp() * 1000) << 80 | int.from_bytes(hashlib.sha256(named).digest()[:10])
    return "upd_" + "".join(_DIGITS[(value << 2) >> shift & 31] for shift in range(125, -1, -5))


def heard(fact: Heard, place: Place | None, wamids: Mapping[str, str]) -> Update:
    """A received, echoed, edited or revoked message. `wamids` are those that the tenant knows other messages by, of those that
    this one may name."""
    event, raw, graph = fact.event, fact.raw, None
    is_history = isinstance(event, MessageReceived | MessageEchoed) and event.is_history
    if raw is not None and place is not None and not is_history:
        message = graph_update.renamed(raw, wamids)
        if fact.is_echo or isinstance(event, MessageEchoed):
            graph = graph_update.echo(place, message, fact.contact)
        else:
            name = event.sender_name if isinstance(event, MessageReceived) else None
            graph = graph_update.inbound(place, message, fact.contact, name)
    # An edit has an id of its own; a file of a history comes under that of its placeholder.
    own, kind = (raw.get("id"), raw.get("type")) if raw is not None else (None, None)
    key = f"{event.number_id} {event.wamid} {own if isinstance(own, str) else ''} {kind if isinstance(kind, str) else ''}"
    return Update(event.event_name, key, _said_at(event), _said(event, wamids), graph, event.number_id)


def _said(event: Saying, wamids: Mapping[str, str]) -> dict[str, Any]:
    said: dict[str, Any] = {"number_id": event.number_id, "provider_id": event.wamid}
    match event:
        case MessageReceived():
            said |= {"from": event.sender, "name": event.sender_name, "user_id": event.user_id, "username": event.username}
            said |= {"group_id": event.group_id, "is_history": event.is_history, "is_over_rate": event.is_over_rate}
        case MessageEchoed():
            said |= {"to": event.to, "is_history": event.is_history}
    if not isinstance(event, MessageRevoked):
        said |= {"type": event.content.get("type"), "content": graph_update.renamed(event.content, wamids)}
    return _present({**said, "at": _text(_said_at(event))})


def _said_at(event: Saying) -> datetime:
    match event:
        case MessageReceived():
            return event.received_at
        case MessageEchoed():
            return event.sent_at
        case MessageEdited():
            return event.edited_at
        case MessageRevoked():
            return event.revoked_at


def reported(fact: Reported, own: Own, place: Place | None) -> Update | None:
    """A state of a message of ours; None where nobody is told anything by it. In the provider's form it is what the provider
    says, and that a message failed which ended before the provider took it."""
    raw = fact.raw
    if raw is None and fact.wamid is None and fact.status in _ENDS:
        code = fact.code or f"message.{fact.status}"
        raw = graph_update.failure(fact.at, own.wamid or own.message_id, own.to, code, fact.detail)
    graph = None
    if raw is not None and place is not None:
        callback_data = own.reference if own.graph is None else own.graph.get("opaque")
        graph = graph_update.report(place, raw, fact.contact, own.wamid, callback_data)
    data = _state(fact, own) if fact.is_new else {}
    if graph is None and not data:
        return None
    said, participant = (None, "") if fact.raw is None else (fact.raw.get("status"), graph_update.participant(fact.raw))
    key = f"{own.message_id} {fact.wamid or ''} {said if isinstance(said, str) else ''} {participant}"
    return Update(f"message.{fact.status}", key, fact.at, data, graph, fact.number_id)


class Moved(NamedTuple):
    """What a message of ours was told: where it stood, where it stands, and what was new of that."""

    tenant_id: TenantId
    message_id: MessageId
    number_id: NumberId
    before: State
    after: State
    new: Collection[Change]


def told_by_us(moved: Moved) -> Iterator[Reported]:
    """What scheduler and sender tell of a message."""
    for change in moved.new:
        is_told = change.status in _PROGRESS or (
            moved.after.status is change.status and (change.status in _ENDS or change.status is Status.UNKNOWN)
        )
        if is_told:
            wamid = change.wamid or moved.after.wamid
            yield Reported(
                moved.tenant_id, moved.number_id, moved.message_id, change.status, change.at, wamid, change.code, change.detail
            )


def _state(fact: Reported, own: Own) -> dict[str, Any]:
    pricing = fact.raw.get("pricing") if fact.raw is not None else None
    return _present(
        {
            "message_id": own.message_id,
            "number_id": fact.number_id,
            "to": own.to,
            "status": fact.status.value,
            "at": _text(fact.at),
            "provider_id": own.wamid or fact.wamid,
            "reference": own.reference,
            "metadata": own.metadata,
            "run_id": own.run_id,
            "error": None if fact.code is None else _present({"code": fact.code, "detail": fact.detail}),
            "pricing": dict(pricing) if isinstance(pricing, Mapping) else None,
        }
    )


def happened(fact: Happened) -> Update:
    """What its event says all of."""
    event, data = fact.event, dict[str, Any]()
    at = event.occurred_at
    match event:
        case ContactConsentChanged():
            at = event.changed_at
            data = {"contact_id": event.contact_id, "phone": event.phone, "consent": event.consent.value}
            data |= {"scope": event.scope.value, "source": event.source}
        case MediaStored():
            data = {"media_id": event.media_id, "mime_type": event.mime_type, "size_bytes": event.size_bytes}
            data |= {"sha256": event.sha256, "file_name": event.file_name, "provider_id": event.wamid}
        case MediaLost():
            data = {"provider_id": event.wamid, "code": event.code}
    number_id = None if isinstance(event, ContactConsentChanged) else event.number_id
    data = _present({"number_id": number_id, **data, "at": _text(at)})
    return Update(event.event_name, _digest(data), at, data, None, number_id)


def account_news(fact: AccountNews) -> Update:
    """What the provider reports on an account or a number, in both forms."""
    members = ("number_id", "account_id", "field", "value")
    data = _present({**{name: getattr(fact, name) for name in members}, "at": _text(fact.at)})
    graph = graph_update.one_update(fact.account_id, fact.field, fact.value)
    return Update("account.reported", _digest(data), fact.at, data, graph, fact.number_id)


def identity_changed(fact: IdentityChanged) -> Update:
    """How somebody is called from now on; the provider's own words for it are passed on beside it."""
    members = ("contact_id", "kind", "before", "after")
    data = _present({**{name: getattr(fact, name) for name in members}, "at": _text(fact.at)})
    return Update("contact.identity_changed", _digest(data), fact.at, data)


def template_news(fact: TemplateNews) -> Update:
    """What became of a template."""
    members = ("account_id", "name", "language", "status", "category", "quality", "reason")
    data = _present({**{name: getattr(fact, name) for name in members}, "at": _text(fact.at)})
    graph = graph_update.one_update(fact.account_id, fact.field, fact.value)
    return Update("template.changed", _digest(graph), fact.at, data, graph)


def passed_on(fact: PassedOn) -> Update:
    """A change in the provider's form only."""
    graph = graph_update.one_update(fact.account_id, fact.field, fact.value)
    return Update(f"{_GRAPH_ONLY}{fact.field}", _digest(graph), fact.at, {}, graph, fact.number_id)


def _present(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _digest(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
