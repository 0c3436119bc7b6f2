"""Contacts and what they are called by, in bulk."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
import orjson

from services.gateway.domain.consent import Standing, Word
from services.gateway.domain.contact import Contact, Identifier, Kind, name_key
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.events.values import Consent, ConsentScope
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("contacts.sql"))
LOCK_CALLED: Final = sql["lock_contacts_called"]
LOCK_CONTACT: Final = sql["lock_contact"]
SELECT_BY_ID: Final = sql["select_contacts_by_id"]
SELECT_IDENTIFIERS: Final = sql["select_identifiers"]
SELECT_CALLED: Final = sql["select_called"]
UPDATE_CONTACTS: Final = sql["update_contacts"]
DELETE_IDENTIFIERS: Final = sql["delete_identifiers"]
INSERT_CONSENTS: Final = sql["insert_consents"]
SELECT_CONSENTS: Final = sql["select_consents"]
SELECT_CONTACTS: Final = sql["select_contacts"]
SELECT_BY_CONSENT: Final = sql["select_contacts_by_consent"]
SELECT_BY_NAME: Final = sql["select_contacts_by_name"]
SELECT_UPDATED: Final = sql["select_contacts_updated"]
ERASE_CONTACT: Final = sql["erase_contact"]

_CONSENTS: Final = {consent.value: consent for consent in Consent}

AFTER_ALL: Final = "~"
"""Greater than every id, for the first page of a descending list."""
BEHIND: Final = "\U0010ffff"
"""Sorts behind every character that a name holds."""

_COLUMNS: Final = (
    "id", "name", "name_key", "language", "time_zone", "attributes", "consent", "consent_scope", "consent_source", "consent_at",
    "general", "general_at", "general_source", "marketing", "marketing_at", "marketing_source",
)  # fmt: skip

Named = tuple[Kind, str, str]
"""An identifier's kind and value, and the id of the contact called so."""
Spoken = tuple[str, Word]
"""A contact's id and a word of theirs."""


class Stored(NamedTuple):
    """A contact with the times of its row."""

    contact: Contact
    created_at: datetime
    updated_at: datetime


async def lock_called(connection: Connection, tenant_id: TenantId, names: Collection[Identifier]) -> list[Contact]:
    """The contacts called by any of these, each nobody else's to change until the transaction ends."""
    if not names:
        return []
    ids = await connection.fetch(LOCK_CALLED, tenant_id, *zip(*names, strict=True))
    return [stored.contact for stored in await find(connection, tenant_id, [row["id"] for row in ids])]


async def lock(connection: Connection, tenant_id: TenantId, contact_id: str) -> Contact | None:
    """The contact, nobody else's to change until the transaction ends."""
    if await connection.fetchval(LOCK_CONTACT, tenant_id, contact_id) is None:
        return None
    return (await find(connection, tenant_id, [contact_id]))[0].contact


async def find(connection: Connection | Pool, tenant_id: TenantId, ids: Sequence[str]) -> list[Stored]:
    """Those that are there. What was locked before is seen as it is since, which the locking statement itself would not tell."""
    return [] if not ids else await _whole(connection, tenant_id, await connection.fetch(SELECT_BY_ID, tenant_id, ids))


async def called(pool: Pool, tenant_id: TenantId, name: Identifier) -> str | None:
    """The id of the contact called so."""
    found: str | None = await pool.fetchval(SELECT_CALLED, tenant_id, *name)
    return found


async def insert(connection: Connection, tenant_id: TenantId, contacts: Iterable[Contact], now: datetime) -> None:
    """New contacts, without what they are called by."""
    await connection.copy_records_to_table(
        "contacts",
        columns=(*_COLUMNS, "tenant_id", "created_at", "updated_at"),
        records=((*_record(contact), tenant_id, now, now) for contact in contacts),
    )


async def update(connection: Connection, tenant_id: TenantId, contacts: Sequence[Contact], now: datetime) -> None:
    """Locked contacts, without what they are called by."""
    if contacts:
        await connection.execute(UPDATE_CONTACTS, tenant_id, now, *zip(*map(_record, contacts), strict=True))


async def rename(connection: Connection, tenant_id: TenantId, gone: Sequence[Named], new: Sequence[Named]) -> None:
    """What locked contacts are called by. Raises `UniqueViolationError` where another transaction has just given one to another
    contact."""
    if gone:
        await connection.execute(DELETE_IDENTIFIERS, tenant_id, *zip(*gone, strict=True))
    if new:
        # In one order, so that two batches never wait for each other.
        await connection.copy_records_to_table(
            "contact_identifiers",
            columns=("tenant_id", "kind", "value", "contact_id"),
            records=[(tenant_id, *named) for named in sorted(new)],
        )


async def record(connection: Connection, tenant_id: TenantId, words: Sequence[Spoken]) -> None:
    """The history."""
    if words:
        rows = [(contact_id, word.at, word.scope, word.consent, word.source) for contact_id, word in words]
        await connection.execute(INSERT_CONSENTS, tenant_id, *zip(*rows, strict=True))


async def history(
    pool: Pool, tenant_id: TenantId, contact_id: str, *, before: tuple[datetime, str, str], limit: int
) -> list[asyncpg.Record]:
    """The contact's words, latest first."""
    return await pool.fetch(SELECT_CONSENTS, tenant_id, contact_id, *before, limit)


async def page(pool: Pool, tenant_id: TenantId, *, before: str | None, limit: int, consent: Consent | None) -> list[Stored]:
    """Newest first."""
    if consent is None:
        rows = await pool.fetch(SELECT_CONTACTS, tenant_id, before or AFTER_ALL, limit)
    else:
        rows = await pool.fetch(SELECT_BY_CONSENT, tenant_id, before or AFTER_ALL, limit, consent)
    return await _whole(pool, tenant_id, rows)


async def page_by_name(
    pool: Pool, tenant_id: TenantId, beginning: str, *, after: tuple[str, str], limit: int, consent: Consent | None
) -> list[Stored]:
    """Those whose folded name begins so, in the order of names."""
    rows = await pool.fetch(SELECT_BY_NAME, tenant_id, *after, limit, beginning, beginning + BEHIND, consent)
    return await _whole(pool, tenant_id, rows)


async def page_updated(
    pool: Pool, tenant_id: TenantId, *, after: tuple[datetime, str], limit: int, consent: Consent | None
) -> list[Stored]:
    """In the order in which they were changed."""
    rows = await pool.fetch(SELECT_UPDATED, tenant_id, *after, limit, consent)
    return await _whole(pool, tenant_id, rows)


async def erase(connection: Connection, tenant_id: TenantId, contact_id: str) -> Sequence[str] | None:
    """All that is known of a locked contact. Returns the groups it was in; None where there was none."""
    groups: Sequence[str] | None = await connection.fetchval(ERASE_CONTACT, tenant_id, contact_id)
    return groups


async def _whole(connection: Connection | Pool, tenant_id: TenantId, rows: Sequence[asyncpg.Record]) -> list[Stored]:
    """The contacts of these rows, in their order, with what they are called by."""
    names: dict[str, dict[Kind, str]] = {row["id"]: {} for row in rows}
    for row in await connection.fetch(SELECT_IDENTIFIERS, tenant_id, list(names)) if names else ():
        names[row["contact_id"]][row["kind"]] = row["value"]
    return [Stored(_contact(row, names[row["id"]]), row["created_at"], row["updated_at"]) for row in rows]


def _contact(row: asyncpg.Record, names: dict[Kind, str]) -> Contact:
    attributes = row["attributes"]
    return Contact(
        id=row["id"],
        identifiers=names,
        name=row["name"],
        language=row["language"],
        time_zone=row["time_zone"],
        attributes={} if attributes == "{}" else orjson.loads(attributes),
        standing=Standing(
            _word(row["general"], ConsentScope.ALL, row["general_at"], row["general_source"]),
            _word(row["marketing"], ConsentScope.MARKETING, row["marketing_at"], row["marketing_source"]),
        ),
    )


def _word(consent: str | None, scope: ConsentScope, at: datetime, source: str) -> Word | None:
    return None if consent is None else Word(_CONSENTS[consent], scope, at, source)


def _record(contact: Contact) -> tuple[object, ...]:
    standing = contact.standing
    word, general, marketing = standing.word, standing.general, standing.marketing
    nothing = (None, None, None)
    return (
        contact.id,
        contact.name,
        None if contact.name is None else name_key(contact.name),
        contact.language,
        contact.time_zone,
        orjson.dumps(contact.attributes).decode(),
        standing.consent,
        standing.scope,
        *((None, None) if word is None else (word.source, word.at)),
        *(nothing if general is None else (general.consent, general.at, general.source)),
        *(nothing if marketing is None else (marketing.consent, marketing.at, marketing.source)),
    )
