"""Messages of the front door go by their minted wamids, whatever the provider calls them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from services.gateway.domain.wamid import message_of
from services.gateway.store import graph_ids
from services.gateway.track import track
from services.gateway.updates import Updates, Watch
from shared.clock import SystemClock
from shared.events.catalogue import MessageSent
from shared.ids import MessageId, TenantId
from tests.contract.sandbox.running import APP_SECRET, NUMBER
from tests.integration.gateway.graph.conftest import ACCOUNT, Front
from tests.support.told import silent_outbox

DEADLINE_SECONDS = 60.0
META = "wamid.HBgLMTU1NTEyMzQ1NjcVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA"


def named(front: Front, wamid: str = META) -> tuple[TenantId, str]:
    return TenantId(front.tenant.tenant_id), wamid


async def tell_sent(front: Front, message_id: str, wamid: str = META) -> None:
    at = datetime.now(UTC)
    event = MessageSent(
        tenant_id=TenantId(front.tenant.tenant_id), message_id=MessageId(message_id), attempt=1, wamid=wamid, started_at=at
    )
    for _ in range(2):  # events come twice
        await track(silent_outbox(front.gateway.pool, "gateway"), [event], Updates(Watch(SystemClock())))


async def test_the_providers_wamid_of_a_message_of_the_front_door_is_remembered(front: Front) -> None:
    minted = (await front.send()).body["messages"][0]["id"]
    message_id = message_of(minted)
    assert message_id is not None
    assert await graph_ids.message_ids(front.gateway.pool, [named(front)]) == {}
    await tell_sent(front, message_id)
    assert await graph_ids.message_ids(front.gateway.pool, [named(front), named(front, "wamid.other")]) == {
        named(front): message_id
    }
    assert await graph_ids.message_ids(front.gateway.pool, [(TenantId("tnt_other"), META)]) == {}


async def test_of_other_messages_nothing_is_remembered(front: Front) -> None:
    await tell_sent(front, await front.gateway.send(front.tenant))
    assert await front.gateway.pool.fetchval("SELECT count(*) FROM graph_ids") == 0


async def test_a_report_that_comes_before_the_senders_word_is_enough(front: Front) -> None:
    await front.send()
    [row] = await front.stored()
    status = {
        "id": META,
        "status": "delivered",
        "timestamp": str(int(datetime.now(UTC).timestamp())),
        "recipient_id": "15551234567",
        "biz_opaque_callback_data": f"{row['id']}.1",
    }
    value = {"messaging_product": "whatsapp", "metadata": {"phone_number_id": NUMBER}, "statuses": [status]}
    payload = {
        "object": "whatsapp_business_account",
        "entry": [{"id": ACCOUNT, "changes": [{"field": "messages", "value": value}]}],
    }
    assert (await front.gateway.webhook(payload, APP_SECRET)).status == 200
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not (known := await graph_ids.message_ids(front.gateway.pool, [named(front)])):
            await asyncio.sleep(0.01)
    assert known == {named(front): row["id"]}
