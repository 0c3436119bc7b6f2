"""Messages that the scheduler asks for, and what is told of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.gateway.contents import ContentDirectory
from services.gateway.media import Media
from services.gateway.numbers import NumberDirectory
from services.gateway.requested import Requests
from services.gateway.templates import TemplateDirectory
from shared.auth.seal import Sealer
from shared.clock import SystemClock
from shared.events.catalogue import MessageAccepted, MessageRequested, MessageRequestRefused, MessageStatusChanged, RunReported
from shared.events.values import DailySpan, Hours, OnUnknown, Tier
from shared.ids import MessageId, NumberId, TenantId, new_id
from shared.objects.store import open_objects
from tests.integration.gateway.serving import MASTER_KEY, Gateway, Tenant
from tests.integration.gateway.test_media import upload
from tests.integration.gateway.test_webhooks import payload, read, status, value
from tests.support.files import PDF, PNG
from tests.support.told import silent_outbox

RUN = new_id("run")
NIGHT = Hours(zone="America/Lima", quiet=[DailySpan(start="22:00", end="07:00")])


class Scene:
    """A tenant with a number, and the consumer of what the scheduler asks for."""

    def __init__(self, gateway: Gateway, tenant: Tenant, number: str) -> None:
        self.gateway = gateway
        self.tenant = tenant
        self.number = number
        clock = SystemClock()
        media = Media(gateway.pool, open_objects(gateway.objects))
        self._requests = Requests(
            silent_outbox(gateway.pool, "gateway"),
            gateway.pool,
            NumberDirectory(gateway.pool, Sealer(MASTER_KEY), clock),
            ContentDirectory(TemplateDirectory(gateway.pool, clock), media),
            clock,
        )

    def request(self, **changes: Any) -> MessageRequested:
        values: dict[str, Any] = {
            "tenant_id": TenantId(self.tenant.tenant_id),
            "message_id": MessageId(new_id("msg")),
            "run_id": RUN,
            "number_id": NumberId(self.number),
            "to": "+15551234567",
            "content": {"type": "text", "text": {"body": "hello"}},
            "not_before": datetime.now(UTC),
            **changes,
        }
        return MessageRequested(**values)

    async def take(self, *events: MessageRequested) -> list[Any]:
        await self._requests.take(events)
        return list(await self.gateway.told())

    async def get(self, path: str) -> Any:
        answer = await self.gateway.call("GET", path, tenant=self.tenant)
        assert answer.status == 200, answer.text
        return answer.body

    async def listed(self, query: str) -> list[str]:
        return [message["id"] for message in (await self.get(f"/api/messages?{query}"))["data"]]


@pytest.fixture
async def scene(gateway: Gateway) -> Scene:
    tenant = await gateway.new_tenant()
    return Scene(gateway, tenant, await gateway.connect(tenant, "1001"))


async def test_it_becomes_a_message_under_the_id_it_was_given(scene: Scene) -> None:
    due = datetime.now(UTC) + timedelta(minutes=5)
    request = scene.request(
        contact_id=new_id("ctc"),
        tier=Tier.LOW,
        not_before=due,
        expires_at=due + timedelta(hours=1),
        on_unknown=OnUnknown.RESEND,
        needs_consent=False,
        hours=NIGHT,
        reference="order 7",
        metadata={"wave": "2"},
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
    [told] = await scene.take(request)
    assert isinstance(told, MessageAccepted)
    same = ("message_id", "run_id", "number_id", "to", "content", "tier", "not_before", "expires_at", "on_unknown")
    for name in (*same, "needs_consent", "hours", "traceparent"):
        assert getattr(told, name) == getattr(request, name), name
    shown = await scene.get(f"/api/messages/{request.message_id}")
    assert (shown["status"], shown["to"], shown["run_id"]) == ("scheduled", "+15551234567", RUN)
    assert (shown["contact_id"], shown["reference"], shown["metadata"]) == (request.contact_id, "order 7", {"wave": "2"})
    assert (shown["priority"], shown["on_unknown"]) == ("low", "resend")
    assert [entry["status"] for entry in shown["timeline"]] == ["accepted", "scheduled"]


async def test_one_that_is_due_is_accepted_and_not_scheduled(scene: Scene) -> None:
    request = scene.request()
    await scene.take(request)
    assert (await scene.get(f"/api/messages/{request.message_id}"))["status"] == "accepted"


async def test_asked_again_it_is_told_once(scene: Scene) -> None:
    request, other = scene.request(), scene.request()
    assert len(await scene.take(request, request)) == 1
    [told] = await scene.take(request, other)
    assert told.message_id == other.message_id
    assert len(await scene.listed("limit=10")) == 2


async def test_asked_for_by_many_at_once_it_is_told_once(scene: Scene) -> None:
    requests = [scene.request() for _ in range(50)]
    told = await asyncio.gather(*(scene.take(*(requests if n % 2 else reversed(requests))) for n in range(6)))
    assert sorted(event.message_id for events in told for event in events) == sorted(r.message_id for r in requests)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"number_id": NumberId(new_id("num"))}, "number.unknown"),
        ({"to": "12"}, "phone.invalid"),
        ({"content": {"type": "text"}}, "field.missing"),
        ({"content": {"type": "text", "text": {"body": ""}}}, "field.too_short"),
        ({"content": {"type": "text", "text": {"body": "a\x00b"}}}, "field.bad_text"),
        ({"content": {"type": "voice", "voice": {"id": "1"}}}, "field.choice"),
        ({"content": {"type": "image", "image": {"link": "{{photo}}"}}}, "link.invalid"),
        ({"content": {}}, "field.missing"),
        (
            {
                "content": {
                    "type": "template",
                    "template": {"name": "a", "language": {"code": "en"}, "components": [{"n": 2**60}]},
                }
            },
            "template.component_unknown",
        ),
    ],
)
async def test_what_cannot_be_a_message_is_refused_and_costs_itself_only(changes: Any, code: str, scene: Scene) -> None:
    wrong, right = scene.request(**changes), scene.request()
    told = {event.message_id: event for event in await scene.take(wrong, right)}
    refused = told.pop(wrong.message_id)
    assert isinstance(refused, MessageRequestRefused)
    assert (refused.run_id, refused.code) == (RUN, code)
    assert refused.detail
    assert "a\x00b" not in refused.detail
    assert [type(event) for event in told.values()] == [MessageAccepted]
    assert await scene.listed("limit=10") == [right.message_id]


async def test_a_file_that_cannot_be_sent_is_refused_with_its_place(scene: Scene) -> None:
    other = await scene.gateway.new_tenant("Other")
    image = (await upload(scene.gateway, scene.tenant, PNG)).body["id"]
    document = (await upload(scene.gateway, scene.tenant, PDF, "application/pdf")).body["id"]
    anothers = (await upload(scene.gateway, other, PNG)).body["id"]
    await scene.gateway.told()
    wanted = {
        image: None,
        "1037543291543636": None,
        document: "media.wrong_type",
        anothers: "media.unknown",
        new_id("med"): "media.unknown",
    }
    requests = {media_id: scene.request(content={"type": "image", "image": {"id": media_id}}) for media_id in wanted}
    told = {event.message_id: event for event in await scene.take(*requests.values())}
    for media_id, code in wanted.items():
        event = told[requests[media_id].message_id]
        assert getattr(event, "code", None) == code, media_id
        if code is not None:
            assert event.detail.startswith("/content/image/id ")
    assert len(await scene.listed("limit=10")) == 2


async def test_what_was_accepted_is_not_refused_when_it_is_asked_again_without_its_file(scene: Scene) -> None:
    media_id = (await upload(scene.gateway, scene.tenant, PNG)).body["id"]
    await scene.gateway.told()
    request = scene.request(content={"type": "image", "image": {"id": media_id}})
    assert [type(event) for event in await scene.take(request)] == [MessageAccepted]
    await scene.gateway.call("DELETE", f"/api/media/{media_id}", tenant=scene.tenant)
    await scene.gateway.told()
    assert await scene.take(request) == []


async def test_what_does_not_go_to_that_address_is_refused(scene: Scene) -> None:
    [told] = await scene.take(scene.request(content={"type": "pin", "pin": {"type": "pin", "message_id": "wamid.1"}}))
    assert isinstance(told, MessageRequestRefused)
    assert (told.code, told.detail) == ("content.groups_only", "/content/pin goes to groups only")


async def test_a_message_of_long_ago_is_named_by_its_wamid(scene: Scene) -> None:
    old, never = await scene.gateway.send(scene.tenant), await scene.gateway.send(scene.tenant)
    await scene.gateway.pool.execute("UPDATE messages SET wamid = 'wamid.1' WHERE id = $1", old)
    await scene.gateway.told()
    later = datetime.now(UTC) + timedelta(days=8)
    text = {"type": "text", "text": {"body": "hello"}}
    requests = [
        scene.request(content={**text, "context": {"message_id": old}}, not_before=later),
        scene.request(content={**text, "context": {"message_id": never}}, not_before=later),
        scene.request(content={**text, "context": {"message_id": old}}),
        scene.request(content={"type": "reaction", "reaction": {"message_id": old, "emoji": "👍"}}, not_before=later),
    ]
    told = {event.message_id: event for event in await scene.take(*requests)}
    contents = [told[request.message_id].content for request in requests]
    assert [content["context"]["message_id"] for content in contents[:3]] == ["wamid.1", never, old]
    assert contents[3] == {"type": "reaction", "reaction": {"message_id": "wamid.1", "emoji": "👍"}}


async def test_another_tenants_number_is_refused(scene: Scene) -> None:
    other = await scene.gateway.new_tenant("Other")
    number = await scene.gateway.connect(other, "2002")
    [told] = await scene.take(scene.request(number_id=NumberId(number)))
    assert isinstance(told, MessageRequestRefused)
    assert told.code == "number.unknown"


async def test_another_tenants_message_of_that_id_is_another_message(scene: Scene) -> None:
    other = await scene.gateway.new_tenant("Other")
    number = await scene.gateway.connect(other, "2002")
    request = scene.request()
    same = request.model_copy(update={"tenant_id": other.tenant_id, "number_id": number})
    assert len(await scene.take(request, same)) == 2


async def report(scene: Scene, *statuses: dict[str, Any]) -> list[Any]:
    answer = await scene.gateway.webhook(payload(value("1001", statuses=list(statuses))), "secret-1001")
    assert answer.status == 200
    return await read(scene.gateway)


async def test_reports_on_a_message_of_a_run_are_told_to_it_once_for_each_status(scene: Scene) -> None:
    of_run = scene.request()
    await scene.take(of_run)
    alone = await scene.gateway.send(scene.tenant)
    told = await report(
        scene, *(status(m, s, n) for m in (of_run.message_id, alone) for n, s in enumerate(("sent", "delivered", "read")))
    )
    told += await report(scene, *(status(of_run.message_id, s, n) for n, s in enumerate(("delivered", "delivered", "read"), 7)))
    assert sum(isinstance(event, MessageStatusChanged) for event in told) > 4
    reported = [event for event in told if isinstance(event, RunReported)]
    assert [(event.run_id, event.message_id, event.status.value) for event in reported] == [
        (RUN, of_run.message_id, "delivered"),
        (RUN, of_run.message_id, "read"),
    ]
