"""Webhooks: only from whom they say, kept before the answer, told once whatever the provider repeats."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from services.gateway.domain import webhook
from services.gateway.store import webhooks
from services.gateway.track import track
from services.gateway.updates import Updates, Watch
from services.gateway.webhooks import ingest
from shared.auth.seal import Sealer
from shared.auth.signatures import HEADER, sign
from shared.clock import SystemClock
from shared.db.pool import Pool
from shared.events.catalogue import (
    MessageConfirmed,
    MessageReceived,
    MessageSent,
    MessageStatusChanged,
    MessageUnsettled,
)
from shared.events.codec import unpacked
from shared.events.event import Event
from shared.ids import MessageId, TenantId
from tests.integration.gateway.reading import Reader
from tests.integration.gateway.serving import WEBHOOK, Gateway, Tenant
from tests.support.platform import until
from tests.support.told import silent_outbox, told

STAMP = 1_795_168_800


def status(message: str, kind: str, seconds: int = 0, attempt: int = 1, **more: Any) -> dict[str, Any]:
    name = {"biz_opaque_callback_data": f"{message}.{attempt}"}
    return {
        "id": f"wamid.{message}",
        "status": kind,
        "timestamp": str(STAMP + seconds),
        "recipient_id": "15551234567",
        **name,
        **more,
    }


def inbound(wamid: str = "wamid.in") -> dict[str, Any]:
    return {"id": wamid, "from": "15551234567", "timestamp": str(STAMP), "type": "text", "text": {"body": "hello"}}


def value(number: str, **parts: Any) -> dict[str, Any]:
    return {"messaging_product": "whatsapp", "metadata": {"phone_number_id": number}, **parts}


def payload(*values: Any) -> dict[str, Any]:
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "1", "changes": [{"field": "messages", "value": v} for v in values]}],
    }


async def read(gateway: Gateway) -> list[Event]:
    """What was told once every payload has been read."""

    async def nothing_waits() -> bool:
        return not await gateway.pool.fetchval("SELECT count(*) FROM webhooks WHERE quarantined IS NULL")

    await until(nothing_waits, "every payload is read")
    return list(await gateway.told())


async def shown(gateway: Gateway, tenant: Tenant, message: str) -> tuple[str, list[str]]:
    body = (await gateway.call("GET", f"/api/messages/{message}", tenant=tenant)).body
    return body["status"], [entry["status"] for entry in body["timeline"]]


async def test_a_payload_signed_by_anybody_else_is_refused_and_not_kept(gateway: Gateway) -> None:
    one, other = await gateway.new_tenant("One"), await gateway.new_tenant("Other")
    await gateway.connect(one, "1001")
    await gateway.connect(other, "1002")
    mine, of_both = payload(value("1001", messages=[inbound()])), payload(value("1001", messages=[inbound()]), value("1002"))
    refused = [
        await gateway.webhook(mine, "secret-1002"),
        await gateway.webhook(mine, "nonsense"),
        await gateway.webhook(of_both, "secret-1001"),
        await gateway.webhook(of_both, "secret-1002"),
        await gateway.webhook(payload(value("1001", messages=[inbound()]), value("9999")), "secret-1002"),
        await gateway.webhook(payload(value("1001", messages=[inbound()]), value("9999")), ""),
        await gateway.webhook(payload(*(value(str(number)) for number in range(1001, 2002))), "secret-1001"),
        await gateway.webhook(payload(value("9999", messages=[inbound()])), ""),
        await gateway.webhook(payload(), ""),
        await gateway.call("POST", WEBHOOK, mine),
        await gateway.call("POST", WEBHOOK, b"{", **{"X-Hub-Signature-256": "sha256="}),
    ]
    assert [(answer.status, answer.body["code"]) for answer in refused] == [(401, "webhook.signature_invalid")] * len(refused)
    assert await gateway.pool.fetchval("SELECT count(*) FROM webhooks") == 0
    assert (await gateway.webhook(mine, "secret-1001")).status == 200


async def test_two_numbers_of_one_tenant_with_two_secrets_may_not_speak_for_each_other(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    await gateway.connect(tenant, "1002")
    await gateway.connect(tenant, "1003", app_secret="secret-1001")
    assert (await gateway.webhook(payload(value("1001"), value("1002")), "secret-1001")).status == 401
    assert (await gateway.webhook(payload(value("1001"), value("1003")), "secret-1001")).status == 200


@pytest.mark.parametrize("order", list(itertools.permutations(["sent", "delivered", "read"]))[::2])
async def test_reports_in_any_order_and_twice_give_one_state_and_what_only_they_know_is_told_once(
    order: tuple[str, ...], gateway: Gateway
) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    message = await gateway.send(tenant)
    seconds = {"sent": 100_000_000, "delivered": 100_000_001, "read": 100_000_002}
    events: list[Event] = []
    for kind in (*order, *order):
        report = status(message, kind, seconds[kind])
        assert (await gateway.webhook(payload(value("1001", statuses=[report, report])), "secret-1001")).status == 200
        events += await read(gateway)
    told_of = [event.status.value for event in events if isinstance(event, MessageStatusChanged)]
    assert sorted(told_of) == ["delivered", "read"], "that it is sent the sender tells"
    assert len(events) == 2
    now, timeline = await shown(gateway, tenant, message)
    assert now == "read"
    assert timeline == ["accepted", "sent", "delivered", "read"]


async def test_what_the_sender_has_told_already_is_not_written_again(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    message = await gateway.send(tenant)
    at = datetime.fromtimestamp(STAMP + 10**8, UTC) + timedelta(milliseconds=400)
    ids: Any = {"tenant_id": TenantId(tenant.tenant_id), "message_id": MessageId(message), "attempt": 1}
    sent = MessageSent(**ids, wamid=f"wamid.{message}", started_at=at, occurred_at=at)
    await track(silent_outbox(gateway.pool, "gateway"), [sent], Updates(Watch(SystemClock())))
    version = await gateway.pool.fetchval("SELECT ctid FROM messages")
    for seconds in (10**8, 10**8 + 5):
        await gateway.webhook(payload(value("1001", statuses=[status(message, "sent", seconds)])), "secret-1001")
        assert await read(gateway) == []
    assert await gateway.pool.fetchval("SELECT ctid FROM messages") == version
    assert await shown(gateway, tenant, message) == ("sent", ["accepted", "sending", "sent"])


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_report_settles_an_unknown_outcome_whichever_comes_first(is_first: bool, gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    message = await gateway.send(tenant)
    ids: Any = {"tenant_id": TenantId(tenant.tenant_id), "message_id": MessageId(message), "attempt": 1}
    unsettled = MessageUnsettled(**ids, code="provider.timeout", started_at=datetime.now(UTC))
    if not is_first:
        await track(silent_outbox(gateway.pool, "gateway"), [unsettled], Updates(Watch(SystemClock())))
    await gateway.webhook(payload(value("1001", statuses=[status(message, "sent", 10**8)])), "secret-1001")
    events = await read(gateway)
    if is_first:
        assert events == []
        await track(silent_outbox(gateway.pool, "gateway"), [unsettled], Updates(Watch(SystemClock())))
        events = list(await gateway.told())
    (confirmed,) = [event for event in events if isinstance(event, MessageConfirmed)]
    assert (confirmed.message_id, confirmed.attempt, confirmed.wamid) == (message, 1, f"wamid.{message}")
    assert (await shown(gateway, tenant, message))[0] == "sent"


async def test_a_failure_is_told_with_its_code_and_a_delivery_wins_over_it(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    message = await gateway.send(tenant)
    failed = status(message, "failed", 10**8, errors=[{"code": 131026, "title": "Undeliverable"}])
    await gateway.webhook(payload(value("1001", statuses=[failed])), "secret-1001")
    (event,) = await read(gateway)
    assert isinstance(event, MessageStatusChanged)
    assert (event.message_id, event.attempt, event.error_code) == (message, 1, "provider.131026")
    body = (await gateway.call("GET", f"/api/messages/{message}", tenant=tenant)).body
    assert (body["status"], body["error"]["code"], body["provider_id"]) == ("failed", "provider.131026", f"wamid.{message}")
    await gateway.webhook(payload(value("1001", statuses=[status(message, "delivered", 10**8 + 1)])), "secret-1001")
    await read(gateway)
    assert (await shown(gateway, tenant, message))[0] == "delivered"


async def test_an_inbound_message_is_told_once_however_often_it_comes(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number = await gateway.connect(tenant, "1001")
    for _ in range(2):
        await gateway.webhook(payload(value("1001", messages=[inbound(), inbound()])), "secret-1001")
    (event,) = await read(gateway)
    assert isinstance(event, MessageReceived)
    assert (event.tenant_id, event.number_id, event.wamid, event.sender) == (
        tenant.tenant_id,
        number,
        "wamid.in",
        "+15551234567",
    )
    assert await gateway.pool.fetchval("SELECT count(*) FROM webhooks") == 0


async def test_what_is_not_understood_is_kept_while_the_rest_is_told(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    message = await gateway.send(tenant)
    deep: Any = "x"
    for _ in range(150):
        deep = [deep]
    broken = value(
        "1001",
        messages=[inbound(), {**inbound("wamid.deep"), "text": deep}, {"id": 5}],
        statuses=[status(message, "teleported"), status(message, "delivered", 10**8)],
    )
    assert (await gateway.webhook(payload(broken), "secret-1001")).status == 200
    assert sorted(type(event).__name__ for event in await read(gateway)) == ["MessageReceived", "MessageStatusChanged"]
    row = await gateway.pool.fetchrow("SELECT tenant_id, quarantined, body FROM webhooks")
    reason = "2 parts not understood: messages[1]: nested too deep; messages[2]: no id"
    assert (row["tenant_id"], row["quarantined"]) == (tenant.tenant_id, reason)
    assert b"teleported" in row["body"]
    await gateway.webhook(payload(value("1001", messages=[inbound("wamid.next")])), "secret-1001")
    assert [type(event) for event in await read(gateway)] == [MessageReceived], "the reader goes on"


async def test_a_long_payload_is_kept_compressed_and_can_be_read_again(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    body = payload(value("1001", messages=[inbound(f"wamid.{n}") for n in range(100)], statuses=[{"id": 5}]))
    assert (await gateway.webhook(body, "secret-1001")).status == 200
    assert len(await read(gateway)) == 100
    kept, length = await gateway.pool.fetchrow("SELECT body, length FROM webhooks")
    assert unpacked(kept) == orjson.dumps(body)
    assert len(kept) < length == len(orjson.dumps(body))
    await gateway.pool.execute("DELETE FROM inbound")
    await gateway.pool.execute("UPDATE webhooks SET quarantined = NULL")
    await gateway.webhook(payload(value("1001")), "secret-1001")
    assert len(await read(gateway)) == 100
    assert await gateway.pool.fetchval("SELECT quarantined FROM webhooks") == "1 part not understood: statuses[0]: no id"


async def test_reports_of_messages_of_others_are_absorbed(gateway: Gateway) -> None:
    one, other = await gateway.new_tenant("One"), await gateway.new_tenant("Other")
    await gateway.connect(one, "1001")
    second = await gateway.connect(one, "1002")
    await gateway.connect(other, "2001")
    message = await gateway.send(one, **{"from": second})
    unknown = "msg_" + "0" * 26
    nameless = {**status(message, "read", 10**8), "biz_opaque_callback_data": "somebody else's"}
    for number in ("2001", "1001"):
        reports = [status(message, "read", 10**8), status(unknown, "read"), nameless]
        assert (await gateway.webhook(payload(value(number, statuses=reports)), f"secret-{number}")).status == 200
    assert await read(gateway) == []
    assert await shown(gateway, one, message) == ("accepted", ["accepted"])
    assert await gateway.pool.fetchval("SELECT count(*) FROM webhooks") == 0


async def test_half_a_surrogate_pair_costs_nothing(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    torn = inbound()
    torn["text"] = {"body": "torn \ud83d here"}
    body = json.dumps(payload(value("1001", messages=[torn]))).encode()
    assert (await gateway.call("POST", WEBHOOK, body, **{HEADER: sign("secret-1001", body)})).status == 200
    (event,) = await read(gateway)
    assert isinstance(event, MessageReceived)
    assert event.content["text"]["body"] == "torn \ufffd here"


async def test_an_account_event_is_taken_from_a_number_of_the_account_only(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    account = await gateway.pool.fetchval("SELECT waba_id FROM numbers WHERE phone_number_id = '1001'")
    event = {
        "entry": [
            {"id": account, "time": STAMP, "changes": [{"field": "account_update", "value": {"event": "DISABLED_UPDATE"}}]}
        ]
    }
    elsewhere = {"entry": [{**event["entry"][0], "id": "404404"}]}
    assert (await gateway.webhook(event, "secret-of-nobody")).status == 401
    other = await gateway.new_tenant("Other")
    await gateway.connect(other, "2001", waba_id="2")
    assert (await gateway.webhook(event, "secret-2001")).status == 401
    assert (await gateway.webhook(elsewhere, "secret-of-nobody")).status == 401
    for _ in range(2):
        assert (await gateway.webhook(event, "secret-1001")).status == 200
    assert await read(gateway) == []
    assert await gateway.pool.fetchval("SELECT tenant_id FROM taken_news") == tenant.tenant_id


async def test_a_number_nobody_has_connected_costs_its_own_parts_only(gateway: Gateway) -> None:
    tenant, other = await gateway.new_tenant("One"), await gateway.new_tenant("Other")
    await gateway.connect(tenant, "1001")
    strange = value("9999", messages=[inbound("wamid.strange")], statuses=[status("msg_" + "0" * 26, "read")])
    assert (await gateway.webhook(payload(value("1001", messages=[inbound()]), strange), "secret-1001")).status == 200
    assert [event.wamid for event in await read(gateway) if isinstance(event, MessageReceived)] == ["wamid.in"]
    reason = await gateway.pool.fetchval("SELECT quarantined FROM webhooks")
    assert reason == "2 parts not understood: about a number or an account that is not connected"
    await gateway.connect(other, "9999")
    await gateway.pool.execute("UPDATE webhooks SET quarantined = NULL")
    assert await read(gateway) == [], "who signed has no say about a number that has become another tenant's"


@pytest.mark.parametrize("place", ["id", "number", "account"])
async def test_an_id_that_no_database_can_hold_stops_nothing(place: str, gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    torn = payload(
        value("1001", messages=[inbound("wamid.\ud800" if place == "id" else "wamid.1")]),
        value("1001\ud800" if place == "number" else "1001", messages=[inbound("wamid.2")]),
    )
    if place == "account":
        torn = {"entry": [{"id": "1\ud800", "changes": []}]}
    body = json.dumps(torn).encode()
    answer = await gateway.call("POST", WEBHOOK, body, **{HEADER: sign("secret-1001", body)})
    assert answer.status == 200, "it is signed"
    await gateway.webhook(payload(value("1001", messages=[inbound("wamid.next")])), "secret-1001")
    told = {event.wamid for event in await read(gateway) if isinstance(event, MessageReceived)}
    assert told == {"id": {"wamid.2", "wamid.next"}, "number": {"wamid.1", "wamid.next"}, "account": {"wamid.next"}}[place]


async def test_a_payload_that_makes_the_reader_fail_is_set_aside_and_costs_itself_only(
    pool: Pool, bare_reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bare_reader.store(*(payload(value("1001", messages=[inbound(f"wamid.{index}")])) for index in range(5)))

    def failing(tree: Any) -> webhook.Reading:
        if "wamid.2" in str(tree):
            raise ZeroDivisionError
        return whole(tree)

    whole = webhook.read
    monkeypatch.setattr(webhook, "read", failing)
    with capture_logs() as lines:
        while await bare_reader.read():
            pass
    assert [event.wamid for event in await told(pool) if isinstance(event, MessageReceived)] == [
        f"wamid.{index}" for index in (0, 1, 3, 4)
    ]
    rows = await pool.fetch("SELECT id, quarantined FROM webhooks")
    assert [row["quarantined"] for row in rows] == ["ZeroDivisionError"]
    assert [line["webhook_id"] for line in lines if line["event"] == "webhook.unreadable"] == [rows[0]["id"]]


async def test_no_more_is_read_at_once_than_there_is_room_for(
    pool: Pool, bare_reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    payloads = [payload(value("1001", messages=[inbound(f"wamid.{index}")])) for index in range(5)]
    await bare_reader.store(*payloads)
    monkeypatch.setattr(ingest, "READ_BYTES", len(orjson.dumps(payloads[0])) + 1)
    counts = []
    while await bare_reader.read():
        counts.append(len(await told(pool)))
    assert [*counts, len(await told(pool))] == [2, 2, 1]


@pytest.mark.parametrize("is_busy", [True, False])
async def test_after_much_was_read_the_next_reports_come_together(
    is_busy: bool, pool: Pool, bare_reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "GATHER_SECONDS", 60)
    monkeypatch.setattr(ingest, "BUSY_BYTES", 1 if is_busy else 100_000)
    await bare_reader.store(payload(value("1001", messages=[inbound()])))

    async def is_told() -> bool:
        return bool(await told(pool))

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(bare_reader.read())
        await until(is_told, "what came is told")
        if not is_busy:
            assert await reading is False
        assert reading.done() is not is_busy
        reading.cancel()


async def test_a_database_that_is_away_sets_nothing_aside(
    pool: Pool, bare_reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bare_reader.store(payload(value("1001", messages=[inbound()])))

    async def away(*_: object) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(webhooks, "new_inbound", away)
    with pytest.raises(ConnectionResetError):
        await bare_reader.read()
    assert await pool.fetchval("SELECT count(*) FROM webhooks WHERE quarantined IS NULL") == 1


async def test_every_inbound_message_is_told_in_the_trace_of_its_own_payload(pool: Pool, bare_reader: Reader) -> None:
    await bare_reader.store(*(payload(value("1001", messages=[inbound(f"wamid.{index}")])) for index in range(3)))
    await bare_reader.read()
    traces = {event.wamid: event.traceparent for event in await told(pool) if isinstance(event, MessageReceived)}
    assert traces == {f"wamid.{index}": bare_reader.traceparent(index) for index in range(3)}


async def test_a_secret_sealed_with_another_master_key_costs_its_own_number_only(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    lost = await gateway.connect(tenant, "1002")
    other = Sealer(base64.b64encode(bytes(32))).seal(TenantId(tenant.tenant_id), "numbers.app_secret", lost, "secret-1002")
    await gateway.pool.execute("UPDATE numbers SET sealed_app_secret = $1 WHERE id = $2", other, lost)
    both = payload(value("1001", messages=[inbound("wamid.1")]), value("1002", messages=[inbound("wamid.2")]))
    assert (await gateway.webhook(payload(value("1002", messages=[inbound()])), "secret-1002")).status == 401
    assert (await gateway.webhook(both, "secret-1001")).status == 200
    assert [event.wamid for event in await read(gateway) if isinstance(event, MessageReceived)] == ["wamid.1"]
    account = {"entry": [{"id": "1", "changes": [{"field": "account_update", "value": {}}]}]}
    assert (await gateway.webhook(account, "secret-1001")).status == 200
