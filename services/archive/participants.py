"""Who is one of the tenant's own people: what they said becomes outgoing, or incoming again, by and by."""

from __future__ import annotations

from typing import Final

from services.archive.cache import Changes
from services.archive.store import read
from shared.db.pool import Pool

TURN_LIMIT: Final = 5_000


async def turn(pool: Pool, changes: Changes) -> bool:
    """Turn the direction of some entries of one participant who was changed; False where nobody is left. Goes on where a process
    that died has stopped."""
    turned = await read.turn(pool, TURN_LIMIT)
    if turned is None:
        return False
    conversation_id, tenant, count = turned
    if count:
        await changes.changed([conversation_id], [tenant])
    return True
