"""What people themselves say about being written to: keywords that they send to a number, and WhatsApp's own switch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.gateway import contacts
from services.gateway.contacts import Channel
from services.gateway.domain.consent import Word
from services.gateway.domain.contact import MAX_NAME, Change, Identifier, Kind
from services.gateway.domain.keywords import Keywords, text_of
from services.gateway.domain.phone import parse_phone
from services.gateway.domain.webhook import Inbound, Preference
from services.gateway.store import contacts as store
from services.gateway.store import keywords
from shared.bus.outbox import Unit
from shared.events.values import Consent, ConsentScope
from shared.ids import TenantId
from shared.phones import spellings

_DEFAULT: Final = Keywords.of()


@dataclass(frozen=True, slots=True, repr=False)
class Said:
    """Somebody said something. Holds who, so it has no `repr`."""

    phone: str | None
    user_id: str | None
    name: str | None
    word: Word


async def hear_messages(unit: Unit, inbound: Sequence[tuple[TenantId, Inbound]], now: datetime) -> None:
    """Opt those in or out who wrote one of their tenant's words, at the provider's time. Twice is safe."""
    texts = [(tenant_id, message, text) for tenant_id, message in inbound if (text := text_of(message.content)) is not None]
    if not texts:
        return
    own = await keywords.of_tenants(unit.connection, {tenant_id for tenant_id, _, _ in texts})
    said: dict[TenantId, list[Said]] = {}
    for tenant_id, message, text in texts:
        consent = own.get(tenant_id, _DEFAULT).consent(text)
        if consent is not None:
            word = Word(consent, ConsentScope.ALL, min(message.at, now), Channel.KEYWORD.value)
            phone = message.sender if message.sender != message.user_id else None
            said.setdefault(tenant_id, []).append(Said(phone, message.user_id, message.sender_name, word))
    await _hear(unit, said, Channel.KEYWORD, now)


async def hear_preferences(unit: Unit, preferences: Iterable[tuple[TenantId, Preference]], now: datetime) -> None:
    """Opt those in or out of marketing who have used WhatsApp's switch. Twice is safe."""
    said: dict[TenantId, list[Said]] = {}
    for tenant_id, preference in preferences:
        consent = Consent.OPTED_OUT if preference.stops else Consent.OPTED_IN
        word = Word(consent, ConsentScope.MARKETING, min(preference.at, now), Channel.PROVIDER.value)
        said.setdefault(tenant_id, []).append(Said(preference.phone, preference.user_id, preference.name, word))
    await _hear(unit, said, Channel.PROVIDER, now)


async def _hear(unit: Unit, said: Mapping[TenantId, Sequence[Said]], channel: Channel, now: datetime) -> None:
    for tenant_id, all_said in sorted(said.items()):  # in one order, so that two readers never wait for each other
        known = await store.lock_called(unit.connection, tenant_id, {name for one in all_said for name in _names(one)})
        owners = {name: contact.id for contact in known for name in contact.identifiers.items()}
        changes = [change for one in all_said for change in _changes(one, owners)]
        await contacts.upsert(unit, tenant_id, changes, channel=channel, now=now)


def _names(said: Said) -> Iterable[Identifier]:
    """All that they may be known by."""
    if said.phone is not None:
        yield from (("phone", spelling) for spelling in spellings(parse_phone(said.phone) or said.phone))
    if said.user_id is not None:
        yield "user_id", said.user_id


def _changes(said: Said, owners: Mapping[Identifier, str]) -> Iterable[Change]:
    """The word, to the contact that they are; to both where two contacts have one of their names each, for both are written to.
    Somebody unknown becomes one."""
    called: dict[str, Identifier] = {}
    for name in _names(said):
        if name in owners:
            called.setdefault(owners[name], name)
    if called:
        return [Change(identifiers=dict([name]), word=said.word) for name in called.values()]
    identifiers: dict[Kind, str | None] = {}
    for kind, value in _names(said):
        identifiers.setdefault(kind, value)
    return [Change(identifiers=identifiers, fields={"name": said.name[:MAX_NAME]} if said.name else {}, word=said.word)]
