"""Messages taken out before they leave: canceled on request, or past their time to live."""

from __future__ import annotations

import pytest

from services.scheduler import hold, release
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.errors import BatchFailed, Retry
from shared.events.catalogue import MessageCanceled, MessageCancelRequested, MessageExpired
from tests.integration.scheduler.telling import (
    OTHER_TENANT,
    TENANT,
    accepted,
    cancel,
    connect,
    consistent,
    nothing,
    now,
    released,
)
from tests.support.told import told


async def test_a_waiting_message_is_canceled_once_and_told(outbox: Outbox, pool: Pool) -> None:
    message = accepted(due=3600)
    await hold.hold(outbox, [message], nothing)
    await cancel(outbox, message.message_id)
    (event,) = await told(pool)
    assert isinstance(event, MessageCanceled)
    assert (event.message_id, event.tenant_id) == (message.message_id, TENANT)
    await cancel(outbox, message.message_id, age=60)
    assert await told(pool) == []


async def test_a_released_message_is_not_canceled(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    await hold.hold(outbox, [accepted()], nothing)
    (event,) = await released(outbox, pool)
    await cancel(outbox, event.message_id)
    assert await told(pool) == []
    assert await consistent(pool) == 1


async def test_another_tenants_message_is_not_canceled(outbox: Outbox, pool: Pool) -> None:
    message = accepted(due=3600)
    await hold.hold(outbox, [message], nothing)
    await cancel(outbox, message.message_id, OTHER_TENANT)
    assert await told(pool) == []
    assert await pool.fetchval("SELECT count(*) FROM holds") == 1


async def test_a_cancellation_that_overtakes_its_message_comes_back_and_then_holds(outbox: Outbox, pool: Pool) -> None:
    message, there = accepted(due=3600), accepted(due=3600)
    await hold.hold(outbox, [there], nothing)
    early, fine = (MessageCancelRequested(tenant_id=TENANT, message_id=m.message_id) for m in (message, there))
    with pytest.raises(BatchFailed) as caught:
        await hold.cancel(outbox, [early, fine], now())
    assert set(caught.value.failures) == {early.event_id}
    assert isinstance(caught.value.failures[early.event_id], Retry)
    assert [event.model_dump()["message_id"] for event in await told(pool)] == [there.message_id]
    await hold.hold(outbox, [message], nothing)
    await hold.cancel(outbox, [early], now())
    assert [event.model_dump()["message_id"] for event in await told(pool)] == [message.message_id]


async def test_a_message_that_was_not_released_in_its_time_expires_and_is_told(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    late, fine, gone = accepted(expires=-1), accepted(expires=60), accepted()
    await hold.hold(outbox, [late, fine, gone], nothing)
    assert {event.message_id for event in await released(outbox, pool)} == {fine.message_id, gone.message_id}
    assert not await release.expire(outbox)
    (event,) = await told(pool)
    assert isinstance(event, MessageExpired)
    assert event.message_id == late.message_id
    await release.expire(outbox)
    assert await told(pool) == []
