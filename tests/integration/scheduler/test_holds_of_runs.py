"""Messages of runs: however a hold ends, its recipient ends so in the same transaction; what a run does not want is let go of."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import pytest

from services.scheduler import hold, learn, release
from services.scheduler.domain.obstacle import DOUBT
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.events.catalogue import ContactConsentChanged, MessageAccepted, MessageReleased
from shared.events.values import Consent
from tests.integration.scheduler.telling import (
    NUMBER,
    TENANT,
    accepted,
    cancel,
    connect,
    consistent,
    nothing,
    now,
    outcome,
    pass_time,
    released,
    settle,
)
from tests.support.told import told

RUN: Final = "run_1"


async def open_run(pool: Pool, *messages: MessageAccepted, state: str = "running") -> None:
    """With these messages asked for."""
    await pool.execute(
        "INSERT INTO runs (id, tenant_id, kind, owner_id, number_id, state, since, asking, terms, is_expanded, ask_at, created_at) "
        "VALUES ($1, $2, 'campaign', 'cmp_1', $3, $4, now(), '{}', '{}', true, now(), now())",
        RUN,
        TENANT,
        NUMBER,
        state,
    )
    await pool.executemany(
        "INSERT INTO recipients (run_id, position, phone, zone, variant, due_at, state, message_id) "
        "VALUES ($1, $2, $3, 'Etc/UTC', 0, now(), 'requested', $4)",
        [(RUN, n, f"+1555{n}", message.message_id) for n, message in enumerate(messages)],
    )


async def held(outbox: Outbox, pool: Pool, message: MessageAccepted) -> None:
    await connect(outbox)
    await open_run(pool, message)
    await hold.hold(outbox, [message], nothing)


async def ended(pool: Pool) -> tuple[str, str | None]:
    """The state of the one recipient with its code; nothing waits any more."""
    assert await pool.fetchval("SELECT count(*) FROM holds") == await consistent(pool) == 0
    row = await pool.fetchrow("SELECT state, code FROM recipients")
    assert row is not None
    return row["state"], row["code"]


@pytest.mark.parametrize(("kind", "state", "code"), [("sent", "sent", None), ("failed", "failed", "c")])
async def test_an_outcome_ends_the_recipient(kind: str, state: str, code: str | None, outbox: Outbox, pool: Pool) -> None:
    await held(outbox, pool, accepted(run_id=RUN))
    (first,) = await released(outbox, pool)
    await settle(outbox, outcome("deferred", first))
    (second,) = await released(outbox, pool)
    await settle(outbox, outcome(kind, second))
    assert await ended(pool) == (state, code)
    await settle(outbox, outcome(kind, second))
    assert await ended(pool) == (state, code)


async def test_an_arrival_that_is_told_after_the_message_was_put_back_ends_the_recipient(outbox: Outbox, pool: Pool) -> None:
    await held(outbox, pool, accepted(run_id=RUN))
    (first,) = await released(outbox, pool)
    await settle(outbox, outcome("unsettled", first))
    await settle(outbox, outcome("deferred", first))
    await settle(outbox, outcome("sent", first))
    assert await ended(pool) == ("sent", None)


async def test_a_message_that_never_settles_is_unknown(outbox: Outbox, pool: Pool) -> None:
    await held(outbox, pool, accepted(run_id=RUN))
    (event,) = await released(outbox, pool)
    await settle(outbox, outcome("unsettled", event))
    await pass_time(pool, 9 * 86_400)
    await release.forget_unsettled(outbox)
    assert await ended(pool) == ("unknown", "unknown.unconfirmed")


@pytest.mark.parametrize("code", ["unknown.unconfirmed", "platform.discarded"])
@pytest.mark.parametrize(("late", "state"), [("sent", "sent"), ("failed", "failed")])
async def test_a_run_does_not_wait_for_what_nobody_confirms_and_a_late_report_corrects_it(
    late: str, state: str, code: str, outbox: Outbox, pool: Pool
) -> None:
    await held(outbox, pool, accepted(run_id=RUN))
    (event,) = await released(outbox, pool)
    await settle(outbox, outcome("unsettled", event))
    assert await pool.fetchval("SELECT state FROM recipients") == "requested"
    over = outcome("unsettled", event).model_copy(update={"code": code})
    for _ in "twice":
        await settle(outbox, over)
        row = await pool.fetchrow("SELECT state, code FROM recipients")
        assert row is not None
        assert tuple(row) == ("unknown", code)
    await settle(outbox, outcome(late, event))
    assert (await ended(pool))[0] == state
    changes = await pool.fetch("SELECT what, sum(amount) AS amount FROM run_changes GROUP BY what")
    counts = {row["what"]: row["amount"] for row in changes if row["amount"]}
    assert counts == {"requested": -1, state: 1}


async def test_a_canceled_message_ends_its_recipient(outbox: Outbox, pool: Pool) -> None:
    message = accepted(due=60, run_id=RUN)
    await held(outbox, pool, message)
    await cancel(outbox, message.message_id)
    assert await ended(pool) == ("canceled", "message.canceled")


async def test_an_expired_message_ends_its_recipient(outbox: Outbox, pool: Pool) -> None:
    await held(outbox, pool, accepted(expires=-1, run_id=RUN))
    await release.expire(outbox)
    assert await ended(pool) == ("expired", "message.expired")


@pytest.mark.parametrize("due", [-1, 3600], ids=["at release", "at once"])
async def test_a_suppressed_message_ends_its_recipient(due: float, outbox: Outbox, pool: Pool) -> None:
    message = accepted(due=due, run_id=RUN)
    await held(outbox, pool, message)
    opt_out = ContactConsentChanged(
        tenant_id=TENANT, contact_id="ctc_1", phone=message.to, consent=Consent.OPTED_OUT, source="api", changed_at=now()
    )
    await learn.learn_consent(outbox, [opt_out])
    await release.release_due(outbox)
    assert await ended(pool) == ("suppressed", "contact.opted_out")


async def test_a_refused_message_ends_its_recipient_as_failed(outbox: Outbox, pool: Pool) -> None:
    await held(outbox, pool, accepted(run_id=RUN))
    await pool.execute("UPDATE numbers SET enforces_windows = true, window_known_from = now()")
    await release.release_due(outbox)
    await pool.execute("UPDATE holds SET due_at = due_at - $1::interval", DOUBT + timedelta(seconds=1))
    await release.release_due(outbox)
    assert await ended(pool) == ("failed", "window.closed")


@pytest.mark.parametrize(("state", "recipient"), [("canceled", "canceled"), ("paused", "pending")])
async def test_a_message_whose_run_does_not_want_it_any_more_is_canceled_when_it_arrives(
    state: str, recipient: str, outbox: Outbox, pool: Pool
) -> None:
    await connect(outbox)
    message, other = accepted(run_id=RUN), accepted()
    await open_run(pool, message, state=state)
    await hold.hold(outbox, [message, other], nothing)
    assert [event.event_name for event in await told(pool)] == ["message.canceled"]
    assert [event.message_id for event in await released(outbox, pool)] == [other.message_id]
    assert await pool.fetchval("SELECT state FROM recipients") == recipient


async def test_messages_of_a_run_that_is_on_are_released(outbox: Outbox, pool: Pool) -> None:
    message = accepted(run_id=RUN)
    await held(outbox, pool, message)
    (event,) = await released(outbox, pool)
    assert isinstance(event, MessageReleased)
    assert event.message_id == message.message_id
