"""The sender's own record of the numbers, kept from events, and of the templates that rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg

from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.events.catalogue import NumberConnected

sql = Queries(Path(__file__).with_name("queries.sql"))
UPSERT_NUMBER: Final = sql["upsert_number"]
SELECT_NUMBERS: Final = sql["select_numbers"]
SELECT_PAUSED_TEMPLATES: Final = sql["select_paused_templates"]
PAUSE_TEMPLATES: Final = sql["pause_templates"]
PRUNE_TEMPLATES: Final = sql["prune_templates"]


class Template(NamedTuple):
    """A template of an account."""

    account: str
    name: str
    language: str


async def upsert(connection: Connection, event: NumberConnected) -> None:
    """The number's record, unless a later revision is known."""
    await connection.execute(
        UPSERT_NUMBER,
        event.number_id,
        event.tenant_id,
        event.revision,
        event.phone_number_id,
        event.provider_url,
        event.sealed_access_token,
        event.messages_per_second,
        event.provider,
        event.account_id,
        event.display_number,
        event.callback_url,
        event.profile,
        event.calls_per_hour,
        event.portfolio_id,
        event.unique_users_per_day,
        event.paused,
    )


async def select(pool: Pool, number_ids: Sequence[str]) -> list[asyncpg.Record]:
    """The records of those that are known."""
    return await pool.fetch(SELECT_NUMBERS, list(number_ids))


async def paused_templates(pool: Pool, accounts: Sequence[str]) -> dict[Template, tuple[str, float]]:
    """The templates of these accounts that rest, each with the code of the reason and the seconds left."""
    rows = await pool.fetch(SELECT_PAUSED_TEMPLATES, list(accounts))
    return {Template(row["account"], row["name"], row["language"]): (row["code"], row["seconds"]) for row in rows}


async def pause_templates(connection: Connection, pauses: Mapping[Template, tuple[str, float]]) -> None:
    """Let these rest, for so many seconds each."""
    await connection.execute(
        PAUSE_TEMPLATES,
        [template.account for template in pauses],
        [template.name for template in pauses],
        [template.language for template in pauses],
        [seconds for _, seconds in pauses.values()],
        [code for code, _ in pauses.values()],
    )


async def prune_templates(pool: Pool) -> None:
    """Forget those whose rest is over."""
    await pool.execute(PRUNE_TEMPLATES)
