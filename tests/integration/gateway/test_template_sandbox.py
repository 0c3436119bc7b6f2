"""A template's way: created at the provider, read by the gateway, paused there and held here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.events.catalogue import TemplateChanged
from tests.contract.sandbox.running import APP_SECRET, TOKEN, running
from tests.integration.gateway.serving import WEBHOOK, Gateway, Tenant, serving
from tests.support.database import Database

ACCOUNT = "102290129340398"
DEADLINE_SECONDS = 60.0


@pytest.fixture
async def gateway(database: Database) -> AsyncIterator[Gateway]:
    async with serving(database, reads_templates=True) as gateway:
        yield gateway


async def until(gateway: Gateway, tenant: Tenant, **wanted: Any) -> None:
    """Wait until the one template is so."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            found = (await gateway.call("GET", "/api/templates?kind=whatsapp", tenant=tenant)).body["data"]
            if found and wanted == {name: found[0].get(name) for name in wanted}:
                return
            await asyncio.sleep(0.01)


async def test_what_happens_to_a_template_at_the_provider_is_known_here(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    async with running(gateway.url + WEBHOOK) as sandbox:
        place = f"templates/{ACCOUNT}/order/en_US"
        components = [{"type": "BODY", "text": "Hello {{1}}"}]
        await sandbox.control("PUT", place, {"category": "MARKETING", "components": components})
        await gateway.connect(
            tenant, "106540352242922", waba_id=ACCOUNT, provider_url=sandbox.base, access_token=TOKEN, app_secret=APP_SECRET
        )
        assert (await gateway.call("POST", "/api/templates/sync", tenant=tenant)).status == 202
        await until(gateway, tenant, status="approved", category="marketing", components=components)
        await sandbox.control("PATCH", place, {"status": "PAUSED", "quality": "RED"})
        await until(gateway, tenant, status="paused", held="template.paused", quality="red")
        await sandbox.control("PATCH", place, {"status": "APPROVED", "category": "UTILITY"})
        await until(gateway, tenant, status="approved", held=None, category="utility")
        told = [event for event in await gateway.told() if isinstance(event, TemplateChanged)]
        assert {event.account_id for event in told} == {ACCOUNT}
        assert [event.held for event in told if event.category == "marketing"][:2] == [None, "template.paused"]
        assert (told[-1].held, told[-1].category) == (None, "utility")
