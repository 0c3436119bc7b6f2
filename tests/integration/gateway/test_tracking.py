"""What scheduler and sender tell of a message, as its tenant sees it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from services.gateway.domain.state import Change, told
from services.gateway.domain.status import Status
from services.gateway.store import messages
from services.gateway.track import track
from services.gateway.updates import Updates, Watch
from shared.clock import SystemClock
from shared.db.pool import service_url
from shared.events.catalogue import (
    MessageCanceled,
    MessageConfirmed,
    MessageDeferred,
    MessageFailed,
    MessageHeld,
    MessageRefused,
    MessageSent,
    MessageSuppressed,
    MessageUnsettled,
)
from shared.events.event import Event
from shared.events.values import OnUnknown
from shared.ids import MessageId, TenantId
from tests.integration.gateway.serving import Gateway, Tenant
from tests.support.database import Database
from tests.support.told import silent_outbox

START = datetime.now(UTC) + timedelta(hours=1)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Told:
    """One message of a tenant's own, and what is told of it. Times are seconds after `START`, which is after its acceptance."""

    def __init__(self, gateway: Gateway, tenant: Tenant, message: str) -> None:
        self.gateway = gateway
        self.tenant = tenant
        self.ids: Any = {
            "tenant_id": TenantId(tenant.tenant_id),
            "message_id": MessageId(message),
            "attempt": 1,
        }

    @classmethod
    async def new(cls, gateway: Gateway, **body: Any) -> Told:
        tenant = await gateway.new_tenant()
        await gateway.connect(tenant, "1001")
        return cls(gateway, tenant, await gateway.send(tenant, **body))

    def sent(self, seconds: float) -> MessageSent:
        return MessageSent(
            **self.ids, wamid="wamid.1", released_at=at(seconds - 2), started_at=at(seconds - 1), occurred_at=at(seconds)
        )

    def deferred(self, seconds: float, code: str = "limit.pair", wait: float = 60) -> MessageDeferred:
        return MessageDeferred(**self.ids, code=code, counted=False, retry_at=at(seconds + wait), occurred_at=at(seconds))

    def unsettled(self, seconds: float, code: str = "provider.timeout") -> MessageUnsettled:
        return MessageUnsettled(**self.ids, code=code, released_at=at(0.1), started_at=at(0.2), occurred_at=at(seconds))

    async def tell(self, *events: Event) -> None:
        await track(silent_outbox(self.gateway.pool, "gateway"), events, Updates(Watch(SystemClock())))

    async def shown(self) -> dict[str, Any]:
        path = f"/api/messages/{self.ids['message_id']}"
        return dict((await self.gateway.call("GET", path, tenant=self.tenant)).body)


def statuses(shown: dict[str, Any]) -> list[str]:
    return [entry["status"] for entry in shown["timeline"]]


@pytest.mark.parametrize("times", [1, 2])
async def test_the_timeline_is_whole_without_the_release_being_told(times: int, gateway: Gateway) -> None:
    message = await Told.new(gateway)
    events = (message.deferred(1), message.sent(70))
    versions = set()
    for _ in range(times):
        await message.tell(*events)
        versions.add(await gateway.pool.fetchval("SELECT xmin FROM messages"))
    assert len(versions) == 1, "told twice is written once"
    shown = await message.shown()
    assert (shown["status"], shown["provider_id"]) == ("sent", "wamid.1")
    assert statuses(shown) == ["accepted", "scheduled", "queued", "sending", "sent"]
    assert shown["timeline"][1]["code"] == "limit.pair"
    assert "waiting_for" not in shown
    assert "error" not in shown


async def test_a_message_that_waits_says_why_and_until_when(gateway: Gateway) -> None:
    message = await Told.new(gateway)
    await message.tell(message.deferred(1))
    shown = await message.shown()
    assert (shown["status"], shown["waiting_for"]["code"]) == ("accepted", "limit.pair")
    assert datetime.fromisoformat(shown["waiting_for"]["until"]) == at(61)
    listed = (await gateway.call("GET", "/api/messages", tenant=message.tenant)).body["data"][0]
    assert listed["waiting_for"] == shown["waiting_for"]
    assert "timeline" not in listed
    await message.tell(MessageCanceled(**{k: v for k, v in message.ids.items() if k != "attempt"}))
    assert "waiting_for" not in await message.shown()


async def test_when_nobody_reports_the_tenant_is_told_what_that_means(gateway: Gateway) -> None:
    message = await Told.new(gateway, on_unknown="resend")
    await message.tell(message.unsettled(1))
    assert (await message.shown())["error"] == {"code": "provider.timeout"}
    await message.tell(message.unsettled(900, "unknown.unconfirmed"), message.unsettled(1))
    shown = await message.shown()
    assert (shown["status"], shown["error"]["code"]) == ("unknown", "unknown.unconfirmed")
    assert "may have the message" in shown["error"]["detail"]
    assert statuses(shown) == ["accepted", "queued", "sending", "unknown", "unknown"]
    await message.tell(message.sent(1_000))
    assert "error" not in await message.shown()


async def test_what_an_operator_has_given_up_says_so(gateway: Gateway) -> None:
    message = await Told.new(gateway)
    await message.tell(message.unsettled(1, "platform.restored"))
    await message.tell(message.unsettled(900, "platform.discarded"))
    error = (await message.shown())["error"]
    assert error["code"] == "platform.discarded"
    assert "operator" in error["detail"]
    await message.tell(message.sent(1_000))
    assert "error" not in await message.shown()


async def test_a_message_sent_again_waits_for_it_openly(gateway: Gateway) -> None:
    message = await Told.new(gateway, on_unknown="resend")
    await message.tell(message.unsettled(1), message.deferred(900, "unknown.resent", wait=0))
    shown = await message.shown()
    assert (shown["status"], shown["waiting_for"]["code"], shown["on_unknown"]) == ("unknown", "unknown.resent", "resend")


async def test_an_outcome_that_is_known_by_a_report_is_confirmed_to_the_sender(gateway: Gateway) -> None:
    message = await Told.new(gateway)
    await message.tell(message.sent(1))
    await message.tell(message.unsettled(2))
    (event,) = await gateway.told()
    assert isinstance(event, MessageConfirmed)
    assert (event.message_id, event.attempt, event.wamid) == (message.ids["message_id"], 1, "wamid.1")
    assert (await message.shown())["status"] == "sent"


async def test_a_refusal_is_shown_with_its_sentence(gateway: Gateway) -> None:
    message = await Told.new(gateway)
    refused = MessageFailed(
        **message.ids, code="provider.131026", detail="Undeliverable.", started_at=at(0.2), released_at=at(0.1)
    )
    await message.tell(refused)
    shown = await message.shown()
    assert (shown["status"], shown["error"]) == ("failed", {"code": "provider.131026", "detail": "Undeliverable."})


async def test_what_is_told_of_another_tenants_message_changes_nothing(gateway: Gateway) -> None:
    message = await Told.new(gateway)
    stranger = Told(gateway, await gateway.new_tenant("Other"), message.ids["message_id"])
    await stranger.tell(stranger.sent(1), stranger.unsettled(2))
    assert (await message.shown())["status"] == "accepted"
    assert await gateway.told() == []


async def test_batches_that_share_messages_never_wait_for_each_other_in_a_circle(gateway: Gateway) -> None:
    first = await Told.new(gateway)
    others = [Told(gateway, first.tenant, await gateway.send(first.tenant)) for _ in range(20)]
    messages = [first, *others]
    forth, back = [m.sent(5) for m in messages], [m.deferred(1) for m in reversed(messages)]
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(first.tell(*forth))
            group.create_task(first.tell(*back))
    for message in messages:
        shown = await message.shown()
        assert (shown["status"], statuses(shown)) == ("sent", ["accepted", "scheduled", "queued", "sending", "sent"])


@pytest.mark.parametrize("choice", [None, "wait", "resend"])
async def test_what_to_do_about_an_unknown_outcome_is_the_messages_own_choice(choice: str | None, gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    body = {"to": "+15551234567", "text": {"body": "hi"}, **({} if choice is None else {"on_unknown": choice})}
    one = (await gateway.call("POST", "/api/messages", body, tenant)).body["id"]
    many = (await gateway.call("POST", "/api/messages/batch", [body, body], tenant)).body["results"]
    wanted = OnUnknown(choice or "wait")
    assert [event.model_dump()["on_unknown"] for event in await gateway.told()] == [wanted] * 3
    for message in [one, *(result["id"] for result in many)]:
        shown = (await gateway.call("GET", f"/api/messages/{message}", tenant=tenant)).body
        assert shown["on_unknown"] == wanted
    assert (await gateway.call("POST", "/api/messages", {**body, "on_unknown": "shrug"}, tenant)).status == 422


async def test_what_its_recipient_does_not_want_is_suppressed_and_says_why(gateway: Gateway) -> None:
    message = await Told.new(gateway)
    ids = {name: message.ids[name] for name in ("tenant_id", "message_id")}
    await message.tell(MessageSuppressed(**ids, code="contact.opted_out", occurred_at=at(1)))
    shown = await message.shown()
    assert (shown["status"], shown["error"]) == ("suppressed", {"code": "contact.opted_out"})
    assert shown["timeline"][-1]["code"] == "contact.opted_out"


async def test_what_the_provider_would_refuse_has_failed_and_says_why(gateway: Gateway) -> None:
    message = await Told.new(gateway)
    ids = {name: message.ids[name] for name in ("tenant_id", "message_id")}
    await message.tell(MessageRefused(**ids, code="window.closed", detail="Nobody wrote within 24 h.", occurred_at=at(1)))
    shown = await message.shown()
    assert shown["status"] == "failed"
    assert shown["error"] == {"code": "window.closed", "detail": "Nobody wrote within 24 h."}


async def test_what_is_held_says_what_it_waits_for_and_since_when_nobody_knows_until_when(gateway: Gateway) -> None:
    message = await Told.new(gateway)
    ids = {name: message.ids[name] for name in ("tenant_id", "message_id")}
    held = MessageHeld(**ids, code="template.paused", occurred_at=at(1))
    await message.tell(held, held)
    shown = await message.shown()
    assert (shown["status"], shown["waiting_for"]) == ("accepted", {"code": "template.paused"})
    assert [(e["status"], e.get("code")) for e in shown["timeline"]] == [("accepted", None), ("scheduled", "template.paused")]
    await message.tell(MessageHeld(**ids, code="hours.quiet", until=at(3600), occurred_at=at(2)))
    shown = await message.shown()
    assert shown["waiting_for"] == {"code": "hours.quiet", "until": at(3600).isoformat().replace("+00:00", "Z")}
    assert statuses(shown) == ["accepted", "scheduled", "scheduled"]
    await message.tell(MessageHeld(**ids, code="hours.quiet", until=at(7200), occurred_at=at(3)))
    assert statuses(await message.shown()) == ["accepted", "scheduled", "scheduled"]
    await message.tell(message.sent(8000))
    shown = await message.shown()
    assert shown["status"] == "sent"
    assert "waiting_for" not in shown


async def test_what_waited_for_a_row_writes_the_row_that_came_of_it(gateway: Gateway) -> None:
    message = await Told.new(gateway)
    key = message.ids["tenant_id"], message.ids["message_id"]
    is_waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"

    written, let_go = asyncio.Event(), asyncio.Event()

    async def tell(status: Status, seconds: float) -> None:
        async with gateway.pool.acquire() as connection, connection.transaction():
            (row,) = await messages.lock(connection, [key])
            state, _ = told(messages.state_of(row), [Change(status, at(seconds), "wamid.1")])
            await messages.write(connection, [(row["place"], state)])
            written.set()
            await let_go.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(tell(Status.SENT, 1))
        await written.wait()
        group.create_task(tell(Status.DELIVERED, 2))
        async with asyncio.timeout(60):
            while not await gateway.pool.fetchval(is_waiting):
                await asyncio.sleep(0.01)
        let_go.set()
    assert statuses(await message.shown()) == ["accepted", "sent", "delivered"]


@pytest.mark.parametrize(
    ("query", "way"),
    [(messages.LOCK_MESSAGES, "messages_pkey"), (messages.WRITE_STATES, "Tid Scan on messages")],
    ids=["locked by key", "written by place"],
)
async def test_the_messages_of_a_new_platform_are_found_at_once(database: Database, query: str, way: str) -> None:
    """The plan that is made while the table is empty is kept when it has grown."""
    connection = await asyncpg.connect(service_url(database.settings_for("gateway"), "gateway"))
    try:
        await connection.execute(f"SET plan_cache_mode = force_generic_plan; PREPARE asked AS {query}")
        shown = "\n".join(row[0] for row in await connection.fetch("EXPLAIN EXECUTE asked ('[]', 256)"))
    finally:
        await connection.close()
    assert way in shown, shown
    assert "Seq Scan on messages" not in shown, shown
