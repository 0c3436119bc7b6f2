"""The audience of a run: found page by page, each of it once and due at its time."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.scheduler import expand
from services.scheduler.domain.run import RecipientState, RunKind
from services.scheduler.runs import recipients
from services.scheduler.store import runs
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.events.catalogue import AudienceWanted
from shared.events.values import DailySpan, Hours, OnUnknown, Tier
from tests.integration.scheduler.runs_scene import (
    asked_for,
    cancel,
    counted,
    find,
    heard,
    opened,
    opened_with,
    page,
    recipient,
    settle_down,
    state_of,
)
from tests.integration.scheduler.telling import NUMBER, OTHER_TENANT, now
from tests.support.told import told


async def test_an_audience_is_asked_for_page_by_page_with_what_is_to_be_said(outbox: Outbox, pool: Pool) -> None:
    run_id = await opened(outbox, default_zone="Asia/Tokyo")
    (first,) = await heard(pool, AudienceWanted)
    assert (first.run_id, first.page, first.cursor, first.default_zone) == (run_id, 0, None, "Asia/Tokyo")
    await find(outbox, page(run_id, 0, [recipient(1)], "c0"))
    (second,) = await heard(pool, AudienceWanted)
    assert (second.page, second.cursor) == (1, "c0")
    assert (second.audience, second.variants, second.limit) == (first.audience, first.variants, first.limit)
    assert await state_of(pool, run_id) == "expanding"
    await find(outbox, page(run_id, 1, [recipient(2)]))
    assert await heard(pool, AudienceWanted) == []
    assert await state_of(pool, run_id) == "running"
    assert (await counted(pool, run_id)).pending == 2


async def test_a_page_that_is_not_awaited_changes_nothing(outbox: Outbox, pool: Pool) -> None:
    run_id = await opened(outbox)
    await find(outbox, page(run_id, 1, [recipient(9)]), page("run_none", 0, [recipient(9)]))
    first = page(run_id, 0, [recipient(1)], "c0")
    await find(outbox, first, first)
    other = page(run_id, 0, [recipient(8)], None)
    stranger = page(run_id, 1, [recipient(7)], tenant=OTHER_TENANT)
    last = page(run_id, 1, [recipient(2)])
    await find(outbox, other, stranger, last, last, page(run_id, 2, [recipient(3)]))
    assert [row["phone"] for row in await recipients(pool, run_id, limit=10)] == ["+15550000001", "+15550000002"]
    canceled = await opened(outbox)
    await cancel(outbox, canceled)
    await find(outbox, page(canceled, 0, [recipient(1)]))
    assert (await counted(pool, canceled)).total == 0
    assert await state_of(pool, canceled) == "canceled"


async def test_answers_side_by_side_are_taken_once(outbox: Outbox, pool: Pool) -> None:
    run_id = await opened(outbox)
    answer = page(run_id, 0, [recipient(n) for n in range(50)], "c0")
    await asyncio.gather(*(find(outbox, answer) for _ in range(6)))
    assert (await counted(pool, run_id)).pending == 50
    assert [event.page for event in await heard(pool, AudienceWanted)] == [0, 1]


async def test_each_phone_number_is_one_recipient_and_faults_are_rejected_at_once(outbox: Outbox, pool: Pool) -> None:
    faulty = recipient(3, content=None, fault="variable.missing", detail="{{name}} has no value")
    run_id = await opened(outbox)
    await find(outbox, page(run_id, 0, [recipient(1), recipient(1, content={"type": "text"}), faulty], "c0"))
    await find(outbox, page(run_id, 1, [recipient(1), recipient(2), recipient(4, to="bad\0number", fault="phone.invalid")]))
    found = await counted(pool, run_id)
    assert (found.pending, found.rejected, found.duplicates, found.total) == (2, 2, 2, 4)
    (row, _) = await recipients(pool, run_id, state=RecipientState.REJECTED, limit=10)
    assert (row["code"], row["detail"], row["ended_at"] is not None) == ("variable.missing", "{{name}} has no value", True)
    assert Counter(request.to for request in await asked_for(outbox, pool)) == {"+15550000001": 1, "+15550000002": 1}


async def test_a_page_that_does_not_come_is_asked_for_again_ever_more_rarely(outbox: Outbox, pool: Pool) -> None:
    run_id = await opened(outbox)
    await find(outbox, page(run_id, 0, [recipient(1)], "c0"))
    await told(pool)
    waits = []
    for _ in range(7):
        assert not await expand.ask_again(outbox)
        assert await told(pool) == []
        seconds = await pool.fetchval("SELECT round(extract(epoch FROM ask_at - now())) FROM runs WHERE id = $1", run_id)
        waits.append(int(seconds))
        await pool.execute("UPDATE runs SET ask_at = now()")
        await expand.ask_again(outbox)
        (again,) = await heard(pool, AudienceWanted)
        assert (again.page, again.cursor) == (1, "c0")
    assert 20 < waits[0] <= 30
    assert waits == sorted(waits)
    assert waits[1] > waits[0]
    assert waits[-1] <= 600
    await cancel(outbox, run_id)
    await pool.execute("UPDATE runs SET ask_at = now()")
    await expand.ask_again(outbox)
    assert await heard(pool, AudienceWanted) == []


async def test_a_run_without_an_audience_fails_and_nothing_of_it_leaves(outbox: Outbox, pool: Pool) -> None:
    run_id = await opened(outbox)
    await find(outbox, page(run_id, 0, [recipient(1)], "c0"))
    await find(outbox, page(run_id, 1, [], code="group.unknown", detail="the group does not exist"))
    assert await asked_for(outbox, pool) == []
    row = await pool.fetchrow("SELECT state, code, detail FROM runs WHERE id = $1", run_id)
    assert tuple(row or ()) == ("failed", "group.unknown", "the group does not exist")
    assert (await counted(pool, run_id)).canceled == 1


@pytest.mark.parametrize("found", [[], [recipient(1, fault="contact.opted_out", content=None)]])
async def test_a_run_of_nobody_ends_by_itself(found: list[Any], outbox: Outbox, pool: Pool) -> None:
    run_id = await opened_with(outbox, found)
    await settle_down(outbox)
    assert await state_of(pool, run_id) == "ended"


@pytest.mark.parametrize("needs_consent", [True, False])
async def test_who_opted_out_gets_only_what_needs_no_consent(needs_consent: bool, outbox: Outbox, pool: Pool) -> None:
    found = [
        recipient(1, fault="contact.opted_out", detail="d"),
        recipient(2, fault="contact.opted_out", content=None),
        recipient(3, fault="variable.missing"),
    ]
    run_id = await opened_with(outbox, found, needs_consent=needs_consent)
    asked = [(event.to, event.needs_consent) for event in await asked_for(outbox, pool)]
    assert asked == ([] if needs_consent else [(found[0].to, False)])
    assert (await counted(pool, run_id)).rejected == (3 if needs_consent else 2)


async def test_a_preflight_counts_and_sends_nothing_and_is_forgotten_after_a_day(outbox: Outbox, pool: Pool) -> None:
    found = [recipient(1), recipient(1), recipient(2, fault="contact.opted_out", content=None)]
    run_id = await opened_with(outbox, found, kind=RunKind.PREFLIGHT)
    assert await asked_for(outbox, pool) == []
    assert await state_of(pool, run_id) == "ended"
    result = await counted(pool, run_id)
    assert (result.pending, result.rejected, result.duplicates) == (1, 1, 1)
    kept = await opened_with(outbox, [recipient(1)])
    assert not await runs.prune_preflights(pool, days=1, limit=10, limit_recipients=10)
    await pool.execute("UPDATE runs SET created_at = now() - interval '25 hours'")
    assert await runs.prune_preflights(pool, days=1, limit=10, limit_recipients=10)
    assert [row["id"] for row in await pool.fetch("SELECT id FROM runs")] == [kept]
    assert {row["run_id"] for row in await pool.fetch("SELECT run_id FROM recipients")} == {kept}
    assert (await counted(pool, run_id)).total == 0


async def test_each_is_due_at_the_wall_time_of_its_zone_and_in_its_hours(outbox: Outbox, pool: Pool) -> None:
    people = [recipient(1, zone="Asia/Tokyo"), recipient(2, zone="America/New_York"), recipient(3, zone="No/Where")]
    wall = datetime(2031, 1, 15, 6, 0)  # noqa: DTZ001  # a wall time
    hours = Hours(zone="Europe/Madrid", allowed=[DailySpan(start="09:30", end="20:00")])
    run_id = await opened_with(outbox, people, due_at=None, local_time=wall, hours=hours, ttl_seconds=60)
    rows = await pool.fetch("SELECT due_at, expires_at FROM recipients WHERE run_id = $1 ORDER BY position", run_id)
    tokyo, new_york, anywhere = (row["due_at"] for row in rows)
    assert tokyo == datetime(2031, 1, 15, 0, 30, tzinfo=UTC)
    assert new_york == datetime(2031, 1, 15, 14, 30, tzinfo=UTC)
    assert anywhere == datetime(2031, 1, 15, 9, 30, tzinfo=UTC)
    assert {row["expires_at"] - row["due_at"] for row in rows} == {timedelta(minutes=1)}
    assert await asked_for(outbox, pool) == []


async def test_messages_are_asked_for_ahead_of_their_time_and_carry_what_the_run_says(outbox: Outbox, pool: Pool) -> None:
    soon, later = now() + timedelta(seconds=5), now() + timedelta(seconds=60)
    hours = Hours(zone="UTC", allowed=[DailySpan(start="00:00", end="00:00")])
    about: dict[str, Any] = {
        "tier": Tier.HIGH,
        "on_unknown": OnUnknown.RESEND,
        "needs_consent": False,
        "reference": "ref",
        "metadata": {"a": "b"},
    }
    run_id = await opened_with(
        outbox, [recipient(1, contact_id="ctc_1")], due_at=soon, expires_at=later, ttl_seconds=3600, hours=hours, **about
    )
    waiting = await opened_with(outbox, [recipient(1)], due_at=later)
    (request,) = await asked_for(outbox, pool)
    assert {name: getattr(request, name) for name in about} == about
    assert (request.run_id, request.number_id, request.contact_id, request.to) == (run_id, NUMBER, "ctc_1", "+15550000001")
    assert (request.not_before, request.expires_at) == (soon, later)
    assert request.hours == hours.model_copy(update={"zone": "Europe/Madrid"})
    assert request.content == recipient(1).content
    await pool.execute("UPDATE recipients SET due_at = now() WHERE run_id = $1", waiting)
    assert await asked_for(outbox, pool) == [], "nobody looks at it before its time"


async def test_what_is_past_its_time_expires_and_what_has_come_into_quiet_hours_waits(outbox: Outbox, pool: Pool) -> None:
    expired = await opened_with(outbox, [recipient(1)], due_at=now() - timedelta(hours=2), ttl_seconds=60)
    assert await asked_for(outbox, pool) == []
    assert (await counted(pool, expired)).expired == 1
    wall = now() + timedelta(minutes=5)
    closed = Hours(
        zone="UTC", quiet=[DailySpan(start="00:00", end=f"{wall:%H:%M}"), DailySpan(start=f"{wall:%H:%M}", end="00:00")]
    )
    quiet = await opened_with(outbox, [recipient(1), recipient(2, zone="UTC")], hours=closed)
    found = await counted(pool, quiet)
    assert (found.rejected, found.pending) == (2, 0), "hours without an opening are nobody's"
    minute = now().replace(second=0, microsecond=0)
    shut = [DailySpan(start=f"{minute - timedelta(minutes=5):%H:%M}", end=f"{minute + timedelta(minutes=30):%H:%M}")]
    later = await opened_with(outbox, [recipient(3, zone="UTC")], hours=Hours(zone="UTC", quiet=shut))
    await pool.execute("UPDATE recipients SET due_at = now() WHERE run_id = $1", later)
    await pool.execute("UPDATE runs SET tend_at = now() WHERE id = $1", later)
    assert await asked_for(outbox, pool) == []
    assert await pool.fetchval("SELECT due_at FROM recipients WHERE run_id = $1", later) == minute + timedelta(minutes=30)
