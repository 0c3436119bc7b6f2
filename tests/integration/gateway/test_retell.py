"""What others keep a copy of can be told again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from services.gateway import retell
from shared.events.catalogue import MessageAccepted, NumberConnected, TemplateChanged
from shared.events.event import Event
from tests.integration.gateway.serving import Gateway
from tests.support.told import silent_outbox


def essence(events: Sequence[Event]) -> list[str]:
    own = {"event_id", "occurred_at", "traceparent", "changed_at"}
    return sorted(f"{event.event_name} {event.model_dump_json(exclude=own)}" for event in events)


@pytest.mark.parametrize("page", [1, 1_000])
async def test_all_that_was_told_last_is_told_again(gateway: Gateway, page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retell, "PAGE", page)
    tenants = [await gateway.new_tenant("One"), await gateway.new_tenant("Other")]
    numbers = {await gateway.connect(tenants[n // 2], f"100{n}") for n in range(4)}  # which takes what is told
    for n, tenant in enumerate(tenants):
        for phone in (f"+55119610{n}0000", f"+55119610{n}0001"):
            contact = {"phone": phone, "consent": {"state": "opted_out"}}
            assert (await gateway.call("POST", "/api/contacts", contact, tenant)).status == 201
        others: list[dict[str, Any]] = [
            {"user_id": f"US.{n}", "consent": {"state": "opted_out"}},
            {"phone": f"+493012345{n}", "user_id": f"DE.{n}", "consent": {"state": "opted_out"}},
            {"username": f"ada.{n}", "consent": {"state": "opted_out"}},
            {"phone": "+4930123456"},
        ]
        for contact in others:
            assert (await gateway.call("POST", "/api/contacts", contact, tenant)).status == 201
        assert (await gateway.call("PATCH", "/api/settings", {"time_zone": "Europe/Berlin"}, tenant)).status == 200
        await gateway.pool.execute(
            "INSERT INTO templates (id, tenant_id, kind, account_id, name, language, status, held, status_at, category) "
            "VALUES ('tpl_1', $1, 'whatsapp', '1', 'sale', 'en', 'PAUSED', 'template.paused', now(), 'marketing')",
            tenant.tenant_id,
        )
    # Who has no address that messages go to was told of for others than the scheduler.
    before = essence([event for event in await gateway.told() if getattr(event, "phone", "") is not None])
    assert await retell.retell(silent_outbox(gateway.pool, "gateway"), "http://127.0.0.1:8080") == {
        "number.connected": 4,
        "tenant.changed": 2,
        "template.changed": 2,
        "contact.consent_changed": 14,
    }
    again = await gateway.told()
    assert {event.number_id for event in again if isinstance(event, NumberConnected)} == numbers
    assert [event.held for event in again if isinstance(event, TemplateChanged)] == ["template.paused"] * 2
    assert essence([event for event in again if not isinstance(event, NumberConnected | TemplateChanged)]) == before


async def test_messages_whose_outcome_is_not_known_are_told_again(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retell, "PAGE", 2)
    tenant = await gateway.new_tenant("One")
    await gateway.connect(tenant, "1000")
    bodies: list[dict[str, Any]] = [{"to": f"+1555000000{n}", "text": {"body": f"hello {n}"}} for n in range(7)]
    bodies[5] |= {"scheduled_time": "2032-02-29T12:00:00+00:00", "priority": "low"}
    ids = [(await gateway.call("POST", "/api/messages", body, tenant)).body["id"] for body in bodies]
    first = {event.message_id: event for event in await gateway.told() if isinstance(event, MessageAccepted)}
    await gateway.pool.execute("UPDATE messages SET created_at = created_at - interval '25 hours' WHERE id = $1", ids[0])
    await gateway.pool.execute("UPDATE messages SET status = 'sent' WHERE id = $1", ids[1])
    await gateway.pool.execute("UPDATE messages SET status = 'canceled' WHERE id = $1", ids[2])
    assert await retell.retell_messages(silent_outbox(gateway.pool, "gateway")) == 4
    again = {event.message_id: event for event in await gateway.told() if isinstance(event, MessageAccepted)}
    assert set(again) == set(ids[3:])
    own = {"event_id", "traceparent", "occurred_at", "not_before"}
    for message_id, event in again.items():
        assert event.model_dump(exclude=own) == first[message_id].model_dump(exclude=own)
        assert abs((event.not_before - first[message_id].not_before).total_seconds()) < 1
