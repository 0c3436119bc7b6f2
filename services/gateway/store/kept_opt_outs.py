"""Addresses of erased contacts that had opted out, phone numbers and business-scoped user ids: kept so that nobody who said stop is
written to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from services.gateway.domain.consent import Word
from shared.db.pool import Connection
from shared.db.queries import Queries
from shared.events.values import Consent, ConsentScope
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("kept_opt_outs.sql"))
KEEP_OPT_OUT: Final = sql["keep_opt_out"]
SELECT_KEPT: Final = sql["select_kept_opt_outs"]
FORGET_OPT_OUTS: Final = sql["forget_opt_outs"]


async def keep(connection: Connection, tenant_id: TenantId, addresses: Collection[str], word: Word) -> None:
    """An opt-out outlives its contact."""
    await connection.execute(KEEP_OPT_OUT, tenant_id, sorted(addresses), word.scope, word.at, word.source)


async def kept(connection: Connection, tenant_id: TenantId, addresses: Collection[str]) -> Mapping[str, Word]:
    """The opt-outs that were kept of these addresses."""
    if not addresses:
        return {}
    rows = await connection.fetch(SELECT_KEPT, tenant_id, addresses)
    return {row["address"]: Word(Consent.OPTED_OUT, ConsentScope(row["scope"]), row["at"], row["source"]) for row in rows}


async def forget(connection: Connection, tenant_id: TenantId, addresses: Collection[str]) -> None:
    """They have opted in since."""
    await connection.execute(FORGET_OPT_OUTS, tenant_id, addresses)
