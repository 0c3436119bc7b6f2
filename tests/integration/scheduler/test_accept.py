"""Acceptances: one hold per message, however often it is told, and none for one that has ended."""

from __future__ import annotations

import pytest

from services.scheduler import hold, release
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from tests.integration.scheduler.telling import accepted, cancel, connect, nothing, outcome, released, settle


async def test_a_message_accepted_twice_is_held_once(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    message = accepted()
    await hold.hold(outbox, [message, message], nothing)
    assert len(await released(outbox, pool)) == 1
    await hold.hold(outbox, [message], nothing)
    assert await released(outbox, pool) == []


@pytest.mark.parametrize("end", ["canceled", "expired", "sent"])
async def test_a_message_whose_hold_has_ended_is_not_held_again(end: str, outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    message, other = accepted(expires=-1 if end == "expired" else None), accepted()
    await hold.hold(outbox, [message], nothing)
    match end:
        case "canceled":
            await cancel(outbox, message.message_id)
        case "expired":
            await release.expire(outbox)
        case _:
            await settle(outbox, *(outcome("sent", event) for event in await released(outbox, pool)))
    assert await pool.fetchval("SELECT count(*) FROM holds") == 0
    await hold.hold(outbox, [message, other], nothing)
    assert [row["message_id"] for row in await pool.fetch("SELECT message_id FROM holds")] == [other.message_id]
