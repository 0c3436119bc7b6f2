"""What the gateway says of messages it turned down, of webhooks and of those who call it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.gateway.serving import Gateway, serving
from tests.support.database import Database
from tests.support.scraped import Page, ask_every_time

WEBHOOKS = "chasqui_webhooks_received_total"


@pytest.fixture(autouse=True)
def _ask_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ask_every_time(monkeypatch)


async def page(gateway: Gateway) -> Page:
    answer = await gateway.call("GET", "/metrics")
    assert answer.status == 200
    return Page(answer.text)


async def test_a_message_that_is_turned_down_is_counted_by_its_first_fault(database: Database) -> None:
    async with serving(database) as gateway:
        tenant = await gateway.new_tenant()
        await gateway.connect(tenant, "1001")
        bodies: list[Any] = [{"to": "nobody", "text": {"body": "x"}}, {"to": "+15551234567"}, {"text": {"body": "x"}}, [], b"{"]
        for body in bodies:
            answer = await gateway.call("POST", "/api/messages", body, tenant)
            assert answer.status in {400, 422}, answer.text
        batch = [{"to": "+15551234567", "text": {"body": "x"}}, {"to": "nobody", "text": {"body": "x"}}, {"to": 7}]
        assert (await gateway.call("POST", "/api/messages/batch", batch, tenant)).status == 202
        found = await page(gateway)
    rejected = {code: value for (code,), value in found.series("chasqui_messages_rejected_total").items()}
    assert rejected["phone.invalid"] == 2
    assert sum(rejected.values()) == 7
    assert found("chasqui_messages_accepted_total", "normal") == 1
    assert found("chasqui_active_clients") == 1


async def test_webhooks_are_counted_by_what_became_of_them(database: Database) -> None:
    async with serving(database) as gateway:
        tenant = await gateway.new_tenant()
        await gateway.connect(tenant, "1001", app_secret="sekret")
        payload = {"object": "whatsapp_business_account", "entry": []}
        await gateway.webhook(payload, "wrong")
        await gateway.call("POST", "/api/webhooks/whatsapp", json.dumps(payload).encode())
        found = await page(gateway)
        assert found(WEBHOOKS, "refused") == 2
        assert found(WEBHOOKS, "stored") == 0
        await gateway.pool.execute(
            "INSERT INTO webhooks (tenant_id, body, received_at, quarantined) VALUES "
            "($1, '\\x', now() - interval '50 s', 'KeyError')",
            tenant.tenant_id,
        )
        found = await page(gateway)
    assert found("chasqui_webhooks_quarantined") == 1
    assert found("chasqui_webhooks_waiting") == 0
    assert found("chasqui_webhooks_oldest_age_seconds") == 0, "what is set aside waits for an operator, not for the reader"
