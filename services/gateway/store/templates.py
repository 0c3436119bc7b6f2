"""Templates of both kinds, drafts, and when the accounts' templates were read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson

from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.events.values import Content
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("templates.sql"))
INSERT_TEXT_TEMPLATE: Final = sql["insert_text_template"]
SELECT_TEMPLATE: Final = sql["select_template"]
LOCK_TEMPLATE: Final = sql["lock_template"]
SELECT_TEMPLATES: Final = sql["select_templates"]
SELECT_TEMPLATES_BY_ID: Final = sql["select_templates_by_id"]
SELECT_TEXTS_NAMED: Final = sql["select_texts_named"]
SELECT_SHAPES: Final = sql["select_shapes"]
UPDATE_TEXT_TEMPLATE: Final = sql["update_text_template"]
DELETE_TEMPLATE: Final = sql["delete_template"]
LOCK_ACCOUNT_TEMPLATES: Final = sql["lock_account_templates"]
LOCK_NOTICED_TEMPLATES: Final = sql["lock_noticed_templates"]
OWN_ACCOUNTS: Final = sql["own_accounts"]
PUT_WHATSAPP_TEMPLATES: Final = sql["put_whatsapp_templates"]
CLAIM_TEMPLATE_ACCOUNT: Final = sql["claim_template_account"]
SETTLE_TEMPLATE_ACCOUNT: Final = sql["settle_template_account"]
MAKE_ACCOUNTS_DUE: Final = sql["make_accounts_due"]
SELECT_TEMPLATE_ACCOUNTS: Final = sql["select_template_accounts"]
SELECT_READING_NUMBER: Final = sql["select_reading_number"]
INSERT_DRAFT: Final = sql["insert_draft"]
SELECT_DRAFT: Final = sql["select_draft"]
LOCK_DRAFT: Final = sql["lock_draft"]
UPDATE_DRAFT: Final = sql["update_draft"]
DELETE_DRAFT: Final = sql["delete_draft"]
SELECT_DRAFTS: Final = sql["select_drafts"]
SELECT_CONTENTS: Final = sql["select_contents"]

Name = tuple[str, str, str, str]
"""A WhatsApp template: tenant, account, name, language."""


async def insert_text(
    connection: Connection,
    template_id: str,
    tenant_id: TenantId,
    name: str,
    language: str,
    body: str,
    defaults: Mapping[str, str],
) -> asyncpg.Record | None:
    """The new template, or None where the name is taken in that language."""
    return await connection.fetchrow(INSERT_TEXT_TEMPLATE, template_id, tenant_id, name, language, body, _json(defaults))


async def find(connection: Connection | Pool, tenant_id: TenantId, template_id: str) -> asyncpg.Record | None:
    """The tenant's template of that id."""
    return await connection.fetchrow(SELECT_TEMPLATE, tenant_id, template_id)


async def lock(connection: Connection, tenant_id: TenantId, template_id: str) -> asyncpg.Record | None:
    """The same, nobody else's to change until the transaction ends."""
    return await connection.fetchrow(LOCK_TEMPLATE, tenant_id, template_id)


async def page(
    pool: Pool, tenant_id: TenantId, *, after: str | None, limit: int, filters: Sequence[str | None]
) -> list[asyncpg.Record]:
    """The tenant's templates, oldest first. `filters`: kind, name, language, status; None for any."""
    return await pool.fetch(SELECT_TEMPLATES, tenant_id, after or "", limit, *filters)


async def by_ids(connection: Connection | Pool, tenant_id: TenantId, ids: Iterable[str]) -> dict[str, asyncpg.Record]:
    """Those of these templates that are there."""
    rows = await connection.fetch(SELECT_TEMPLATES_BY_ID, tenant_id, list(ids))
    return {row["id"]: row for row in rows}


async def texts_named(connection: Connection | Pool, tenant_id: TenantId, names: Iterable[str]) -> list[asyncpg.Record]:
    """The text templates of these names in all languages: name, language, body, defaults."""
    return await connection.fetch(SELECT_TEXTS_NAMED, tenant_id, list(names))


async def shapes(connection: Connection | Pool, tenant_id: TenantId, wanted: Iterable[tuple[str, str]]) -> list[asyncpg.Record]:
    """What is known of the components of these WhatsApp templates, by name and language; a row for each account that has it."""
    return await connection.fetch(SELECT_SHAPES, tenant_id, _json(list(wanted)))


async def update_text(
    connection: Connection, locked: asyncpg.Record, name: str, language: str, body: str, defaults: Mapping[str, str]
) -> asyncpg.Record:
    """The locked template, changed. Raises `asyncpg.UniqueViolationError` where the name is taken in that language."""
    row = await connection.fetchrow(
        UPDATE_TEXT_TEMPLATE, locked["tenant_id"], locked["id"], name, language, body, _json(defaults)
    )
    assert row is not None  # it is locked
    return row


async def delete(connection: Connection, tenant_id: TenantId, template_id: str) -> None:
    """Forget a template."""
    await connection.execute(DELETE_TEMPLATE, tenant_id, template_id)


async def lock_account(connection: Connection, tenant_id: TenantId, account_id: str) -> list[asyncpg.Record]:
    """All that is known of an account's templates, locked."""
    return await connection.fetch(LOCK_ACCOUNT_TEMPLATES, tenant_id, account_id)


async def lock_named(connection: Connection, names: Iterable[Name]) -> list[asyncpg.Record]:
    """Those of these WhatsApp templates that are known, locked."""
    return await connection.fetch(LOCK_NOTICED_TEMPLATES, _json(list(names)))


async def own_accounts(connection: Connection, accounts: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of these pairs of tenant and account in which the tenant has a number."""
    rows = await connection.fetch(OWN_ACCOUNTS, _json(list(accounts)))
    return {(row["tenant_id"], row["account_id"]) for row in rows}


async def put_whatsapp(connection: Connection, rows: Sequence[Sequence[object]]) -> None:
    """WhatsApp templates as they are now; each as the query lists its columns."""
    if rows:
        await connection.execute(PUT_WHATSAPP_TEMPLATES, _json(rows))


async def claim_account(connection: Connection | Pool, *, lease_seconds: float) -> tuple[TenantId, str] | None:
    """A tenant's account whose templates are due to be read, nobody else's for so long."""
    row = await connection.fetchrow(CLAIM_TEMPLATE_ACCOUNT, lease_seconds)
    return None if row is None else (TenantId(row["tenant_id"]), row["account_id"])


async def settle_account(
    connection: Connection | Pool,
    tenant_id: TenantId,
    account_id: str,
    *,
    again_seconds: float,
    synced_at: datetime | None,
    fault: str | None,
) -> None:
    """How a reading went, and when the next one is due."""
    await connection.execute(SETTLE_TEMPLATE_ACCOUNT, tenant_id, account_id, again_seconds, synced_at, fault)


async def make_due(connection: Connection, tenant_id: TenantId) -> None:
    """All of the tenant's accounts are due to be read now."""
    await connection.execute(MAKE_ACCOUNTS_DUE, tenant_id)


async def accounts(connection: Connection | Pool, tenant_id: TenantId) -> list[asyncpg.Record]:
    """The tenant's accounts, each with due_at, synced_at and fault."""
    return await connection.fetch(SELECT_TEMPLATE_ACCOUNTS, tenant_id)


async def reading_number(pool: Pool, tenant_id: TenantId, account_id: str) -> asyncpg.Record | None:
    """The number whose token opens the account."""
    return await pool.fetchrow(SELECT_READING_NUMBER, tenant_id, account_id)


async def insert_draft(
    connection: Connection, draft_id: str, tenant_id: TenantId, name: str | None, content: Content
) -> asyncpg.Record:
    """The new draft."""
    row = await connection.fetchrow(INSERT_DRAFT, draft_id, tenant_id, name, _json(content))
    assert row is not None
    return row


async def find_draft(pool: Pool, tenant_id: TenantId, draft_id: str) -> asyncpg.Record | None:
    """The tenant's draft of that id."""
    return await pool.fetchrow(SELECT_DRAFT, tenant_id, draft_id)


async def lock_draft(connection: Connection, tenant_id: TenantId, draft_id: str) -> asyncpg.Record | None:
    """The same, nobody else's to change until the transaction ends."""
    return await connection.fetchrow(LOCK_DRAFT, tenant_id, draft_id)


async def update_draft(connection: Connection, locked: asyncpg.Record, name: str | None, content: Content) -> asyncpg.Record:
    """The locked draft, changed."""
    row = await connection.fetchrow(UPDATE_DRAFT, locked["tenant_id"], locked["id"], name, _json(content))
    assert row is not None  # it is locked
    return row


async def delete_draft(connection: Connection, tenant_id: TenantId, draft_id: str) -> bool:
    """True where there was one to forget."""
    return (await connection.execute(DELETE_DRAFT, tenant_id, draft_id)).endswith(" 1")


async def draft_page(pool: Pool, tenant_id: TenantId, *, after: str | None, limit: int) -> list[asyncpg.Record]:
    """The tenant's drafts, oldest first."""
    return await pool.fetch(SELECT_DRAFTS, tenant_id, after or "", limit)


async def contents(connection: Connection | Pool, tenant_id: TenantId, ids: Iterable[str]) -> dict[str, Content]:
    """The contents of those of these drafts and messages that are there."""
    rows = await connection.fetch(SELECT_CONTENTS, tenant_id, list(ids))
    return {row["id"]: orjson.loads(row["content"]) for row in rows}


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
