"""Take an import back: its entries go, but for those that another import brought too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from services.archive.imports.blocks import LeaseLost
from services.archive.store import blocks as store
from services.archive.store.imports import Import
from services.archive.store.removal import remove
from shared.db.pool import Pool

BATCH: Final = 2_000
"""Keys that one transaction goes through."""

Told = Callable[[list[str]], Awaitable[None]]


async def undo(pool: Pool, found: Import, lease_id: str, changed: Told) -> None:
    """Go through the conversation's keys, a batch a transaction; a crash goes on behind the last one. Raises `LeaseLost`."""
    if found.conversation_no is None:
        return
    after = found.undo_after or b""
    while True:
        async with pool.acquire() as connection, connection.transaction():
            await store.bear_long(connection)
            await store.hold_conversation(connection, found.conversation_no)
            keys = await store.keys_to_undo(connection, found.conversation_no, after, found.import_no, BATCH)
            if not keys:
                break
            mine = [key for key in keys if key.import_no == found.import_no]
            if handed_on := [key for key in mine if key.heir is not None]:
                await store.bequeath(connection, found.conversation_no, handed_on)
            gone = [key for key in mine if key.heir is None]
            conversations = await remove(connection, [(key.entry_id, key.sent_at) for key in gone])
            after = keys[-1].fingerprint
            if not await store.undone(connection, found.import_no, lease_id, after, len(gone)):
                raise LeaseLost
        if conversations:
            await changed(conversations)
    while await store.drop_claims(pool, found.import_no, BATCH) == BATCH:
        pass
