"""Keys of digests that stay what they are when the master key changes: what was named by one must be found again.

Each was derived from the master key that was there first. Since then it stands in the service's own schema, sealed with the present
one, and is sealed anew with everything else (`shared.auth.reseal`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shared.auth.seal import Sealer, SealError
from shared.config import SettingsError
from shared.db.pool import Pool
from shared.db.queries import Queries
from shared.ids import TenantId

PLATFORM: Final = TenantId("platform")
"""They belong to no tenant; `page_kept_keys` says the same."""
COLUMN: Final = "kept_keys.sealed_key"

sql: Final = Queries(Path(__file__).with_name("queries.sql"))
SELECT: Final = sql["select_kept_keys"]
INSERT: Final = sql["insert_kept_keys"]


async def kept_keys(pool: Pool, sealer: Sealer, first: Mapping[str, bytes]) -> dict[str, bytes]:
    """The keys by name. One that is not kept yet is from now on the one in `first`: of several replicas that start at once, one of
    them says which.

    Raises `SettingsError` where none of the master keys opens one: going on would lose what its digests have to find.
    """
    rows = await pool.fetch(SELECT, list(first))
    if missing := sorted(first.keys() - {row["name"] for row in rows}):
        await pool.execute(INSERT, missing, [sealer.seal(PLATFORM, COLUMN, name, first[name].hex()) for name in missing])
        rows = await pool.fetch(SELECT, list(first))
    try:
        return {row["name"]: bytes.fromhex(sealer.open(PLATFORM, COLUMN, row["name"], row["sealed_key"])) for row in rows}
    except SealError:
        raise SettingsError(
            "CHASQUI_SECURITY__MASTER_KEY: this database was sealed with another one; it belongs into "
            "CHASQUI_SECURITY__OTHER_MASTER_KEYS (docs/operations.md, the master key)"
        ) from None
