"""What the provider says of whom people are: other numbers, other ids, names in the phone's address book. Contacts follow; two of
them are never made one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from services.gateway import contacts
from services.gateway.contacts import Channel
from services.gateway.domain.contact import MAX_NAME, Change, Contact, Identifier, Kind
from services.gateway.domain.phone import parse_phone
from services.gateway.domain.update import IdentityChanged
from services.gateway.domain.webhook import BookEntry, IdentityChange, IdentityKind, Inbound
from services.gateway.store import contacts as store
from services.gateway.store import news
from shared.bus.outbox import Unit
from shared.ids import TenantId
from shared.phones import spellings

_PHONE: Final[Kind] = "phone"


class Told(NamedTuple):
    """A change with whose contact it is about."""

    tenant_id: TenantId
    change: IdentityChange


async def hear_identities(unit: Unit, told: Iterable[Told], now: datetime) -> list[IdentityChanged]:
    """Call those by their new names who are contacts, unless another contact has these; returns what there is to tell; each
    tenant's in the order of time. Changes of identity are rare: each is a step of its own."""
    facts = []
    for tenant_id, change in sorted(told, key=lambda one: (one.tenant_id, one.change.at)):
        contact = await _follow(unit, tenant_id, change, now)
        contact_id = None if contact is None else contact.id
        facts.append(IdentityChanged(tenant_id, contact_id, change.kind.value, change.before, change.after, change.at))
    return facts


async def _follow(unit: Unit, tenant_id: TenantId, change: IdentityChange, now: datetime) -> Contact | None:
    """The contact that it is about, changed."""
    old, new = _old_names(change), _new_names(change)
    found = await store.lock_called(unit.connection, tenant_id, {*old, *new})
    contact = _called(found, old)
    if contact is None or not new:
        return contact
    owner = _called(found, new)
    if owner is None:  # else it is called so already, or somebody else is: two contacts stay two
        await contacts.call(unit, tenant_id, contact, new[0], channel=Channel.PROVIDER, now=now)
    return contact


def _old_names(change: IdentityChange) -> list[Identifier]:
    """What they may be known by, the likeliest first."""
    names: list[Identifier] = []
    if change.kind is IdentityKind.USER_ID and change.before is not None:
        names.append(("user_id", change.before))
    if change.phone is not None:
        names += _phones(change.phone)
    if change.user_id is not None:
        names.append(("user_id", change.user_id))
    return names


def _new_names(change: IdentityChange) -> list[Identifier]:
    """What they are to be called, the spelling to keep first."""
    if change.after is None or change.kind is IdentityKind.IDENTITY:
        return []
    return _phones(change.after) if change.kind is IdentityKind.PHONE else [("user_id", change.after)]


def _phones(phone: str) -> list[Identifier]:
    return [("phone", spelling) for spelling in spellings(parse_phone(phone) or phone)]


def _called(found: Sequence[Contact], names: Iterable[Identifier]) -> Contact | None:
    for kind, value in names:
        for contact in found:
            if contact.identifiers.get(kind) == value:
                return contact
    return None


async def hear_book(unit: Unit, entries: Iterable[tuple[TenantId, BookEntry]], now: datetime) -> None:
    """Those in the phone's address book become contacts, named as there where they have no name yet. Who is taken out of it stays
    a contact: what they have said stays said."""
    by_tenant: dict[TenantId, dict[str, BookEntry]] = {}
    for tenant_id, entry in entries:
        if entry.is_added:
            by_tenant.setdefault(tenant_id, {})[parse_phone(entry.phone) or entry.phone] = entry
    for tenant_id, told in sorted(by_tenant.items()):
        names = {spelling: phone for phone in told for spelling in spellings(phone)}
        found = await store.lock_called(unit.connection, tenant_id, [(_PHONE, spelling) for spelling in names])
        # Somebody may have been given another number since they were found, and before they were locked.
        known = {names.get(contact.identifiers.get(_PHONE, "")): contact for contact in found}
        changes = [change for phone, entry in told.items() if (change := _entered(phone, entry, known.get(phone))) is not None]
        if changes:
            await contacts.upsert(unit, tenant_id, changes, channel=Channel.PROVIDER, now=now)


def _entered(phone: str, entry: BookEntry, contact: Contact | None) -> Change | None:
    if contact is not None and (contact.name is not None or entry.full_name is None):
        return None
    called = contact.identifiers["phone"] if contact is not None else phone
    return Change(identifiers={_PHONE: called}, fields={"name": entry.full_name[:MAX_NAME]} if entry.full_name else {})


async def learn_names(unit: Unit, heard: Iterable[tuple[TenantId, Inbound]], now: datetime) -> None:
    """Contacts known by their number only get the user id that the provider names beside it, so that they are known when it names
    nothing else, and the other way round, so that what they say counts for their number too. One statement finds them; where
    nobody is new to it, that is all."""
    named = {
        (tenant_id, message.user_id, spellings(parse_phone(message.sender) or message.sender))
        for tenant_id, message in heard
        if message.user_id is not None and message.sender != message.user_id
    }
    if not named:
        return
    changes: dict[TenantId, dict[str, Change]] = {}
    for row in await news.half_named(unit.connection, named):
        # Of two numbers that are said to be one user the first is believed.
        change = Change(identifiers={_PHONE: row["phone"], "user_id": row["user_id"]})
        changes.setdefault(TenantId(row["tenant_id"]), {}).setdefault(row["user_id"], change)
    for tenant_id, of_tenant in sorted(changes.items()):
        await contacts.upsert(unit, tenant_id, list(of_tenant.values()), channel=Channel.PROVIDER, now=now)
