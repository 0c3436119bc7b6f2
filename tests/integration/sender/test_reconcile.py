"""Attempts that nobody works on any more: each ends as what is known of it allows, once."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.sender import reconcile
from services.sender.domain.attempt import AttemptId
from services.sender.domain.outcome import Retry, Sent, Unknown
from services.sender.journal import Journal
from services.sender.store import attempts
from services.sender.store.attempts import Head, PutDown, Settled
from services.sender.tell import event_of
from shared.bus.outbox import Outbox
from shared.db.pool import Pool, open_pool
from shared.events.catalogue import MessageConfirmed, MessageDeferred, MessageReleased, MessageSent, MessageUnsettled
from shared.events.values import OnUnknown
from shared.ids import MessageId, NumberId, TenantId, new_id
from tests.support.database import Database
from tests.support.told import silent_outbox, told

TENANT = TenantId("tnt_a")
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with open_pool(database.settings_for("sender"), "sender") as pool:
        yield pool


@pytest.fixture
def outbox(pool: Pool) -> Outbox:
    return silent_outbox(pool, "sender")


def released(attempt: int = 1) -> MessageReleased:
    return MessageReleased(
        tenant_id=TENANT,
        traceparent=TRACEPARENT,
        message_id=MessageId(new_id("msg")),
        attempt=attempt,
        number_id=NumberId("num_1"),
        to="+1",
        content={},
    )


def attempt_of(event: MessageReleased) -> AttemptId:
    return AttemptId(event.message_id, event.attempt)


def head_of(event: MessageReleased, moment: datetime | None = None) -> Head:
    return Head(attempt_of(event), TENANT, TRACEPARENT, moment or datetime.now(UTC), event.occurred_at)


async def claim(outbox: Outbox, events: Sequence[MessageReleased], instance: str, lease_seconds: float = 60) -> set[AttemptId]:
    async with outbox.transaction() as unit:
        return await attempts.claim(unit.connection, events, instance=instance, lease_seconds=lease_seconds)


def confirmed(event: MessageReleased, attempt: int = 1) -> MessageConfirmed:
    return MessageConfirmed(tenant_id=TENANT, message_id=event.message_id, attempt=attempt, wamid="wamid.x")


async def states(pool: Pool) -> dict[str, str]:
    return {row["message_id"]: row["state"] for row in await pool.fetch("SELECT message_id, state FROM attempts")}


def crash(journal: Journal) -> None:
    os.close(journal._current._file)


async def test_of_a_crashed_process_the_departed_are_unknown_and_the_others_go_back(
    outbox: Outbox, pool: Pool, tmp_path: Path
) -> None:
    left, stayed, done = released(), released(2), released()
    journal = Journal(tmp_path)
    await claim(outbox, [left, stayed, done], journal.instance)
    journal.departed(attempt_of(left))
    journal.departed(attempt_of(done))
    async with outbox.transaction() as unit:
        await attempts.record(unit.connection, [Settled(head_of(done), Sent("w"))])
    await reconcile.recover_abandoned(outbox, tmp_path)
    assert await told(pool) == [], "it lives"
    crash(journal)

    await reconcile.recover_abandoned(outbox, tmp_path)
    events = {event.model_dump()["message_id"]: event for event in await told(pool)}
    assert set(events) == {left.message_id, stayed.message_id}
    unknown, deferred = events[left.message_id], events[stayed.message_id]
    assert isinstance(unknown, MessageUnsettled)
    assert isinstance(deferred, MessageDeferred)
    assert (unknown.code, deferred.code, deferred.counted, deferred.attempt) == (
        "sender.crashed",
        "sender.crashed_before_call",
        False,
        2,
    )
    assert {event.traceparent for event in events.values()} == {TRACEPARENT}
    await reconcile.recover_abandoned(outbox, tmp_path)
    assert await told(pool) == []


async def test_the_files_of_the_gone_are_kept_for_a_lease_because_a_claim_may_still_be_committing(
    outbox: Outbox, pool: Pool, tmp_path: Path
) -> None:
    journal, late = Journal(tmp_path), released()
    journal.departed(attempt_of(late))
    crash(journal)
    await reconcile.recover_abandoned(outbox, tmp_path)
    (file,) = tmp_path.iterdir()
    await claim(outbox, [late], journal.instance)
    await reconcile.recover_abandoned(outbox, tmp_path)
    assert [type(event) for event in await told(pool)] == [MessageUnsettled]
    long_ago = time.time() - 3600
    os.utime(file, (long_ago, long_ago))
    await reconcile.recover_abandoned(outbox, tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_file_that_another_replica_tidied_up_meanwhile_is_no_fault(
    outbox: Outbox, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        crash(Journal(tmp_path))
    read = Path.read_bytes

    def tidied(path: Path) -> bytes:
        path.unlink()
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", tidied)
    await reconcile.recover_abandoned(outbox, tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_an_attempt_whose_lease_ended_is_unknown(outbox: Outbox, pool: Pool) -> None:
    lost, held = released(), released()
    await claim(outbox, [lost], "snd_gone", lease_seconds=-1)
    await claim(outbox, [held], "snd_lives")
    assert not await reconcile.expire_leases(outbox)
    (event,) = await told(pool)
    assert isinstance(event, MessageUnsettled)
    assert (event.message_id, event.code) == (lost.message_id, "sender.lost")
    assert await states(pool) == {lost.message_id: "unknown", held.message_id: "submitting"}
    await reconcile.expire_leases(outbox)
    assert await told(pool) == []


async def test_a_confirmation_settles_an_unknown_attempt_to_sent_once(outbox: Outbox, pool: Pool) -> None:
    lost = released()
    await claim(outbox, [lost], "snd_gone", lease_seconds=-1)
    await reconcile.expire_leases(outbox)
    await told(pool)
    await reconcile.confirm(outbox, [confirmed(lost)])
    (event,) = await told(pool)
    assert isinstance(event, MessageSent)
    assert (event.message_id, event.attempt, event.wamid, event.traceparent) == (lost.message_id, 1, "wamid.x", TRACEPARENT)
    await reconcile.confirm(outbox, [confirmed(lost), confirmed(lost)])
    assert await told(pool) == []


async def test_a_confirmation_that_overtakes_the_answer_settles_the_attempt_and_the_answer_tells_nothing_new(
    outbox: Outbox, pool: Pool
) -> None:
    event = released()
    await claim(outbox, [event], "snd_lives")
    await reconcile.confirm(outbox, [confirmed(event), confirmed(event)])
    assert [type(one) for one in await told(pool)] == [MessageSent]
    async with outbox.transaction() as unit:
        answer = Settled(head_of(event), Sent("wamid.x"))
        assert await attempts.record(unit.connection, [answer]) == set()
        late = Settled(head_of(event), Unknown("connection.TimeoutError"))
        assert await attempts.record(unit.connection, [late]) == set()


async def test_confirmations_of_other_attempts_touch_nothing(outbox: Outbox, pool: Pool) -> None:
    event = released()
    await claim(outbox, [event], "snd_lives")
    await reconcile.confirm(outbox, [confirmed(event, attempt=2), confirmed(released())])
    assert await told(pool) == []
    assert await states(pool) == {event.message_id: "submitting"}


async def test_an_attempt_is_claimed_once_and_given_again_only_to_the_instance_that_lost_the_answer(
    outbox: Outbox, pool: Pool
) -> None:
    event = released()
    other = event.model_copy(update={"attempt": 2})
    assert await claim(outbox, [event], "snd_1") == {attempt_of(event)}
    assert await claim(outbox, [event, other], "snd_2") == {attempt_of(other)}
    assert await claim(outbox, [event, other], "snd_1") == {attempt_of(event)}
    async with outbox.transaction() as unit:
        await attempts.record(unit.connection, [Settled(head_of(event), Sent("wamid.x"))])
    assert await claim(outbox, [event, other], "snd_1") == set()


async def test_a_deferred_attempt_cannot_be_made_by_a_second_telling(outbox: Outbox, pool: Pool) -> None:
    event, retry_at = released(), datetime.now(UTC)
    down = PutDown(event, "limit.pair", retry_at, None)
    async with outbox.transaction() as unit:
        assert await attempts.defer(unit.connection, [down], instance="snd_1") == {attempt_of(event)}
    assert await claim(outbox, [event], "snd_1") == set()
    async with outbox.transaction() as unit:
        assert await attempts.defer(unit.connection, [down], instance="snd_2") == set()
        (again,) = await attempts.outcomes(unit.connection, [attempt_of(event)])
    assert again.outcome == Retry("limit.pair", None, counted=False)
    assert again.retry_at == retry_at


async def test_an_outcome_told_again_is_the_same(outbox: Outbox, pool: Pool) -> None:
    moment = datetime(2026, 11, 20, 10, tzinfo=UTC)
    sent, deferred, unknown = released(), released(), released()
    ends = [
        Settled(head_of(sent, moment), Sent("wamid.x")),
        Settled(head_of(deferred, moment), Retry("provider.4", None, counted=False), moment),
        Settled(head_of(unknown, moment), Unknown("connection.X")),
    ]
    await claim(outbox, [sent, deferred, unknown], "snd_1")
    async with outbox.transaction() as unit:
        assert len(await attempts.record(unit.connection, ends)) == 3
        again = await attempts.outcomes(unit.connection, [end.head.attempt for end in ends])

    def facts(ended: Sequence[Settled]) -> list[dict[str, Any]]:
        events = [event_of(one).model_dump(exclude={"event_id", "occurred_at"}) for one in ended]
        return sorted(events, key=lambda event: str(event["message_id"]))

    assert facts(again) == facts(ends)


async def test_settled_attempts_are_forgotten_when_no_report_can_come_and_open_ones_never(outbox: Outbox, pool: Pool) -> None:
    old, fresh, still_open = released(), released(), released()
    await claim(outbox, [old, fresh, still_open], "snd_1")
    await reconcile.confirm(outbox, [confirmed(old), confirmed(fresh)])
    ids = [old.message_id, still_open.message_id]
    await pool.execute("UPDATE attempts SET started_at = now() - interval '9 days' WHERE message_id = ANY($1::text[])", ids)
    assert not await reconcile.prune(outbox)
    assert set(await states(pool)) == {fresh.message_id, still_open.message_id}


async def unknown(outbox: Outbox, pool: Pool, *events: MessageReleased) -> None:
    """Claimed by a process that is gone, and nobody knows."""
    await claim(outbox, events, "snd_gone", lease_seconds=-1)
    await reconcile.expire_leases(outbox)
    await told(pool)


async def test_after_the_grace_time_it_is_told_once_that_nobody_knows_and_a_report_still_settles(
    outbox: Outbox, pool: Pool
) -> None:
    event = released()
    await unknown(outbox, pool, event)
    await reconcile.end_grace(outbox, 60)
    assert await told(pool) == [], "it is young"
    await reconcile.end_grace(outbox, 0)
    (again,) = await told(pool)
    assert isinstance(again, MessageUnsettled)
    assert (again.code, again.attempt) == ("unknown.unconfirmed", 1)
    await reconcile.end_grace(outbox, 0)
    assert await told(pool) == []
    await reconcile.confirm(outbox, [confirmed(event)])
    assert [type(one) for one in await told(pool)] == [MessageSent]


async def test_a_message_that_may_be_sent_again_is_put_back_after_the_grace_time_and_once_only(
    outbox: Outbox, pool: Pool
) -> None:
    first = released().model_copy(update={"on_unknown": OnUnknown.RESEND})
    await unknown(outbox, pool, first)
    await reconcile.end_grace(outbox, 0)
    (back,) = await told(pool)
    assert isinstance(back, MessageDeferred)
    assert (back.code, back.counted, back.attempt) == ("unknown.resent", False, 1)
    second = first.model_copy(update={"attempt": 2})
    await unknown(outbox, pool, second)
    await reconcile.end_grace(outbox, 0)
    (end,) = await told(pool)
    assert isinstance(end, MessageUnsettled)
    assert (end.code, end.attempt) == ("unknown.unconfirmed", 2)


async def test_what_was_reported_in_the_grace_time_is_not_sent_again(outbox: Outbox, pool: Pool) -> None:
    event = released().model_copy(update={"on_unknown": OnUnknown.RESEND})
    await unknown(outbox, pool, event)
    await reconcile.confirm(outbox, [confirmed(event)])
    await told(pool)
    await reconcile.end_grace(outbox, 0)
    assert await told(pool) == []
