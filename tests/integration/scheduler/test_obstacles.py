"""Obstacles: what is due and cannot leave is told with its reason, and is not looked at again and again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.scheduler import hold, learn, release
from services.scheduler.domain.obstacle import DOUBT
from services.scheduler.store import erasing, projections
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.events.catalogue import (
    ContactConsentChanged,
    MessageAccepted,
    MessageCanceled,
    MessageExpired,
    MessageHeld,
    MessageReceived,
    MessageRefused,
    MessageReleased,
    MessageSuppressed,
    NumberConnected,
    TemplateChanged,
)
from shared.events.event import Event
from shared.events.values import Consent, ConsentScope, DailySpan, Hours, Tier, WindowPolicy
from shared.ids import NumberId
from tests.integration.scheduler.telling import (
    NUMBER,
    OTHER_TENANT,
    TENANT,
    accepted,
    cancel,
    connect,
    consistent,
    nothing,
    now,
    outcome,
    settle,
)
from tests.support.told import told

PHONE = "+15551234567"
TEXT = {"type": "text", "text": {"body": "hello"}}
HOUR = timedelta(hours=1)


def template(name: str = "sale", language: str = "en_US") -> dict[str, Any]:
    return {"type": "template", "template": {"name": name, "language": {"code": language}}}


def consent(
    consent: Consent = Consent.OPTED_OUT, scope: ConsentScope = ConsentScope.ALL, at: datetime | None = None, **changes: Any
) -> ContactConsentChanged:
    head = {"tenant_id": TENANT, "contact_id": "ctc_1", "phone": PHONE, "source": "keyword", **changes}
    return ContactConsentChanged(**head, consent=consent, scope=scope, changed_at=at or now())


def changed(
    held: str | None, category: str = "marketing", at: datetime | None = None, name: str = "sale", account: str = "waba_1"
) -> TemplateChanged:
    return TemplateChanged(
        tenant_id=TENANT,
        account_id=account,
        name=name,
        language="en_US",
        category=category,
        held=held,
        changed_at=at or now(),
    )


async def connect_account(
    outbox: Outbox, pool: Pool, policy: WindowPolicy = WindowPolicy.ENFORCE, *, known: bool = True
) -> None:
    """A number of the account, whose windows have been known for long."""
    event = NumberConnected(
        tenant_id=TENANT,
        number_id=NUMBER,
        revision=1,
        phone_number_id="1",
        provider_url="http://x",
        sealed_access_token="",
        messages_per_second=80,
        account_id="waba_1",
        window_policy=policy,
        connected_at=now() - timedelta(days=3),
    )
    await hold.know_numbers(outbox, [event], nothing)
    if known:
        await pool.execute("UPDATE numbers SET window_known_from = now()")


async def inbound(outbox: Outbox, ago: timedelta, number: str = NUMBER, sender: str = PHONE, **more: Any) -> None:
    event = MessageReceived(
        tenant_id=TENANT,
        number_id=NumberId(number),
        wamid="w",
        sender=sender,
        content=TEXT,
        received_at=now() - ago,
        **more,
    )
    await learn.learn_windows(outbox, [event])


async def held(outbox: Outbox, *messages: MessageAccepted) -> None:
    await hold.hold(outbox, messages, nothing)


async def round_of(outbox: Outbox, pool: Pool) -> Sequence[Event]:
    """What one round tells."""
    await release.release_due(outbox)
    return await told(pool)


async def pass_by(pool: Pool, time: timedelta) -> None:
    """As if so much time had passed for the holds."""
    await pool.execute("UPDATE holds SET due_at = due_at - $1::interval, quiet_at = quiet_at - $1::interval", time)


# -- consent ------------------------------------------------------------------------------------------------------------------


async def test_an_opt_out_suppresses_what_waits_for_later_at_once(outbox: Outbox, pool: Pool) -> None:
    later, other = accepted(due=3600), accepted(due=3600, to="+15550000000")
    anyway = accepted(due=3600, needs_consent=False)
    await held(outbox, later, other, anyway)
    await learn.learn_consent(outbox, [consent()])
    (event,) = await told(pool)
    assert isinstance(event, MessageSuppressed)
    assert (event.message_id, event.tenant_id, event.code) == (later.message_id, TENANT, "contact.opted_out")
    assert event.traceparent == later.traceparent
    rest = {row["message_id"] for row in await pool.fetch("SELECT message_id FROM holds")}
    assert rest == {other.message_id, anyway.message_id}


async def test_an_opt_out_one_moment_before_the_due_time_stops_the_send(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    soon, anyway = accepted(due=1), accepted(due=1, needs_consent=False)
    await held(outbox, soon, anyway)
    await learn.learn_consent(outbox, [consent()])
    assert await told(pool) == [], "it is looked at when it is due"
    await pass_by(pool, timedelta(seconds=2))
    suppressed, released = sorted(await round_of(outbox, pool), key=lambda event: event.event_name, reverse=True)
    assert isinstance(suppressed, MessageSuppressed)
    assert suppressed.message_id == soon.message_id
    assert isinstance(released, MessageReleased)
    assert released.message_id == anyway.message_id
    assert await consistent(pool) == 1


async def test_an_opt_out_is_of_one_tenant(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    await held(outbox, accepted(due=3600), accepted())
    await learn.learn_consent(outbox, [consent(tenant_id=OTHER_TENANT)])
    assert [event.event_name for event in await round_of(outbox, pool)] == ["message.released"]


async def erase(pool: Pool, *addresses: str) -> None:
    """As far as their consent goes."""
    async with pool.acquire() as connection:
        await erasing.hide_suppressions(connection, TENANT, addresses)
    assert await pool.fetchval("SELECT count(*) FROM suppressions WHERE phone = ANY ($1::text[])", addresses) == 0


async def test_who_has_opted_out_and_was_erased_is_not_written_to(outbox: Outbox, pool: Pool) -> None:
    """Others of the tenant are, and so is who has the address at another tenant."""
    await connect(outbox)
    await learn.learn_consent(outbox, [consent()])
    await erase(pool, PHONE)
    theirs, others, anyway = accepted(), accepted(to="+15550000000"), accepted(needs_consent=False)
    await held(outbox, theirs, others, anyway)
    events = await round_of(outbox, pool)
    assert [event.message_id for event in events if isinstance(event, MessageSuppressed)] == [theirs.message_id]
    assert {event.message_id for event in events if isinstance(event, MessageReleased)} == {
        others.message_id,
        anyway.message_id,
    }


async def test_what_is_kept_of_others_tenants_stops_nobody(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    await learn.learn_consent(outbox, [consent()])
    await erase(pool, PHONE)
    await pool.execute("UPDATE kept_suppressions SET tenant_id = $1", OTHER_TENANT)
    await held(outbox, accepted())
    assert [event.event_name for event in await round_of(outbox, pool)] == ["message.released"]


async def test_who_was_erased_and_wants_to_be_written_to_again_is(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    await learn.learn_consent(outbox, [consent(at=now() - HOUR)])
    await erase(pool, PHONE)
    await learn.learn_consent(outbox, [consent(Consent.OPTED_IN)])
    assert await pool.fetchval("SELECT count(*) FROM kept_suppressions") == 0
    await held(outbox, accepted())
    assert [event.event_name for event in await round_of(outbox, pool)] == ["message.released"]


@pytest.mark.parametrize(("category", "stopped"), [("marketing", True), ("utility", False), (None, False)])
async def test_an_opt_out_of_marketing_stops_marketing_templates_only(
    category: str | None, stopped: bool, outbox: Outbox, pool: Pool
) -> None:
    await connect_account(outbox, pool, WindowPolicy.IGNORE)
    if category is not None:
        await learn.learn_templates(outbox, [changed(None, category)], nothing)
    due, later = accepted(content=template()), accepted(due=3600, content=template())
    await held(outbox, due, later, accepted(), accepted(due=3600))
    await learn.learn_consent(outbox, [consent(scope=ConsentScope.MARKETING)])
    events = await round_of(outbox, pool)
    suppressed = {event.message_id for event in events if isinstance(event, MessageSuppressed)}
    assert suppressed == ({due.message_id, later.message_id} if stopped else set())
    assert sum(isinstance(event, MessageReleased) for event in events) == (1 if stopped else 2)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
@pytest.mark.parametrize("at_once", [True, False])
async def test_the_latest_of_several_changes_counts_in_whatever_order_they_come(
    order: tuple[int, ...], at_once: bool, outbox: Outbox, pool: Pool
) -> None:
    at = now()
    history = [
        consent(at=at - 3 * HOUR),
        consent(Consent.OPTED_IN, at=at - 2 * HOUR),
        consent(at=at - HOUR, scope=ConsentScope.MARKETING),
    ]
    tellings = [[history[n] for n in order]] if at_once else [[history[n]] for n in order]
    for telling in tellings:
        await learn.learn_consent(outbox, telling)
    assert await pool.fetchval("SELECT scope FROM suppressions") == "marketing"
    await learn.learn_consent(outbox, [consent(Consent.OPTED_IN, at=at)])
    await learn.learn_consent(outbox, history)
    await connect(outbox)
    await held(outbox, accepted())
    assert [event.event_name for event in await round_of(outbox, pool)] == ["message.released"]


async def test_opt_ins_are_forgotten_when_no_older_opt_out_can_be_told_any_more(outbox: Outbox, pool: Pool) -> None:
    await learn.learn_consent(outbox, [consent(), consent(Consent.OPTED_IN, phone="+15550000000"), consent(phone=None)])
    await projections.prune_lifted(pool, days=1, limit=10)
    assert await pool.fetchval("SELECT count(*) FROM suppressions") == 2
    await pool.execute("UPDATE suppressions SET told_at = now() - interval '2 days'")
    await projections.prune_lifted(pool, days=1, limit=10)
    assert await pool.fetchval("SELECT phone FROM suppressions") == PHONE


# -- templates ----------------------------------------------------------------------------------------------------------------


async def test_a_held_template_blocks_its_messages_until_it_comes_back(outbox: Outbox, pool: Pool) -> None:
    await connect_account(outbox, pool)
    await learn.learn_templates(outbox, [changed("template.paused")], nothing)
    blocked, other = accepted(content=template()), accepted(content=template("news"))
    await held(outbox, blocked, other)
    events = {event.event_name: event for event in await round_of(outbox, pool)}
    assert events["message.released"].model_dump()["message_id"] == other.message_id
    said = events["message.held"]
    assert isinstance(said, MessageHeld)
    assert (said.message_id, said.code, said.until) == (blocked.message_id, "template.paused", None)
    assert await round_of(outbox, pool) == [], "said once"
    await learn.learn_templates(outbox, [changed(None, at=now() - HOUR)], nothing)
    assert await round_of(outbox, pool) == [], "what was told before it was held changes nothing"
    await learn.learn_templates(outbox, [changed(None)], nothing)
    (event,) = await round_of(outbox, pool)
    assert isinstance(event, MessageReleased)
    assert event.message_id == blocked.message_id
    assert event.first_due_at is not None
    assert event.first_due_at > blocked.not_before, "it could not have been sent before"


async def test_a_template_of_another_account_blocks_nothing(outbox: Outbox, pool: Pool) -> None:
    await connect_account(outbox, pool)
    await learn.learn_templates(outbox, [changed("template.paused", account="waba_2")], nothing)
    await held(outbox, accepted(content=template()))
    assert [event.event_name for event in await round_of(outbox, pool)] == ["message.released"]


async def test_blocked_messages_are_canceled_suppressed_and_expire_like_others(outbox: Outbox, pool: Pool) -> None:
    await connect_account(outbox, pool)
    await learn.learn_templates(outbox, [changed("template.paused", "utility")], nothing)
    canceled, expired = accepted(content=template(), needs_consent=False), accepted(content=template(), expires=60)
    suppressed = accepted(content=template(), to="+15550000000")
    await held(outbox, canceled, expired, suppressed)
    await round_of(outbox, pool)
    await cancel(outbox, canceled.message_id)
    await learn.learn_consent(outbox, [consent(phone="+15550000000")])
    await pool.execute("UPDATE holds SET expires_at = now()")
    await release.expire(outbox)
    events = await told(pool)
    kinds = {event.model_dump()["message_id"]: type(event) for event in events}
    assert kinds == {
        canceled.message_id: MessageCanceled,
        expired.message_id: MessageExpired,
        suppressed.message_id: MessageSuppressed,
    }
    assert await pool.fetchval("SELECT count(*) FROM holds") == 0


async def test_many_blocked_messages_come_back_in_parts(outbox: Outbox, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learn, "UNBLOCK_LIMIT", 3)
    await connect_account(outbox, pool)
    await learn.learn_templates(outbox, [changed("template.paused")], nothing)
    await held(outbox, *(accepted(content=template()) for _ in range(10)))
    assert len(await round_of(outbox, pool)) == 10
    await learn.learn_templates(outbox, [changed(None)], nothing)
    assert len(await round_of(outbox, pool)) == 10


# -- customer service windows ---------------------------------------------------------------------------------------------------


async def refused_or_released(outbox: Outbox, pool: Pool) -> Event:
    """What becomes of the one message that is due, the moment of doubt passed."""
    events = await round_of(outbox, pool)
    if not events:
        assert await round_of(outbox, pool) == [], "not looked at again before its time"
        await pass_by(pool, DOUBT)
        events = await round_of(outbox, pool)
    (event,) = events
    return event


@pytest.mark.parametrize("ago", [timedelta(hours=25), None])
async def test_free_form_content_outside_the_window_is_refused(ago: timedelta | None, outbox: Outbox, pool: Pool) -> None:
    await connect_account(outbox, pool)
    if ago is not None:
        await inbound(outbox, ago)
    await inbound(outbox, HOUR, sender="+15550000000")
    await inbound(outbox, HOUR, number="num_2")
    message = accepted()
    await held(outbox, message)
    event = await refused_or_released(outbox, pool)
    assert isinstance(event, MessageRefused)
    assert (event.message_id, event.code) == (message.message_id, "window.closed")
    assert await pool.fetchval("SELECT count(*) FROM holds") == await consistent(pool) == 0


async def test_an_answer_that_overtakes_the_news_of_its_question_is_sent(outbox: Outbox, pool: Pool) -> None:
    await connect_account(outbox, pool)
    await held(outbox, accepted())
    assert await round_of(outbox, pool) == []
    await inbound(outbox, timedelta(0))
    await pass_by(pool, DOUBT)
    assert [event.event_name for event in await round_of(outbox, pool)] == ["message.released"]


@pytest.mark.parametrize("why", ["inbound", "late news", "template", "ignored", "not known for long", "not told"])
async def test_nothing_is_refused_where_the_window_is_open_or_unknown_or_not_needed(
    why: str, outbox: Outbox, pool: Pool
) -> None:
    match why:
        case "ignored":
            await connect_account(outbox, pool, WindowPolicy.IGNORE)
        case "not known for long":
            await connect_account(outbox, pool, known=False)
        case "not told":
            await connect(outbox)
            await pool.execute("UPDATE numbers SET window_known_from = now()")
        case _:
            await connect_account(outbox, pool)
    if why == "inbound":
        await inbound(outbox, timedelta(hours=23))
    if why == "late news":
        await inbound(outbox, timedelta(hours=1))
        await inbound(outbox, timedelta(hours=30))
    await held(outbox, accepted(content=template()) if why == "template" else accepted())
    assert [event.event_name for event in await round_of(outbox, pool)] == ["message.released"]


async def test_a_window_is_open_for_every_spelling_of_a_phone(outbox: Outbox, pool: Pool) -> None:
    await inbound(outbox, timedelta(hours=1), sender="+5215512345678")
    assert {row["phone"] for row in await pool.fetch("SELECT phone FROM windows")} == {"+5215512345678", "+525512345678"}


async def test_windows_that_have_closed_are_forgotten(outbox: Outbox, pool: Pool) -> None:
    await inbound(outbox, timedelta(hours=26))
    await inbound(outbox, timedelta(hours=23), sender="+15550000000")
    await projections.prune_windows(pool, limit=10)
    assert await pool.fetchval("SELECT phone FROM windows") == "+15550000000"


# -- quiet hours ----------------------------------------------------------------------------------------------------------------


def quiet(start: timedelta, end: timedelta) -> Hours:
    """Quiet from one time to another, told from this minute (UTC)."""
    at = now()
    span = DailySpan(start=f"{at + start:%H:%M}", end=f"{at + end:%H:%M}")
    return Hours(zone="Etc/UTC", quiet=[span])


async def test_a_message_waits_for_the_end_of_quiet_hours_and_says_so_once(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    message = accepted(hours=quiet(-HOUR, 2 * HOUR))
    await held(outbox, message)
    (event,) = await round_of(outbox, pool)
    assert isinstance(event, MessageHeld)
    assert (event.message_id, event.code) == (message.message_id, "hours.quiet")
    assert event.until is not None
    assert timedelta(minutes=119) <= event.until - now() <= timedelta(minutes=121)
    row = await pool.fetchrow("SELECT due_at, quiet_at, state FROM holds")
    assert row is not None
    assert (row["due_at"], row["state"]) == (event.until, "waiting")
    assert row["quiet_at"] - row["due_at"] == timedelta(hours=21)
    assert await round_of(outbox, pool) == []
    await learn.learn_consent(outbox, [consent()])
    assert [event.event_name for event in await told(pool)] == ["message.suppressed"], "it waits for later now"


async def test_a_message_that_finds_no_room_before_quiet_hours_begin_waits_for_their_end(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    await held(outbox, accepted(hours=quiet(2 * HOUR, 5 * HOUR)))
    await pool.execute("UPDATE numbers SET in_flight = window_size")
    assert await round_of(outbox, pool) == []
    await pool.execute("UPDATE numbers SET in_flight = 0")
    await pool.execute("UPDATE holds SET quiet_at = now(), hours = $1", quiet(-HOUR, HOUR).model_dump_json())
    (event,) = await round_of(outbox, pool)
    assert isinstance(event, MessageHeld)


@pytest.mark.parametrize("why", ["open", "critical"])
async def test_a_message_leaves_in_open_hours_and_a_critical_one_always(why: str, outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    hours = quiet(-HOUR, HOUR) if why == "critical" else quiet(HOUR, 2 * HOUR)
    await held(outbox, accepted(Tier.CRITICAL if why == "critical" else Tier.NORMAL, hours=hours))
    assert [event.event_name for event in await round_of(outbox, pool)] == ["message.released"]


async def test_a_message_that_was_due_in_quiet_hours_leaves_where_they_are_over(outbox: Outbox, pool: Pool) -> None:
    """The scheduler was away when they ended."""
    await connect(outbox)
    await held(outbox, accepted(due=-7200, hours=quiet(-3 * HOUR, -HOUR)))
    assert await round_of(outbox, pool) == []
    assert [event.event_name for event in await round_of(outbox, pool)] == ["message.released"]


@pytest.mark.parametrize(
    "hours",
    [
        Hours(zone="Etc/UTC", quiet=[DailySpan(start="00:00", end="00:00")]),
        Hours(zone="No/Where", quiet=[DailySpan(start="00:00", end="01:00")]),
    ],
    ids=["never open", "no zone"],
)
async def test_a_message_whose_hours_never_open_is_refused(hours: Hours, outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    await held(outbox, accepted(hours=hours), accepted())
    events = await round_of(outbox, pool)
    assert {event.event_name for event in events} == {"message.refused", "message.released"}
    assert {event.code for event in events if isinstance(event, MessageRefused)} == {"hours.unusable"}


# -- together -------------------------------------------------------------------------------------------------------------------


async def test_obstacles_do_not_keep_those_behind_them(outbox: Outbox, pool: Pool) -> None:
    await connect_account(outbox, pool)
    await learn.learn_consent(outbox, [consent(phone="+15550000001")])
    await learn.learn_templates(outbox, [changed("template.paused")], nothing)
    await inbound(outbox, HOUR)
    stopped = [accepted(due=-60, to="+15550000001") for _ in range(100)]
    stopped += [accepted(due=-60, content=template()) for _ in range(100)]
    stopped += [accepted(due=-60, to="+15550000002") for _ in range(100)]
    stopped += [accepted(due=-60, hours=quiet(-HOUR, HOUR)) for _ in range(100)]
    fine = [accepted() for _ in range(20)]
    await held(outbox, *stopped, *fine)
    events: list[Event] = []
    while await release.release_due(outbox):
        events += await told(pool)
    released = {event.message_id for event in events if isinstance(event, MessageReleased)}
    assert released == {message.message_id for message in fine}
    assert sum(isinstance(event, MessageSuppressed) for event in events) == 100
    assert sum(isinstance(event, MessageHeld) for event in events) == 200
    await consistent(pool)
    await settle(outbox, *(outcome("sent", event) for event in events if isinstance(event, MessageReleased)))
    assert await consistent(pool) == 0


async def test_a_message_that_is_tried_again_is_looked_at_again(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    await held(outbox, accepted())
    (first,) = await round_of(outbox, pool)
    assert isinstance(first, MessageReleased)
    await learn.learn_consent(outbox, [consent()])
    await settle(outbox, outcome("deferred", first))
    assert [event.event_name for event in await round_of(outbox, pool)] == ["message.suppressed"]


async def test_the_numbers_of_one_tenant_do_not_stand_before_anothers(outbox: Outbox, pool: Pool) -> None:
    """The second tenant's number was served a moment ago; the first tenant has more numbers that wait than a round takes."""
    for n in range(release.CLAIM_NUMBERS + 8):
        await connect(outbox, f"num_a{n:02}")
        await held(outbox, accepted(due=-60, number=f"num_a{n:02}"))
    await connect(outbox, "num_b", tenant=OTHER_TENANT)
    await pool.execute("UPDATE numbers SET served_at = now() WHERE number_id = 'num_b'")
    await held(outbox, accepted(number="num_b", tenant_id=OTHER_TENANT))
    assert "num_b" in {event.number_id for event in await round_of(outbox, pool) if isinstance(event, MessageReleased)}


async def test_the_hours_of_the_past_are_kept_with_the_hold(outbox: Outbox, pool: Pool) -> None:
    hours = quiet(HOUR, 2 * HOUR)
    await held(outbox, accepted(due=600, hours=hours))
    row = await pool.fetchrow("SELECT hours, quiet_at, due_at FROM holds")
    assert row is not None
    assert Hours.model_validate_json(row["hours"]) == hours
    assert row["quiet_at"] > row["due_at"]
    assert row["quiet_at"].astimezone(UTC).strftime("%H:%M") == hours.quiet[0].start


@pytest.mark.parametrize(
    ("more", "opened"),
    [
        ({}, {PHONE}),
        ({"user_id": "US.1"}, {PHONE, "US.1"}),
        ({"sender": "US.1", "user_id": "US.1"}, {"US.1"}),
        ({"group_id": "120363", "user_id": "US.1"}, {"group:120363"}),
        ({"is_history": True}, set()),
    ],
)
async def test_a_window_is_open_for_every_address_of_who_wrote(
    more: dict[str, Any], opened: set[str], outbox: Outbox, pool: Pool
) -> None:
    await inbound(outbox, timedelta(hours=1), **more)
    assert {row["phone"] for row in await pool.fetch("SELECT phone FROM windows")} == opened
