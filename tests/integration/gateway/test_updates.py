"""Who watches is told what happens; for everybody else nothing is made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.gateway.domain.wamid import mint
from services.gateway.store import graph_ids
from services.gateway.track import track
from services.gateway.updates import Updates, Watch, learn_watched
from shared.clock import SystemClock
from shared.events.catalogue import (
    CallbacksWatched,
    MessageCanceled,
    MessageExpired,
    MessageFailed,
    MessageSent,
    MessageUnsettled,
    UpdateTold,
)
from shared.events.event import Event
from shared.ids import MessageId, TenantId
from tests.integration.gateway.serving import Gateway, Tenant
from tests.support.platform import until
from tests.support.told import silent_outbox

NOW = datetime.now(UTC) + timedelta(hours=1)


class Watched:
    """A tenant with the number 1001, a message, and what is told of them. It watches, if it is told to."""

    def __init__(self, gateway: Gateway, tenant: Tenant, message_id: str) -> None:
        self.gateway = gateway
        self.tenant_id = TenantId(tenant.tenant_id)
        self.message_id = MessageId(message_id)
        self.updates = Updates(Watch(SystemClock()))
        self.outbox = silent_outbox(gateway.pool, "gateway")

    @classmethod
    async def new(cls, gateway: Gateway, *, watches: bool = True, **body: Any) -> Watched:
        tenant = await gateway.new_tenant()
        await gateway.connect(tenant, "1001", waba_id="7001")
        watched = cls(gateway, tenant, await gateway.send(tenant, **body))
        if watches:
            await watched.say(1, is_watched=True)
        return watched

    async def say(self, revision: int, *, is_watched: bool) -> None:
        said = CallbacksWatched(tenant_id=self.tenant_id, revision=revision, is_watched=is_watched)
        await learn_watched(self.outbox, [said])
        self.updates = Updates(Watch(SystemClock()))

    async def tell(self, *events: Event) -> list[UpdateTold]:
        await track(self.outbox, events, self.updates)
        return self.of(await self.gateway.told())

    @staticmethod
    def of(events: Sequence[Event]) -> list[UpdateTold]:
        return [event for event in events if isinstance(event, UpdateTold)]

    @property
    def ids(self) -> dict[str, Any]:
        return {"tenant_id": self.tenant_id, "message_id": self.message_id}

    def sent(self) -> MessageSent:
        return MessageSent(**self.ids, attempt=1, wamid="wamid.META", started_at=NOW, occurred_at=NOW + timedelta(seconds=1))

    async def at_the_front_door(self, opaque: str) -> None:
        """As if it had been accepted there."""
        await self.gateway.pool.execute(
            "UPDATE messages SET graph = jsonb_build_object('opaque', $2::text, 'input', '1') WHERE id = $1",
            self.message_id,
            opaque,
        )

    def report(self, status: str, seconds: int = 10, **more: Any) -> dict[str, Any]:
        return {
            "id": "wamid.META",
            "status": status,
            "timestamp": str(int(NOW.timestamp()) + seconds),
            "recipient_id": "15551234567",
            "biz_opaque_callback_data": f"{self.message_id}.1",
            **more,
        }

    async def webhook(self, **value: Any) -> list[UpdateTold]:
        """Sent and read; every payload of these tests tells something, to whom it may."""
        metadata = {"display_phone_number": "15550783881", "phone_number_id": "1001"}
        change = {"field": "messages", "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}
        answer = await self.gateway.webhook({"object": "x", "entry": [{"id": "7001", "changes": [change]}]}, "secret-1001")
        assert answer.status == 200

        async def is_read() -> bool:
            return not await self.gateway.pool.fetchval("SELECT count(*) FROM webhooks")

        await until(is_read, "the payload to be read")
        return self.of(await self.gateway.told())


async def test_who_does_not_watch_is_told_nothing(gateway: Gateway) -> None:
    watched = await Watched.new(gateway, watches=False)
    assert await watched.tell(watched.sent()) == []
    assert await watched.webhook(statuses=[watched.report("delivered")]) == []


async def test_what_the_sender_tells_is_told_once(gateway: Gateway) -> None:
    watched = await Watched.new(gateway, reference="order-7", metadata={"a": "b"})
    (update,) = await watched.tell(watched.sent())
    assert update.type == "message.sent"
    assert update.graph is None
    assert update.data["message_id"] == watched.message_id
    assert update.data["to"] == "+15551234567"
    assert update.data["provider_id"] == "wamid.META"
    assert (update.data["reference"], update.data["metadata"]) == ("order-7", {"a": "b"})
    assert await watched.tell(watched.sent()) == []


@pytest.mark.parametrize("status", ["failed", "expired", "canceled", "unknown"])
async def test_every_end_is_told(status: str, gateway: Gateway) -> None:
    watched = await Watched.new(gateway)
    ends: dict[str, Event] = {
        "failed": MessageFailed(**watched.ids, attempt=1, code="provider.131026", detail="no", started_at=NOW, occurred_at=NOW),
        "expired": MessageExpired(**watched.ids, occurred_at=NOW),
        "canceled": MessageCanceled(**watched.ids, occurred_at=NOW),
        "unknown": MessageUnsettled(**watched.ids, attempt=1, code="provider.timeout", started_at=NOW, occurred_at=NOW),
    }
    (update,) = await watched.tell(ends[status])
    assert update.type == f"message.{status}"
    assert update.data["status"] == status
    if status == "unknown":
        assert update.graph is None
    else:
        assert update.graph is not None
        assert update.graph["entry_id"] == "7001"
        assert update.graph["value"]["metadata"] == {"display_phone_number": "15550783881", "phone_number_id": "1001"}
        assert update.graph["value"]["statuses"][0]["status"] == "failed"


async def test_a_report_is_told_in_both_forms_and_its_repetition_in_none(gateway: Gateway) -> None:
    watched = await Watched.new(gateway, reference="order-7")
    await watched.tell(watched.sent())
    (update,) = await watched.webhook(statuses=[watched.report("delivered")])
    assert update.type == "message.delivered"
    assert update.graph is not None
    (status,) = update.graph["value"]["statuses"]
    assert (status["id"], status["biz_opaque_callback_data"]) == ("wamid.META", "order-7")
    assert update.graph["value"]["contacts"][0]["wa_id"] == "15551234567"
    assert await watched.webhook(statuses=[watched.report("delivered")]) == []


async def test_that_it_is_sent_is_told_by_the_sender_and_passed_on_from_the_provider(gateway: Gateway) -> None:
    watched = await Watched.new(gateway)
    report = watched.report("sent", 0)
    (passed_on,) = await watched.webhook(statuses=[report])
    assert passed_on.data == {}
    assert passed_on.graph is not None
    (native,) = await watched.tell(watched.sent())
    assert (native.type, native.graph) == ("message.sent", None)


async def test_played_is_passed_on_and_read_is_told_once(gateway: Gateway) -> None:
    watched = await Watched.new(gateway)
    updates = await watched.webhook(statuses=[watched.report("read", 5), watched.report("played", 9)])
    assert [update.type for update in updates if update.data] == ["message.read"]
    assert [update.graph["value"]["statuses"][0]["status"] for update in updates if update.graph] == ["read", "played"]


async def test_a_message_of_the_front_door_goes_by_its_own_wamid(gateway: Gateway) -> None:
    watched = await Watched.new(gateway)
    await watched.at_the_front_door("theirs")
    await watched.tell(watched.sent())
    (update,) = await watched.webhook(statuses=[watched.report("delivered")])
    minted = mint(watched.message_id)
    assert update.graph is not None
    (status,) = update.graph["value"]["statuses"]
    assert (status["id"], status["biz_opaque_callback_data"]) == (minted, "theirs")
    assert update.data["provider_id"] == minted


async def test_who_quotes_it_quotes_its_own_wamid(gateway: Gateway) -> None:
    watched = await Watched.new(gateway)
    async with gateway.pool.acquire() as connection:
        await graph_ids.learn(connection, [(watched.tenant_id, "wamid.META", watched.message_id)])
    message = {
        "id": "wamid.IN",
        "from": "15551234567",
        "timestamp": str(int(NOW.timestamp())),
        "type": "text",
        "text": {"body": "yes"},
        "context": {"from": "15550783881", "id": "wamid.META"},
    }
    contact = {"profile": {"name": "Ana"}, "wa_id": "15551234567", "user_id": "US.1"}
    (update,) = await watched.webhook(contacts=[contact], messages=[message])
    minted = mint(watched.message_id)
    assert update.graph is not None
    assert update.graph["value"]["messages"][0]["context"]["id"] == minted
    assert update.graph["value"]["contacts"] == [contact]
    assert update.data["content"]["context"]["id"] == minted


async def test_the_last_word_on_callbacks_counts(gateway: Gateway) -> None:
    watched = await Watched.new(gateway, watches=False)
    await watched.say(2, is_watched=False)
    await watched.say(1, is_watched=True)
    assert await watched.tell(watched.sent()) == []
    await watched.say(3, is_watched=True)
    (update,) = await watched.webhook(statuses=[watched.report("delivered")])
    assert update.type == "message.delivered"


async def test_of_several_words_in_one_batch_the_last_counts(gateway: Gateway) -> None:
    watched = await Watched.new(gateway, watches=False)
    words = [
        CallbacksWatched(tenant_id=watched.tenant_id, revision=revision, is_watched=revision == 2) for revision in (2, 3, 1)
    ]
    await learn_watched(watched.outbox, words)
    assert await gateway.pool.fetchval("SELECT is_watched FROM watched WHERE tenant_id = $1", watched.tenant_id) is False


async def test_that_somebody_wants_no_more_is_told_once(gateway: Gateway) -> None:
    watched = await Watched.new(gateway)
    stop = {
        "id": "wamid.S",
        "from": "5521998765432",
        "timestamp": str(int(NOW.timestamp())),
        "type": "text",
        "text": {"body": "STOP"},
    }
    updates = await watched.webhook(messages=[stop])
    (consent,) = [update for update in updates if update.type == "contact.consent_changed"]
    assert consent.data["consent"] == "opted_out"
    assert consent.graph is None
