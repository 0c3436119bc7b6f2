"""Contacts: created, changed, erased, one or ten thousand at a time.

A contact is matched by any of its identifiers. What a batch does it does as if one of its items came after the other: an item can
change the contact that an earlier one has made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

import asyncpg

from services.gateway.domain.consent import Word
from services.gateway.domain.contact import Change, Contact, Identifier, changed
from services.gateway.domain.phone import spellings
from services.gateway.store import contacts as store
from shared.bus.outbox import Unit
from shared.errors import FieldError, Rejected
from shared.events.catalogue import ContactConsentChanged
from shared.ids import TenantId, new_id
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

_CONFLICT: Final = FieldError("", "contact.conflict", "its identifiers belong to different contacts")


@dataclass(slots=True)
class _Draft:
    """Contacts on the table: as they were found, as they are, who is called what, and what they have said."""

    before: dict[str, Contact]
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
        after = changed(contact, change, now)
        if isinstance(after, list):
            return after
        word = change.word_for(contact)
        if word is not None:
            self.words.append((contact.id, word))
        is_new = contact.id not in self.present
        if not is_new and after == contact:
            return Done(contact.id, Outcome.UNCHANGED)
        for name in contact.identifiers.items():
            if after.identifiers.get(name[0]) != name[1]:
                del self.owners[name]
        self.owners.update(dict.fromkeys(after.identifiers.items(), contact.id))
        self.present[contact.id] = after
        return Done(contact.id, Outcome.CREATED if is_new else Outcome.UPDATED)


async def upsert(
    unit: Unit, tenant_id: TenantId, items: Sequence[Change | list[FieldError]], *, channel: Channel, now: datetime
) -> list[Result]:
    """Create or change, each by the identifiers it brings; items that are faults already stay what they are.

    Twice does what once does. What others write meanwhile is waited for or seen.
    """
    changes = [item for item in items if isinstance(item, Change)]
    names = {name for change in changes for name in change.names}
    for attempt in range(_TRIES):
        draft = _Draft({one.id: one for one in await store.lock_called(unit.connection, tenant_id, names)})
        results: list[Result] = []
        for index, item in enumerate(items):
            results.append(draft.apply(item, now) if isinstance(item, Change) else item)
            if index % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
        try:
            await _write(unit, tenant_id, draft, channel, now)
        except asyncpg.UniqueViolationError:
            if attempt == _TRIES - 1:
                raise _busy() from None
        else:
            return results
    raise AssertionError  # the last try returned or raised


async def create(unit: Unit, tenant_id: TenantId, change: Change, *, now: datetime) -> str:
    """A contact that is not there yet; its id. Raises `Rejected` 409 where an identifier is taken, 422 for faults."""
    if await store.lock_called(unit.connection, tenant_id, change.names):
        raise _exists()
    draft = _Draft({})
    result = draft.apply(change, now)
    if isinstance(result, list):
        raise rejected(result)
    try:
        await _write(unit, tenant_id, draft, Channel.API, now)
    except asyncpg.UniqueViolationError:
        raise _exists() from None
    return result.contact_id


async def change_one(unit: Unit, tenant_id: TenantId, contact_id: str, change: Change, *, now: datetime) -> bool:
    """Change the contact; False where there is none. Raises `Rejected` 409 where an identifier is another's, 422 for faults."""
    contact = await store.lock(unit.connection, tenant_id, contact_id)
    if contact is None:
        return False
    draft = _Draft({contact_id: contact})
    result = draft.change(contact, change, now)
    if isinstance(result, list):
        raise rejected(result)
    try:
        await _write(unit, tenant_id, draft, Channel.API, now)
    except asyncpg.UniqueViolationError:
        raise Rejected("contact.conflict", "Another contact has one of these identifiers.", 409) from None
    return True


async def erase(unit: Unit, tenant_id: TenantId, contact_id: str) -> bool:
    """Forget the person; False where there is no such contact. That a phone number has opted out stays known to those who send."""
    if await store.lock(unit.connection, tenant_id, contact_id) is None:
        return False
    return await store.erase(unit.connection, tenant_id, contact_id)


async def _write(unit: Unit, tenant_id: TenantId, draft: _Draft, channel: Channel, now: datetime) -> None:
    """All that has changed, or nothing. Raises `UniqueViolationError` where somebody else has just given away an identifier."""
    before, present = draft.before, draft.present
    new = [contact for contact_id, contact in present.items() if contact_id not in before]
    former = [contact for contact_id, contact in present.items() if contact_id in before and contact != before[contact_id]]
    connection = unit.connection
    async with connection.transaction():
        if new:
            await store.insert(connection, tenant_id, new, now)
        await store.update(connection, tenant_id, former, now)
        old, names = _names(before[contact.id] for contact in former), _names((*new, *former))
        await store.rename(connection, tenant_id, old.items() - names.items(), names.items() - old.items())
        await store.record(connection, tenant_id, draft.words)
    unit.emit(*_told(tenant_id, before, (*new, *former), channel, now))


def _names(contacts: Iterable[Contact]) -> dict[Identifier, str]:
    return {name: contact.id for contact in contacts for name in contact.identifiers.items()}


def _told(
    tenant_id: TenantId, before: Mapping[str, Contact], after: Iterable[Contact], channel: Channel, now: datetime
) -> Iterable[ContactConsentChanged]:
    """What holds now, where it did not before, or holds for another phone number now. To each spelling of a number that WhatsApp
    takes for the same line."""
    for contact in after:
        word = contact.standing.word
        if word is None:
            continue
        former = before.get(contact.id) or Contact(contact.id, {})
        phone = contact.identifiers.get("phone")
        if _differs(former.standing.word, word):
            changed_at = contact.standing.told_at(former.standing)
        elif phone is not None and former.identifiers.get("phone") != phone:
            changed_at = now
        else:
            continue
        for spelling in (None,) if phone is None else spellings(phone):
            yield ContactConsentChanged(
                tenant_id=tenant_id,
                traceparent=current_traceparent(),
                contact_id=contact.id,
                phone=spelling,
                consent=word.consent,
                scope=word.scope,
                source=channel.value,
                changed_at=changed_at,
            )


def _differs(former: Word | None, word: Word) -> bool:
    return former is None or (former.consent, former.scope, former.at) != (word.consent, word.scope, word.at)


def rejected(faults: Sequence[FieldError]) -> Rejected:
    """The answer to a request with faults."""
    first = f"{faults[0].pointer or 'The contact'} {faults[0].detail}"
    more = f"; {len(faults) - 1} more in errors" if len(faults) > 1 else ""
    return Rejected("request.invalid", f"{first}{more}.", errors=faults)


def _exists() -> Rejected:
    return Rejected("contact.exists", "A contact with one of these identifiers is there already.", 409)


def _busy() -> Rejected:
    return Rejected("contact.busy", "Others write the same contacts; try again.", 503, retry_after_seconds=1)
