"""What may have been sent before the database was restored is not sent again: reports settle it, or an operator decides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.sender import reconcile
from services.sender.restored import decide
from services.sender.store import metrics, restored
from shared.db.pool import open_pool
from shared.events.catalogue import MessageConfirmed, MessageDeferred, MessageReleased, MessageSent, MessageUnsettled
from shared.events.values import OnUnknown
from shared.operations.payloads import Decide, Decision
from tests.integration.sender.scene import NUMBER, TENANT, Scene, released, scene
from tests.support.database import Database
from tests.support.told import told

LONG_AGO = timedelta(hours=1)
CODE = "platform.restored"


@pytest.fixture
async def there(database: Database, tmp_path: Path) -> AsyncIterator[Scene]:
    """A sender on a database that was restored just now."""
    async with open_pool(database.settings_for("sender"), "sender") as pool, pool.acquire() as connection:
        await restored.mark(connection)
    async with scene(database, tmp_path) as there:
        yield there


def old(**changes: object) -> MessageReleased:
    """Released now, and due since long before the restore."""
    return released(**{"first_due_at": datetime.now(UTC) - LONG_AGO, **changes})


def confirmed(event: MessageReleased, attempt: int, wamid: str = "wamid.reported") -> MessageConfirmed:
    return MessageConfirmed(tenant_id=TENANT, message_id=event.message_id, attempt=attempt, wamid=wamid)


async def outcomes(there: Scene) -> dict[str, list[str]]:
    """What was told since the last time, by message."""
    found: dict[str, list[str]] = {}
    for event in await told(there.pool):
        if isinstance(event, MessageSent | MessageDeferred | MessageUnsettled):
            found.setdefault(event.message_id, []).append(getattr(event, "code", "sent"))
    return found


async def test_what_was_due_before_is_unknown_and_what_is_due_later_is_sent(there: Scene) -> None:
    before, later = old(), released(first_due_at=datetime.now(UTC))
    await there.delivery.take([before, later])
    await there.delivery.take([before])
    await there.until_settled(2)
    assert list(there.provider.got) == [f"{later.message_id}.1"]
    assert (await outcomes(there))[before.message_id] == [CODE] * 2, "told again, it is answered again"
    state = [dict(row) for row in await restored.counts(there.pool, limit=10)]
    assert state == [{"tenant_id": TENANT, "number_id": NUMBER, "messages": 1}]
    assert (await metrics.unknown_attempts(there.pool))[0] == 1


async def test_nothing_is_held_back_where_nothing_was_restored(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        event = old()
        await there.delivery.take([event])
        await there.until_settled(1)
    assert there.provider.got[f"{event.message_id}.1"] == 1


async def test_an_outcome_that_the_backup_knows_is_told_again(database: Database, tmp_path: Path) -> None:
    event = old()
    async with scene(database, tmp_path) as there:
        await there.delivery.take([event])
        await there.until_settled(1)
        async with there.pool.acquire() as connection:
            await restored.mark(connection)
    async with scene(database, tmp_path) as again:
        await again.delivery.take([event])
        assert (await outcomes(again))[event.message_id][-1] == "sent"
        assert not again.provider.got


async def test_an_old_queue_brings_nothing_to_be_sent(there: Scene) -> None:
    event = released(occurred_at=datetime.now(UTC) - LONG_AGO)  # from before `first_due_at` was told
    await there.delivery.take([event])
    assert await there.states() == {CODE: 1}
    assert not there.provider.got


@pytest.mark.parametrize("attempt", [1, 3])
async def test_a_report_on_any_attempt_settles_it(there: Scene, attempt: int) -> None:
    event = old()
    await there.delivery.take([event])
    await reconcile.confirm(there.outbox, [confirmed(event, attempt)])
    assert (await outcomes(there))[event.message_id] == [CODE, "sent"]
    await reconcile.confirm(there.outbox, [confirmed(event, attempt)])
    assert await outcomes(there) == {}, "once"
    assert await restored.counts(there.pool, limit=10) == []


async def test_the_end_of_the_grace_time_decides_nothing(there: Scene) -> None:
    events = [old(on_unknown=policy) for policy in OnUnknown]
    await there.delivery.take(events)
    await reconcile.end_grace(there.outbox, 0)
    assert await there.states() == {CODE: 2}


async def test_what_an_operator_sends_leaves_once_however_often_it_is_put_back(there: Scene) -> None:
    wanted, other = old(), old()
    await there.delivery.take([wanted, other])
    wish = Decide(decision=Decision.SEND, message_ids=[wanted.message_id])
    assert (await decide(there.outbox, wish)).decided == 1
    assert (await decide(there.outbox, wish)).decided == 0
    assert (await outcomes(there))[wanted.message_id] == [CODE, "platform.resent"]
    for event in (wanted, other):
        await there.delivery.take([event.model_copy(update={"attempt": 2})])
    await there.until_settled(4)
    await there.delivery.take([wanted.model_copy(update={"attempt": 2})])
    assert dict(there.provider.got) == {f"{wanted.message_id}.2": 1}


async def test_a_report_that_comes_before_it_leaves_again_keeps_it(there: Scene) -> None:
    event = old()
    await there.delivery.take([event])
    await decide(there.outbox, Decide(decision=Decision.SEND))
    await reconcile.confirm(there.outbox, [confirmed(event, 1)])
    assert (await outcomes(there))[event.message_id] == [CODE, "platform.resent", "sent"]
    await there.delivery.take([event.model_copy(update={"attempt": 2})])
    assert not there.provider.got


async def test_what_is_given_up_is_told_once_and_a_report_still_settles_it(there: Scene) -> None:
    event = old()
    await there.delivery.take([event, old(number_id=NUMBER)])
    assert (await decide(there.outbox, Decide(decision=Decision.DISCARD, number_id="num_2"))).decided == 0
    assert (await decide(there.outbox, Decide(decision=Decision.DISCARD, tenant_id=TENANT))).decided == 2
    assert (await decide(there.outbox, Decide(decision=Decision.SEND))).decided == 0
    await reconcile.end_grace(there.outbox, 0)
    assert (await metrics.unknown_attempts(there.pool))[0] == 0
    await reconcile.confirm(there.outbox, [confirmed(event, 2)])
    assert (await outcomes(there))[event.message_id] == [CODE, "platform.discarded", "sent"]


async def test_many_are_decided_about_a_part_at_a_time(there: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.sender.restored.DECIDE_LIMIT", 3)
    monkeypatch.setattr("services.sender.restored.DECIDE_ROUNDS", 2)
    await there.delivery.take([old() for _ in range(8)])
    first = await decide(there.outbox, Decide(decision=Decision.DISCARD))
    second = await decide(there.outbox, Decide(decision=Decision.DISCARD))
    assert [(one.decided, one.is_complete) for one in (first, second)] == [(6, False), (2, True)]
