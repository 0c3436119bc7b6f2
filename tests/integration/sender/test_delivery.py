"""From released to called: each attempt once, however often and however concurrently it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from shared.errors import BatchFailed
from shared.events.catalogue import MessageDeferred, MessageSent
from shared.ids import NumberId
from tests.integration.sender.scene import released, scene
from tests.support.database import Database
from tests.support.told import told


async def test_told_twice_in_one_batch_it_is_called_once(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        events = [released() for _ in range(20)]
        await there.delivery.take([*events, *events])
        await there.until_settled(20)
    assert set(there.provider.got.values()) == {1}
    assert len(there.provider.got) == 20


async def test_told_to_many_handlers_at_once_it_is_called_once(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        events = [released() for _ in range(20)]
        await asyncio.gather(*(there.delivery.take(events) for _ in range(8)))
        await there.until_settled(20)
        await there.delivery.take(events)
        sent = [event for event in await told(there.pool) if isinstance(event, MessageSent)]
    assert set(there.provider.got.values()) == {1}
    assert len({event.message_id for event in sent}) == 20, "told again, the known outcome is told again"


async def test_what_is_put_down_for_a_limit_is_never_called_as_well(database: Database, tmp_path: Path) -> None:
    """Sixty to one recipient at once are more than the pair takes; a second telling must not find room for them."""
    async with scene(database, tmp_path) as there:
        events = [released(to="+1") for _ in range(60)]
        await there.delivery.take([*events, *events])
        deferred = {event.message_id: event for event in await told(there.pool) if isinstance(event, MessageDeferred)}
        assert len(deferred) == 60 - 44
        await there.delivery.take(events)
        await there.until_settled(60)
        rows = await there.pool.fetch("SELECT message_id FROM attempts WHERE code = 'limit.pair'")
    assert {row["message_id"] for row in rows} == set(deferred)
    assert not set(deferred) & {name.rpartition(".")[0] for name in there.provider.got}
    places = sorted(event.retry_at for event in deferred.values())
    gaps = [(after - before).total_seconds() for before, after in pairwise(places)]
    assert all(5.5 < gap < 6.5 for gap in gaps), "each comes again at a turn of its own"
    assert {event.gate for event in deferred.values()} == {None}, "other recipients go on"


async def test_a_number_that_is_not_known_yet_is_waited_for_and_the_others_go_on(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        here, elsewhere = released(), released(number_id=NumberId("num_2"))
        with pytest.raises(BatchFailed) as failed:
            await there.delivery.take([here, elsewhere])
        assert list(failed.value.failures) == [elsewhere.event_id]
        await there.until_settled(1)
        await there.connect(NumberId("num_2"))
        await there.delivery.take([elsewhere])
        await there.until_settled(2)
    assert len(there.provider.got) == 2


async def test_a_critical_message_takes_the_next_slot_of_a_slow_number(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path, messages_per_second=10) as there:
        low = [released(tier=3) for _ in range(20)]
        await there.delivery.take(low)
        critical = released(tier=0)
        await there.delivery.take([critical])
        await there.until_settled(10)
        order = list(there.provider.got)
    assert order.index(f"{critical.message_id}.1") <= 3


async def test_a_claim_whose_answer_was_lost_is_taken_up_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(database, tmp_path) as there:
        events = [released() for _ in range(5)]
        commit = there.outbox.transaction

        @asynccontextmanager
        async def losing() -> AsyncIterator[object]:
            async with commit() as unit:
                yield unit
            raise ConnectionResetError

        monkeypatch.setattr(there.outbox, "transaction", losing)
        with pytest.raises(ConnectionResetError):
            await there.delivery.take(events)
        monkeypatch.undo()
        assert await there.pool.fetchval("SELECT count(*) FROM attempts WHERE state = 'submitting'") == 5
        await there.delivery.take(events)
        await there.until_settled(5)
    assert len(there.provider.got) == 5
    assert set(there.provider.got.values()) == {1}


async def test_an_expired_message_is_not_called_but_given_back(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        await there.delivery.take([released(expires_at=datetime.now(UTC) - timedelta(seconds=1))])
        await there.until_settled(1)
        (event,) = await told(there.pool)
    assert isinstance(event, MessageDeferred)
    assert (event.code, event.counted) == ("message.expired", False)
    assert not there.provider.got
