"""What each outcome does: to its message, to its number, to everybody else."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web

from services.sender import reconcile
from services.sender.domain.retry import RetryPolicy
from services.sender.limits import LimitSettings
from shared.events.catalogue import (
    MessageConfirmed,
    MessageDeferred,
    MessageFailed,
    MessageSent,
    MessageUnsettled,
    NumberPaused,
)
from shared.events.values import Gate, OnUnknown, Profile, Tier
from shared.ids import NumberId
from shared.limits.breaker import BreakerPolicy, State
from tests.integration.sender.scene import NUMBER, TENANT, refusing, released, scene
from tests.support.database import Database
from tests.support.platform import until
from tests.support.told import told

OTHER = NumberId("num_2")


async def test_a_dead_token_pauses_the_number_once_and_its_messages_wait(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        await there.connect(OTHER)
        there.provider.answer = refusing(190, 401)
        await there.delivery.take([released()])
        await there.until_settled(1)
        paused, deferred = sorted(await told(there.pool), key=lambda event: event.event_name, reverse=True)
        assert isinstance(paused, NumberPaused)
        assert (paused.number_id, paused.revision, paused.code) == (NUMBER, 1, "provider.190")
        assert isinstance(deferred, MessageDeferred)
        assert not deferred.counted
        assert deferred.gate is not None
        assert (deferred.gate.scope, deferred.gate.tier) == (NUMBER, Tier.CRITICAL)
        assert timedelta(seconds=4) < deferred.gate.until - deferred.occurred_at <= timedelta(seconds=5)

        await there.delivery.take([released(), released()])
        downs = await told(there.pool)
        assert {type(event) for event in downs} == {MessageDeferred}
        assert {event.code for event in downs if isinstance(event, MessageDeferred)} == {"number.paused"}
        assert there.provider.by_number == {"1": 1}, "nothing more is called"

        there.provider.answers_to["+7"] = there.provider.answer
        await there.delivery.take([released(number_id=OTHER, to="+8")])
        await there.until_settled(4)
        assert there.provider.by_number["2"] == 1, "another number goes on"


async def test_a_new_revision_of_its_record_opens_the_number_again(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path, paused="tenant.paused") as there:
        await there.delivery.take([released()])
        (down,) = await told(there.pool)
        assert isinstance(down, MessageDeferred)
        assert down.code == "number.paused"
        await there.connect(paused=None)
        await there.delivery.take([released()])
        await there.until_settled(2)
        assert [type(event) for event in await told(there.pool)] == [MessageSent]


async def test_a_throttled_number_rests_whole_and_is_slowed(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        there.provider.answer = refusing(130429)
        await there.delivery.take([released()])
        await there.until_settled(1)
        (event,) = await told(there.pool)
        assert isinstance(event, MessageDeferred)
        assert not event.counted
        assert event.gate == Gate(scope=NUMBER, tier=Tier.CRITICAL, until=event.retry_at)
        number = (await there.numbers.of({NUMBER}))[NUMBER]

        async def is_slow() -> bool:
            return (await there.calls._limiter.rates([number.limits.line]))[number.limits.line.group] < 0.8

        await until(is_slow, "the number to be slowed")
        assert there.breakers.states()["pn:1"] is State.CLOSED, "a throttle is no illness"


async def test_a_refused_pair_rests_ever_longer_and_alone(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        there.provider.answers_to["+1"] = refusing(131056)
        await there.delivery.take([released(to="+1"), released(to="+2")])
        await there.until_settled(2)
        events = await told(there.pool)
        (rest,) = [event for event in events if isinstance(event, MessageDeferred)]
        assert any(isinstance(event, MessageSent) for event in events)
        assert (rest.code, rest.gate, rest.counted) == ("provider.131056", None, False)
        assert timedelta(0) < rest.retry_at - rest.occurred_at < timedelta(seconds=1.1)
        codes = [rest.code]
        # Where a machine stood still for the whole rest it is refused again, and the next one is longer.
        while codes[-1] == "provider.131056":
            await there.delivery.take([released(to="+1")])
            (down,) = await until(lambda: told(there.pool), "what becomes of it")
            assert isinstance(down, MessageDeferred)
            codes.append(down.code)
        assert codes[-1] == "limit.pair", "what comes meanwhile is not even called"


async def test_a_paused_template_rests_and_the_numbers_other_messages_go(database: Database, tmp_path: Path) -> None:
    def template(name: str) -> dict[str, object]:
        return {"type": "template", "template": {"name": name, "language": {"code": "en_US"}}}

    async with scene(database, tmp_path) as there:
        there.provider.answers_to["+1"] = refusing(132015)
        await there.delivery.take([released(to="+1", content=template("tired"))])
        await there.until_settled(1)
        (rest,) = await told(there.pool)
        assert isinstance(rest, MessageDeferred)
        assert rest.retry_at - datetime.now(UTC) > timedelta(hours=2)
        assert rest.gate is None
        there.numbers.forget([NUMBER])  # as another process would: from the table
        await there.delivery.take([released(content=template("tired")), released(content=template("fresh")), released()])
        await there.until_settled(4)
        assert (await there.states())["template.paused"] == 1
        assert len(there.provider.got) == 3


async def test_five_failures_open_the_breaker_of_the_number_and_of_its_provider(database: Database, tmp_path: Path) -> None:
    async def broken(_: str) -> web.Response:
        return web.Response(status=502, text="<html>")

    async with scene(database, tmp_path) as there:
        there.provider.answer = broken
        await there.delivery.take([released() for _ in range(5)])
        await there.until_settled(5)
        assert {type(event) for event in await told(there.pool)} == {MessageUnsettled}
        assert set(there.breakers.states().values()) == {State.OPEN}
        await there.delivery.take([released()])
        (down,) = await told(there.pool)
        assert isinstance(down, MessageDeferred)
        assert (down.code, down.counted) == ("provider.breaker_open", False)
        assert down.gate is not None
        assert down.gate.until == down.retry_at
        assert timedelta(seconds=50) < down.retry_at - down.occurred_at <= timedelta(seconds=61)
        assert len(there.provider.got) == 5


async def test_the_few_of_a_burst_that_hung_open_no_breaker(database: Database, tmp_path: Path) -> None:
    """By the time they fail, nothing else has been answered for long."""
    end = asyncio.Event()

    async def hangs(_: str) -> web.Response:
        await end.wait()
        return web.Response(status=500)

    async with scene(database, tmp_path) as there:
        for n in range(8):
            there.provider.answers_to[f"+{n}"] = hangs
        await there.delivery.take([released(to=f"+{n}") for n in range(48)])
        await there.until_settled(40)
        end.set()
        await there.until_settled(48)
        assert set(there.breakers.states().values()) == {State.CLOSED}


async def test_refusals_of_messages_open_no_breaker(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        there.provider.answer = refusing(131026)
        await there.delivery.take([released() for _ in range(30)])
        await there.until_settled(30)
        assert {type(event) for event in await told(there.pool)} == {MessageFailed}
        assert set(there.breakers.states().values()) == {State.CLOSED}


async def test_half_open_one_probe_goes_and_the_rest_waits_for_its_answer(database: Database, tmp_path: Path) -> None:
    probed, answered = asyncio.Event(), asyncio.Event()

    async def broken(_: str) -> web.Response:
        return web.Response(status=500)

    async def slow(attempt: str) -> web.Response:
        probed.set()
        await answered.wait()
        return web.json_response({"messages": [{"id": f"wamid.{attempt}"}]})

    async with scene(database, tmp_path, breaker=BreakerPolicy(open_seconds=0.2)) as there:
        there.provider.answer = broken
        await there.delivery.take([released() for _ in range(5)])
        await there.until_settled(5)
        await told(there.pool)
        there.provider.answer = slow
        await until(lambda: State.HALF_OPEN in there.breakers.states().values(), "the breaker to be half-open")
        await there.delivery.take([released() for _ in range(4)])
        await probed.wait()
        await there.until_settled(8)
        downs = await told(there.pool)
        assert [event.code for event in downs if isinstance(event, MessageDeferred)] == ["provider.breaker_open"] * 3
        answered.set()
        await there.until_settled(9)
        for _ in range(5):
            await there.delivery.take([released()])
        await until(lambda: set(there.breakers.states().values()) == {State.CLOSED}, "the breaker to be closed")


async def test_a_message_that_keeps_failing_is_given_up_by_policy(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path, policy=RetryPolicy(attempts=3)) as there:
        there.provider.answer = refusing(131000, 500)
        await there.delivery.take([released(), released(attempt=3, failures=2)])
        await there.until_settled(2)
        events = {type(event): event for event in await told(there.pool)}
        again, failed = events[MessageDeferred], events[MessageFailed]
        assert isinstance(again, MessageDeferred)
        assert again.counted
        assert isinstance(failed, MessageFailed)
        assert failed.code == "attempts.exhausted"


async def test_a_device_number_has_its_limit_per_tier_and_gates_that_tier(database: Database, tmp_path: Path) -> None:
    limits = LimitSettings(b"secret", per_minute=(200, 100, 60, 30))
    async with scene(database, tmp_path, limits=limits, profile=Profile.DEVICE) as there:
        await there.delivery.take([released(tier=Tier.LOW) for _ in range(6)] + [released(tier=Tier.CRITICAL)])
        await there.until_settled(7)
        events = await told(there.pool)
        downs = [event for event in events if isinstance(event, MessageDeferred)]
        assert {event.code for event in downs} == {"limit.tier"}
        assert len(downs) == 5, "one at once, then one every two seconds"
        gates = [event.gate for event in downs if event.gate is not None]
        assert [(gate.scope, gate.tier) for gate in gates] == [(NUMBER, Tier.LOW)]
        assert len({event.retry_at for event in downs}) == 5


async def test_a_tenants_limit_gates_the_tenant(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path, limits=LimitSettings(b"secret", tenant_per_second=10)) as there:
        await there.delivery.take([released() for _ in range(5)])
        await there.until_settled(5)
        downs = [event for event in await told(there.pool) if isinstance(event, MessageDeferred)]
        assert {event.code for event in downs} == {"limit.tenant"}
        assert {event.gate.scope for event in downs if event.gate is not None} == {TENANT}


async def test_new_users_outside_the_window_are_counted_per_portfolio(database: Database, tmp_path: Path) -> None:
    def template(to: str) -> dict[str, object]:
        return {"to": to, "content": {"type": "template", "template": {"name": "t", "language": {"code": "en"}}}}

    async with scene(database, tmp_path, portfolio_id="77", unique_users_per_day=2) as there:
        events = [released(**template(to)) for to in ("+1", "+2", "+1", "+3")]
        await there.delivery.take([*events, released(to="+4")])
        await there.until_settled(5)
        (down,) = [event for event in await told(there.pool) if isinstance(event, MessageDeferred)]
    assert down.message_id == events[3].message_id, "a user counted already, and a message that is no template, are free"
    assert down.code == "limit.unique_users"
    assert timedelta(hours=23) < down.retry_at - datetime.now(UTC) <= timedelta(hours=24)


async def test_a_number_that_is_to_rest_for_long_rests_at_once_with_all_that_is_claimed(
    database: Database, tmp_path: Path
) -> None:
    async with scene(database, tmp_path, messages_per_second=20) as there:
        there.provider.answer = refusing(80007)
        await there.delivery.take([released() for _ in range(30)])
        await there.until_settled(30)
        downs = [event for event in await told(there.pool) if isinstance(event, MessageDeferred)]
        assert {event.code for event in downs} == {"provider.80007", "number.throttled"}
        assert len(there.provider.got) <= 3
        assert all(event.retry_at - datetime.now(UTC) > timedelta(seconds=50) for event in downs)
        await there.delivery.take([released()])
        (down,) = await told(there.pool)
        assert isinstance(down, MessageDeferred)
        assert down.code == "number.throttled"


async def test_a_number_far_slower_than_its_record_does_not_take_the_room_of_others(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        number = (await there.numbers.of({NUMBER}))[NUMBER]
        await there.connect(OTHER)
        line = number.limits.line
        there.calls._lines.add_slots(line, [], step=1.0)
        there.calls._lines.add(line, 3, None, asyncio.get_running_loop().time())  # type: ignore[arg-type]  # stands for a job
        for _ in range(3):
            there.calls._lines.add(line, 3, None, asyncio.get_running_loop().time())  # type: ignore[arg-type]  # the same
        await there.delivery.take([released(), released(number_id=OTHER)])
        downs = [event for event in await told(there.pool) if isinstance(event, MessageDeferred)]
        assert [event.code for event in downs] == ["number.slow"]
        assert downs[0].gate is not None
        assert downs[0].gate.scope == NUMBER
        there.calls._lines.clear()
        await there.until_settled(2)


async def test_a_report_on_a_message_put_back_settles_it(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        event = released(on_unknown=OnUnknown.RESEND)
        there.provider.answer = broken_answer
        await there.delivery.take([event])
        await there.until_settled(1)
        await reconcile.end_grace(there.outbox, 0)
        await told(there.pool)
        confirmed = MessageConfirmed(tenant_id=TENANT, message_id=event.message_id, attempt=1, wamid="wamid.x")
        await reconcile.confirm(there.outbox, [confirmed])
        assert [type(one) for one in await told(there.pool)] == [MessageSent]


async def broken_answer(_: str) -> web.Response:
    return web.Response(status=502, text="<html>")


async def test_a_hanging_number_takes_its_share_of_the_calls_and_no_more(database: Database, tmp_path: Path) -> None:
    end = asyncio.Event()

    async def hangs(attempt: str) -> web.Response:
        await end.wait()
        return web.json_response({"messages": [{"id": f"wamid.{attempt}"}]})

    async with scene(database, tmp_path, concurrency=16, per_number=4) as there:
        await there.connect(OTHER)
        for n in range(40):
            there.provider.answers_to[f"+{n}"] = hangs
        await there.delivery.take([released(to=f"+{n}") for n in range(40)])
        await there.delivery.take([released(number_id=OTHER) for _ in range(60)])
        await there.until_settled(60)
        assert there.provider.by_number["2"] == 60
        assert there.provider.by_number["1"] == 4
        end.set()
        await there.until_settled(100)


async def test_draining_gives_back_what_has_not_left(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path, messages_per_second=10) as there:
        await there.delivery.take([released() for _ in range(30)])
        await there.until_settled(1)
    async with scene(database, tmp_path / "next") as there:
        states = await there.states()
        events = await told(there.pool)
    assert set(states) == {"sent", "sender.draining"}
    assert states["sent"] + states["sender.draining"] == 30
    assert len([event for event in events if isinstance(event, MessageDeferred)]) == states["sender.draining"]
