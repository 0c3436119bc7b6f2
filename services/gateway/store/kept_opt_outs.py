"""Numbers of erased contacts that had opted out: kept so that nobody who said stop is written to."""

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


async def keep(connection: Connection, tenant_id: TenantId, phone: str, word: Word) -> None:
    """An opt-out outlives its contact."""
    await connection.execute(KEEP_OPT_OUT, tenant_id, phone, word.scope, word.at, word.source)


async def kept(connection: Connection, tenant_id: TenantId, phones: Collection[str]) -> Mapping[str, Word]:
    """The opt-outs that were kept of these numbers."""
    if not phones:
        return {}
    rows = await connection.fetch(SELECT_KEPT, tenant_id, phones)
    return {row["phone"]: Word(Consent.OPTED_OUT, ConsentScope(row["scope"]), row["at"], row["source"]) for row in rows}


async def forget(connection: Connection, tenant_id: TenantId, phones: Collection[str]) -> None:
    """They have opted in since."""
    await connection.execute(FORGET_OPT_OUTS, tenant_id, phones)
