"""Every type of content by POST /api/messages, to everybody that a message can go to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.gateway.contents import ContentDirectory, Having, having_faults
from services.gateway.templates import TemplateDirectory
from shared.clock import SystemClock
from shared.events.catalogue import MessageAccepted
from shared.ids import TenantId, new_id
from tests.integration.gateway.serving import Answer, Gateway, Tenant
from tests.unit.content.samples import CONTENTS, OWN, interactive, template

TO = "+15551234567"
GROUP = {"whatsapp_group": "Y2FwaV9ncm91cDo"}
WITHOUT_FILES = {name: content for name, content in CONTENTS.items() if OWN not in str(content)}


@pytest.fixture
async def tenant(gateway: Gateway) -> Tenant:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    await gateway.told()
    return tenant


async def post(gateway: Gateway, tenant: Tenant, **body: Any) -> Answer:
    return await gateway.call("POST", "/api/messages", {"to": TO, **body}, tenant)


async def accepted(gateway: Gateway) -> list[MessageAccepted]:
    return [event for event in await gateway.told() if isinstance(event, MessageAccepted)]


def faults(answer: Answer) -> list[tuple[str, str]]:
    assert answer.status == 422, answer.text
    return [(fault["pointer"], fault["code"]) for fault in answer.body["errors"]]


async def test_every_type_is_taken_and_told_as_it_was_said(gateway: Gateway, tenant: Tenant) -> None:
    bodies = [{"to": GROUP if name == "pin" else TO, **content} for name, content in WITHOUT_FILES.items()]
    answer = await gateway.call("POST", "/api/messages/batch", bodies, tenant)
    assert (answer.status, answer.body["rejected"]) == (202, 0), answer.text
    assert [event.content for event in await accepted(gateway)] == list(WITHOUT_FILES.values())
    for result, content in zip(answer.body["results"], WITHOUT_FILES.values(), strict=True):
        shown = (await gateway.call("GET", f"/api/messages/{result['id']}", tenant=tenant)).body
        assert (shown["type"], shown["content"]) == (content["type"], content)


async def test_what_the_provider_would_refuse_is_refused_with_its_place(gateway: Gateway, tenant: Tenant) -> None:
    many = [{"type": "reply", "reply": {"id": str(n), "title": str(n)}} for n in range(4)]
    for body, expected in (
        (interactive("button", {"buttons": many}), [("/interactive/action/buttons", "field.too_long")]),
        ({"type": "image", "image": {"link": "ftp://x.example/a"}}, [("/image/link", "link.invalid")]),
        ({"type": "image", "image": {"link": "{{photo}}"}}, [("/image/link", "link.invalid")]),
        ({"type": "image", "image": {"id": new_id("med")}}, [("/image/id", "media.unknown")]),
        ({"type": "image", "text": {"body": "x"}}, [("/image", "field.missing"), ("/text", "field.surplus")]),
        ({**CONTENTS["reaction"], "context": {"message_id": "wamid.x"}}, [("/context", "field.surplus")]),
        (template({"type": "x"}), [("/template/components/0", "template.component_unknown")]),
        (CONTENTS["pin"], [("/pin", "content.groups_only")]),
        ({**CONTENTS["buttons"], "to": GROUP}, [("/interactive", "content.not_to_groups")]),
    ):
        answer = await post(gateway, tenant, **body)
        assert sorted(faults(answer)) == sorted(expected), answer.text
    assert await accepted(gateway) == []


async def test_hostile_contents_are_refused_and_nothing_breaks(gateway: Gateway, tenant: Tenant) -> None:
    deep = b'{"a":' * 3000 + b"1" + b"}" * 3000
    start = (
        b'{"to":"+15551234567","type":"interactive","interactive":{"type":"flow","body":{"text":"x"},"action":{"name":"flow",'
    )
    flow = (
        start + b'"parameters":{"flow_message_version":"3","flow_id":"1","flow_cta":"x","flow_action_payload":{"data":%b}}}}}'
    )
    for data in (deep, b"[]", b'{"a":' + b"9" * 400 + b"}", b'{"a":1e999}', b'{"a":"\\u0000"}', b'{"a":"\\ud800"}'):
        answer = await gateway.call("POST", "/api/messages", flow % data, tenant)
        assert 400 <= answer.status < 500, answer.text
        assert answer.headers["Content-Type"] == "application/problem+json"


async def test_it_goes_to_a_user_id_and_to_a_group(gateway: Gateway, tenant: Tenant) -> None:
    user = "US.13491208655302741918"
    ada = (await gateway.call("POST", "/api/contacts", {"user_id": user, "name": "Ada"}, tenant)).body["id"]
    await gateway.told()
    for to, address in (
        (user, user),
        ({"contact_id": ada}, user),
        ({"whatsapp_group": "Y2FwaV9ncm91cDo"}, "group:Y2FwaV9ncm91cDo"),
    ):
        answer = await post(gateway, tenant, to=to, text={"body": "hi"})
        assert answer.status == 202, answer.text
        assert [event.to for event in await accepted(gateway)] == [address]
        listed = (await gateway.call("GET", f"/api/messages?to={address}&limit=1", tenant=tenant)).body["data"]
        assert [message["id"] for message in listed] == [answer.body["id"]]


async def test_a_message_named_for_longer_than_the_sender_knows_it_is_named_as_the_provider_does(
    gateway: Gateway, tenant: Tenant
) -> None:
    """The sender forgets attempts after eight days; what is scheduled for later is told the wamid, if there is one."""
    stranger = await gateway.new_tenant()
    await gateway.connect(stranger, "2001")
    sent, unsent = [(await post(gateway, tenant, text={"body": "x"})).body["id"] for _ in range(2)]
    foreign = (await post(gateway, stranger, text={"body": "x"})).body["id"]
    await gateway.pool.execute("UPDATE messages SET wamid = 'wamid.1' WHERE id = ANY ($1::text[])", [sent, foreign])
    made = await gateway.call("POST", "/api/templates", {"name": "order", "language": "en", "body": "It is here."}, tenant)
    await gateway.told()
    later = (datetime.now(UTC) + timedelta(days=9)).isoformat()
    for message_id, scheduled, named in (
        (sent, None, sent),
        (sent, later, "wamid.1"),
        (unsent, later, unsent),
        (foreign, later, foreign),
    ):
        moment = {} if scheduled is None else {"scheduled_time": scheduled}
        quoted = {"message_id": message_id}
        reaction = {"type": "reaction", "reaction": {**quoted, "emoji": "👍"}}
        for body in ({"text": {"body": "x"}, "context": quoted}, reaction, {"template_id": made.body["id"], "context": quoted}):
            answer = await post(gateway, tenant, **body, **moment)
            assert answer.status == 202, answer.text
        told = await accepted(gateway)
        assert [(e.content.get("context") or e.content["reaction"])["message_id"] for e in told] == [named] * 3


async def test_a_template_of_ours_may_be_an_answer(gateway: Gateway, tenant: Tenant) -> None:
    body = {"name": "order", "language": "en", "body": "It is here."}
    made = await gateway.call("POST", "/api/templates", body, tenant)
    await gateway.told()
    answer = await post(gateway, tenant, template_id=made.body["id"], context={"message_id": "wamid.x"})
    assert answer.status == 202, answer.text
    [told] = await accepted(gateway)
    assert told.content == {"type": "text", "text": {"body": "It is here."}, "context": {"message_id": "wamid.x"}}


async def test_drafts_hold_every_type_and_are_filled_in(gateway: Gateway, tenant: Tenant) -> None:
    for content in WITHOUT_FILES.values():
        answer = await gateway.call("POST", "/api/drafts", content, tenant)
        assert (answer.status, answer.body.get("content")) == (201, content), answer.text
    draft = {"type": "image", "image": {"link": "{{photo}}", "caption": "For {{name}}"}}
    made = await gateway.call("POST", "/api/drafts", draft, tenant)
    assert made.body["variables"] == ["photo", "name"]
    buttons = CONTENTS["buttons"]
    changed = await gateway.call("PATCH", f"/api/drafts/{made.body['id']}", buttons, tenant)
    assert changed.body["content"] == buttons


@dataclass(frozen=True, slots=True)
class Photo:
    mime_type: str
    size_bytes: int


class Album:
    """Files of one tenant."""

    def __init__(self, **files: Photo) -> None:
        self.files = files
        self.asked: list[str] = []

    async def known(self, tenant_id: TenantId, ids: Any, /) -> dict[str, Photo]:  # noqa: ARG002  # there is one
        self.asked += ids
        return {name: self.files[name] for name in ids if name in self.files}


@pytest.mark.parametrize(
    ("kind", "photo", "expected"),
    [
        ("image", Photo("image/jpeg", 5 * 2**20), []),
        ("image", Photo("image/jpeg", 5 * 2**20 + 1), [("/image/id", "media.too_large")]),
        ("image", Photo("image/webp", 1), [("/image/id", "media.wrong_type")]),
        ("sticker", Photo("image/webp", 1), []),
        ("video", Photo("image/jpeg", 1), [("/video/id", "media.wrong_type")]),
        ("audio", Photo("audio/ogg; codecs=opus", 1), []),
        ("audio", Photo("audio/mpeg", 1), [("/audio/voice", "media.wrong_type")]),
        ("document", Photo("application/zip", 100 * 2**20), []),
        ("image", None, [("/image/id", "media.unknown")]),
    ],
)
async def test_a_file_of_ours_is_what_the_provider_takes(
    gateway: Gateway, kind: str, photo: Photo | None, expected: list[tuple[str, str]]
) -> None:
    album = Album(**({} if photo is None else {OWN: photo}))
    directory = ContentDirectory(TemplateDirectory(gateway.pool, SystemClock()), album)
    content = {"type": kind, kind: {"id": OWN, **({"voice": True} if kind == "audio" else {})}}
    having = await directory.having(TenantId("tnt_a"), [content, CONTENTS["image by id"], CONTENTS["text"]])
    assert album.asked == [OWN]
    assert [(fault.pointer, fault.code) for fault in having_faults(content, having)] == expected


async def test_nothing_is_asked_for_a_content_that_names_nothing(gateway: Gateway) -> None:
    album = Album()
    directory = ContentDirectory(TemplateDirectory(gateway.pool, SystemClock()), album)
    assert await directory.having(TenantId("tnt_a"), [CONTENTS["text"], CONTENTS["list"]]) == Having()
    assert album.asked == []
