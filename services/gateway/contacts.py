"""Contacts: created, changed, erased, one or ten thousand at a time.

A contact is matched by any of its identifiers. What a batch does it does as if one of its items came after the other: an item can
change the contact that an earlier one has made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

import asyncpg

from services.gateway.domain.consent import Word
from services.gateway.domain.contact import Change, Contact, Identifier, Kind, changed
from services.gateway.store import contacts as store
from services.gateway.store import kept_opt_outs
from shared.bus.outbox import Unit
from shared.db.pool import Connection
from shared.errors import FieldError, Rejected
from shared.events.catalogue import ContactConsentChanged
from shared.events.values import Consent, ConsentScope
from shared.ids import TenantId, new_id
from shared.phones import spellings
from shared.telemetry.tracing import current_traceparent

_TRIES: Final = 5
_SLICE: Final = 500
"""Items after which others have their turn on the loop."""


class Channel(StrEnum):
    """How consent became known."""

    KEYWORD = "keyword"
    PROVIDER = "provider"
    API = "api"
    IMPORT = "import"


class Outcome(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Done:
    """What became of an item."""

    contact_id: str
    outcome: Outcome


Result = Done | list[FieldError]
"""Pointers are relative to the item."""

_ADDRESSES: Final[tuple[Kind, ...]] = ("phone", "user_id")
"""What messages go to."""
_NOBODY: Final = Contact("", {})
_CONFLICT: Final = FieldError("", "contact.conflict", "its identifiers belong to different contacts")


@dataclass(slots=True)
class _Draft:
    """Contacts on the table: as they were found, as they are, who is called what, and what they have said. `kept`: by address, the
    opt-outs of those who were erased."""

    before: dict[str, Contact]
    kept: Mapping[str, Word]
    present: dict[str, Contact] = field(init=False)
    owners: dict[Identifier, str] = field(init=False)
    words: list[store.Spoken] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.present = dict(self.before)
        self.owners = _names(self.before.values())

    def apply(self, change: Change, now: datetime) -> Result:
        """One item, to the contact that it names or to a new one."""
        owners = {self.owners[name] for name in change.names if name in self.owners}
        if len(owners) > 1:
            return [_CONFLICT]
        if owners:
            return self.change(self.present[owners.pop()], change, now)
        return self.change(Contact(new_id("ctc"), {}), change, now)

    def change(self, contact: Contact, change: Change, now: datetime) -> Result:
        """One item, to this contact; nobody else has the names that it brings."""
        kept = self._kept(contact, change)
        heard = contact
        for word in kept:
            heard = replace(heard, standing=heard.standing.heard(word))
        after = changed(heard, change, now)
        if isinstance(after, list):
            return after
        self.words += [(contact.id, word) for word in (*kept, change.word_for(heard)) if word is not None]
        is_new = contact.id not in self.present
        if not is_new and after == contact:
            return Done(contact.id, Outcome.UNCHANGED)
        for name in contact.identifiers.items():
            if after.identifiers.get(name[0]) != name[1]:
                del self.owners[name]
        self.owners.update(dict.fromkeys(after.identifiers.items(), contact.id))
        self.present[contact.id] = after
        return Done(contact.id, Outcome.CREATED if is_new else Outcome.UPDATED)

    def _kept(self, contact: Contact, change: Change) -> Iterable[Word]:
        """What was kept of the addresses that the contact has not had yet; one word where it is the same of both."""
        if not self.kept:
            return ()
        had = contact.identifiers
        new = [a for kind in _ADDRESSES if (a := change.identifiers.get(kind)) is not None and a != had.get(kind)]
        return dict.fromkeys(self.kept[address] for address in new if address in self.kept)


async def upsert(
    unit: Unit, tenant_id: TenantId, items: Sequence[Change | list[FieldError]], *, channel: Channel, now: datetime
) -> list[Result]:
    """Create or change, each by the identifiers it brings; items that are faults already stay what they are.

    Twice does what once does. What others write meanwhile is waited for or seen. Raises asyncpg's `SerializationError` where they
    do not let it come to an end: the same may succeed later (`shared.unavailable`).
    """
    names = {name for item in items if isinstance(item, Change) for name in item.names}
    for _ in range(_TRIES):
        try:
            # A try that fails gives its locks back: the next one takes its own in their order.
            async with unit.connection.transaction():
                found = await store.lock_called(unit.connection, tenant_id, names)
                draft = await _laid_out(unit.connection, tenant_id, found, names)
                results = await _applied(draft, items, now)
                told = await _write(unit.connection, tenant_id, draft, channel, now)
        except (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError):
            continue
        unit.emit(*told)
        return results
    raise asyncpg.SerializationError("others keep writing the same contacts")


async def _applied(draft: _Draft, items: Sequence[Change | list[FieldError]], now: datetime) -> list[Result]:
    results: list[Result] = []
    for start in range(0, len(items), _SLICE):
        some = items[start : start + _SLICE]
        results += [draft.apply(item, now) if isinstance(item, Change) else item for item in some]
        await asyncio.sleep(0)
    return results


async def create(unit: Unit, tenant_id: TenantId, change: Change, *, now: datetime) -> str:
    """A contact that is not there yet; its id. Raises `Rejected` 409 where an identifier is taken, 422 for faults."""
    if await store.lock_called(unit.connection, tenant_id, change.names):
        raise _exists()
    draft = await _laid_out(unit.connection, tenant_id, (), change.names)
    result = draft.apply(change, now)
    if isinstance(result, list):
        raise rejected(result)
    try:
        unit.emit(*await _write(unit.connection, tenant_id, draft, Channel.API, now))
    except asyncpg.UniqueViolationError:
        raise _exists() from None
    return result.contact_id


async def change_one(unit: Unit, tenant_id: TenantId, contact_id: str, change: Change, *, now: datetime) -> bool:
    """Change the contact; False where there is none. Raises `Rejected` 409 where an identifier is another's, 422 for faults."""
    contact = await store.lock(unit.connection, tenant_id, contact_id)
    if contact is None:
        return False
    draft = await _laid_out(unit.connection, tenant_id, [contact], change.names)
    result = draft.change(contact, change, now)
    if isinstance(result, list):
        raise rejected(result)
    try:
        unit.emit(*await _write(unit.connection, tenant_id, draft, Channel.API, now))
    except asyncpg.UniqueViolationError:
        raise Rejected("contact.conflict", "Another contact has one of these identifiers.", 409) from None
    return True


async def call(unit: Unit, tenant_id: TenantId, contact: Contact, name: Identifier, *, channel: Channel, now: datetime) -> bool:
    """Give a locked contact another name in place of the one of that kind; False where another contact has it by now."""
    try:
        async with unit.connection.transaction():
            draft = await _laid_out(unit.connection, tenant_id, [contact], [name])
            draft.change(contact, Change(identifiers=dict([name])), now)
            told = await _write(unit.connection, tenant_id, draft, channel, now)
    except asyncpg.UniqueViolationError:
        return False
    unit.emit(*told)
    return True


async def erase(unit: Unit, tenant_id: TenantId, contact_id: str) -> Sequence[str] | None:
    """Forget the person. Returns the groups they were in; None where there is no such contact. That their addresses have opted out
    is kept, so that whoever comes back with one of them is not written to."""
    contact = await store.lock(unit.connection, tenant_id, contact_id)
    if contact is None:
        return None
    addresses, word = _kept_under(contact), contact.standing.word
    if addresses and word is not None and word.consent is Consent.OPTED_OUT:
        await kept_opt_outs.keep(unit.connection, tenant_id, addresses, word)
    return await store.erase(unit.connection, tenant_id, contact_id)


async def _laid_out(
    connection: Connection, tenant_id: TenantId, found: Sequence[Contact], names: Iterable[Identifier]
) -> _Draft:
    """Locked contacts, and what is kept of the addresses that they have or are to have. Read behind the locks: an erasure that they
    waited for is seen."""
    addresses = {value for kind, value in names if kind in _ADDRESSES}
    for one in found:
        addresses.update(_kept_under(one))
    return _Draft({one.id: one for one in found}, await kept_opt_outs.kept(connection, tenant_id, addresses))


async def _write(
    connection: Connection, tenant_id: TenantId, draft: _Draft, channel: Channel, now: datetime
) -> Sequence[ContactConsentChanged]:
    """All that has changed; returns what is to be told of it. Raises `UniqueViolationError` where somebody else has just given away
    an identifier: the transaction is spoiled then."""
    before = draft.before
    new: list[Contact] = []
    former: list[Contact] = []
    gone: list[store.Named] = []
    named: list[store.Named] = []
    for contact_id, contact in draft.present.items():
        known = before.get(contact_id)
        if known is None:
            new.append(contact)
            named += [(*name, contact_id) for name in contact.identifiers.items()]
        elif known is not contact and known != contact:
            former.append(contact)
            old, names = known.identifiers.items(), contact.identifiers.items()
            gone += [(*name, contact_id) for name in old - names]
            named += [(*name, contact_id) for name in names - old]
    if new:
        await store.insert(connection, tenant_id, new, now)
    await store.update(connection, tenant_id, former, now)
    await store.rename(connection, tenant_id, gone, named)
    await store.record(connection, tenant_id, draft.words)
    if draft.kept and (ended := [address for one in (*new, *former) for address in _opted_in_again(one, draft.kept)]):
        await kept_opt_outs.forget(connection, tenant_id, ended)
    return await _told(tenant_id, before, (*new, *former), channel, now)


def _opted_in_again(contact: Contact, kept: Mapping[str, Word]) -> Iterable[str]:
    """The contact's addresses of which an opt-out was kept that its opt-in ends."""
    word = contact.standing.word
    if word is None or word.consent is not Consent.OPTED_IN:
        return
    for address in _kept_under(contact):
        former = kept.get(address)
        if former is None or word.at <= former.at:
            continue
        # Kept longer than needed harms nobody: an opt-in to marketing alone may be of a contact that was there before.
        if word.scope is ConsentScope.ALL or former.scope is ConsentScope.MARKETING:
            yield address


def _kept_under(contact: Contact) -> Sequence[str]:
    """Under what an opt-out of theirs is kept; one spelling of a number stands for all."""
    return [address for kind in _ADDRESSES if (address := contact.identifiers.get(kind)) is not None]


def _names(contacts: Iterable[Contact]) -> dict[Identifier, str]:
    return {name: contact.id for contact in contacts for name in contact.identifiers.items()}


async def _told(
    tenant_id: TenantId, before: Mapping[str, Contact], after: Sequence[Contact], channel: Channel, now: datetime
) -> Sequence[ContactConsentChanged]:
    """What holds now, where it did not before, or holds for another address now. Of each address that messages go to: the spellings
    of a number that WhatsApp takes for the same line, and the business-scoped user id."""
    told: list[ContactConsentChanged] = []
    traceparent = current_traceparent()
    for index, contact in enumerate(after):
        if index % _SLICE == _SLICE - 1:
            await asyncio.sleep(0)
        changed_at = _changed_at(before.get(contact.id) or _NOBODY, contact, now)
        word = contact.standing.word
        if changed_at is None or word is None:
            continue
        told += [
            ContactConsentChanged(
                tenant_id=tenant_id,
                traceparent=traceparent,
                contact_id=contact.id,
                phone=address,
                consent=word.consent,
                scope=word.scope,
                source=channel.value,
                changed_at=changed_at,
            )
            for address in _addresses(contact) or (None,)
        ]
    return told


def _addresses(contact: Contact) -> tuple[str, ...]:
    phone, user_id = contact.identifiers.get("phone"), contact.identifiers.get("user_id")
    return (*(() if phone is None else spellings(phone)), *(() if user_id is None else (user_id,)))


def _changed_at(before: Contact, after: Contact, now: datetime) -> datetime | None:
    """When what holds began to hold; None where nothing is to be told."""
    word = after.standing.word
    if word is None:
        return None
    if _differs(before.standing.word, word):
        return after.standing.told_at(before.standing)
    if set(_addresses(after)) <= set(_addresses(before)):
        return None
    # An opt-out comes along to the new address. An opt-in does, but not over what whoever had it has said since.
    return now if word.consent is Consent.OPTED_OUT else word.at


def _differs(former: Word | None, word: Word) -> bool:
    return former is None or (former.consent, former.scope, former.at) != (word.consent, word.scope, word.at)


def rejected(faults: Sequence[FieldError]) -> Rejected:
    """The answer to a request with faults."""
    first = f"{faults[0].pointer or 'The contact'} {faults[0].detail}"
    more = f"; {len(faults) - 1} more in errors" if len(faults) > 1 else ""
    return Rejected("request.invalid", f"{first}{more}.", errors=faults)


def _exists() -> Rejected:
    return Rejected("contact.exists", "A contact with one of these identifiers is there already.", 409)
