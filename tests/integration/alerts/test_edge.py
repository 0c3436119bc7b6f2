"""What tenants and providers meet at the gateway."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import orjson

from local.welcome import PHONE_NUMBER_ID
from shared.auth.signatures import HEADER, sign
from tests.integration.alerts.watching import Watch, assert_fires, assert_quiet, held, run_sql, total
from tests.support.platform import until

LOCKED_SECONDS: Final = 0.7
HOOKS: Final = "/api/webhooks/whatsapp"


async def post_webhook(watch: Watch, phone_number_id: str) -> int:
    """A report on a message, signed with the app's secret."""
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": phone_number_id},
        "statuses": [
            {"id": f"wamid.{secrets.token_hex(8)}", "status": "read", "timestamp": "1790000000", "recipient_id": "15551234567"}
        ],
    }
    body = orjson.dumps(
        {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}]}
    )
    headers = {HEADER: sign(watch.assembly.secrets["app_secret"], body), "Content-Type": "application/json"}
    url = f"{watch.assembly.gateway_url}{HOOKS}"
    async with watch.api.session.post(url, data=body, headers=headers) as answer:
        return answer.status


async def insist(watch: Watch) -> None:
    """Send, again where the database let nobody wait for so long."""
    status = 0
    while status != 202:
        status, _ = await watch.api.call("POST", "/api/messages", {"to": "+15551234567", "text": {"body": "hello"}})


async def kept_waiting(watch: Watch, table: str, request: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Ten such requests, while nothing can be written to the table for a while."""
    async with asyncio.TaskGroup() as group, held(watch.assembly.database.admin_url, f"LOCK TABLE {table} IN EXCLUSIVE MODE"):
        for _ in range(10):
            group.create_task(request())
        since = time.monotonic()
        await until(lambda: time.monotonic() > since + LOCKED_SECONDS, "them to have waited")


async def test_a_slow_database_makes_webhooks_and_messages_slow(watch: Watch) -> None:
    before = await watch.scrape()
    await kept_waiting(watch, "gateway.webhooks", lambda: post_webhook(watch, PHONE_NUMBER_ID))
    await kept_waiting(watch, "gateway.messages", lambda: insist(watch))
    count = "chasqui_http_request_duration_seconds_count"
    after = await watch.until(
        lambda now: total(now, count, service="gateway") >= total(before, count, service="gateway") + 20, "answers"
    )
    await assert_fires("ChasquiWebhookAcknowledgedSlowly", before, after)
    await assert_fires("ChasquiApiSlow", before, after)


async def test_webhooks_that_nobody_reads_wait(watch: Watch) -> None:
    admin_url = watch.assembly.database.admin_url
    before = await watch.scrape()
    async with held(admin_url, "LOCK TABLE gateway.inbound IN ACCESS EXCLUSIVE MODE"):
        said = {"from": "15551234567", "text": "Anybody there?"}
        async with watch.api.session.post(f"{watch.assembly.sandbox_url}/control/inbound", json=said) as answer:
            assert answer.status == 200, await answer.text()
        await watch.until(lambda now: total(now, "chasqui_webhooks_waiting"), "the webhook to wait")
        await run_sql(admin_url, "UPDATE gateway.webhooks SET received_at = received_at - interval '5 minutes'")
        during = await watch.until(lambda now: total(now, "chasqui_webhooks_oldest_age_seconds") > 200, "it to be old")
    await assert_fires("ChasquiWebhooksWait", before, during)
    after = await watch.until(lambda now: total(now, "chasqui_webhooks_waiting") == 0, "it to be read")
    await assert_quiet("ChasquiWebhooksWait", during, after)


async def test_a_webhook_about_a_number_of_nobody_is_set_aside(watch: Watch) -> None:
    before = await watch.scrape()
    assert await post_webhook(watch, "999999999999999") == 200
    after = await watch.until(lambda now: total(now, "chasqui_webhooks_quarantined"), "it to be set aside")
    await assert_fires("ChasquiWebhooksQuarantined", before, after)


async def test_messages_that_say_nothing_are_refused(watch: Watch) -> None:
    before = await watch.scrape()
    for _ in range(10):
        status, _ = await watch.api.call("POST", "/api/messages", {"to": "+15551234567", "text": {"body": ""}})
        assert status == 422
    after = await watch.until(lambda now: total(now, "chasqui_messages_rejected_total") == 10, "all to be counted")
    await assert_fires("ChasquiMessagesRefused", before, after)
