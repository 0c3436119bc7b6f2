"""Twilio's webhooks: only from whom they say, kept before the answer, told like the Cloud API's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import pytest

from services.gateway import numbers
from services.gateway.domain.twilio import SIGNATURE_HEADER, sign
from shared.auth.signatures import HEADER
from shared.auth.signatures import sign as sign_body
from shared.events.catalogue import MessageReceived, MessageStatusChanged, NumberConnected
from shared.events.event import Event
from shared.events.values import DeliveryStatus, Provider
from shared.ids import MessageId, NumberId, TenantId
from tests.integration.gateway.serving import WEBHOOK, Answer, Gateway, Tenant
from tests.support.platform import until

TOKEN: Final = "auth-token-of-the-account"
ACCOUNT: Final = "AC" + "0a" * 16
SID: Final = "SM" + "1b" * 16
FORM: Final = "application/x-www-form-urlencoded"


async def connected(gateway: Gateway, tenant: Tenant) -> tuple[str, str]:
    """A number at Twilio: its id, and where Twilio is told to report."""
    body = {
        "provider": "twilio",
        "account_id": ACCOUNT,
        "display_number": "+15550783881",
        "access_token": TOKEN,
        "provider_url": "http://127.0.0.1:8090",
    }
    answer = await gateway.call("POST", "/api/numbers", body, tenant)
    assert answer.status == 201, answer.text
    return answer.body["id"], answer.body["callback_url"]


async def posted(
    gateway: Gateway, url: str, fields: dict[str, str], *, token: str = TOKEN, signed: str | None = None, kind: str = FORM
) -> Answer:
    """A POST to `url` as Twilio makes it, signed for `signed` where that is another."""
    target = urlsplit(url)._replace(scheme="", netloc="").geturl()
    headers = {SIGNATURE_HEADER: sign(token, signed or url, list(fields.items())), "Content-Type": kind}
    return await gateway.call("POST", target, urlencode(fields).encode(), None, **headers)


async def kept(gateway: Gateway) -> int:
    return int(await gateway.pool.fetchval("SELECT count(*) FROM webhooks"))


async def read(gateway: Gateway) -> Sequence[Event]:
    """What was told once every payload has been read."""

    async def nothing_waits() -> bool:
        return not await gateway.pool.fetchval("SELECT count(*) FROM webhooks WHERE quarantined IS NULL")

    await until(nothing_waits, "every payload is read")
    return await gateway.told()


def report(status: str, **more: str) -> dict[str, str]:
    return {"MessageSid": SID, "MessageStatus": status, "AccountSid": ACCOUNT, "To": "whatsapp:+15551234567", **more}


async def test_the_sender_is_told_where_twilio_shall_report(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number_id, url = await connected(gateway, tenant)
    (event,) = [event for event in await gateway.told() if isinstance(event, NumberConnected)]
    assert (event.provider, event.callback_url, event.account_id) == (Provider.TWILIO, url, ACCOUNT)
    assert url.endswith(f"/api/webhooks/twilio/{number_id}")


async def test_its_token_signs_nothing_in_the_cloud_apis_way(gateway: Gateway) -> None:
    number_id, url = await connected(gateway, await gateway.new_tenant())
    assert (await posted(gateway, url, report("delivered"))).status == 200
    body = b'{"entry": []}'
    answer = await gateway.call("POST", f"{WEBHOOK}/{number_id}", body, **{HEADER: sign_body(TOKEN, body)})
    assert answer.status == 401


async def test_a_report_brings_its_message_forward(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number_id, url = await connected(gateway, tenant)
    message = await gateway.send(tenant)
    answer = await posted(gateway, f"{url}?attempt={message}.2", report("delivered"))
    assert (answer.status, answer.text) == (200, "<Response/>")
    assert answer.headers["Content-Type"].startswith("text/xml")
    (event,) = [event for event in await read(gateway) if isinstance(event, MessageStatusChanged)]
    assert (event.message_id, event.attempt, event.wamid) == (message, 2, SID)
    assert event.status is DeliveryStatus.DELIVERED
    assert (await gateway.call("GET", f"/api/messages/{message}", tenant=tenant)).body["status"] == "delivered"
    assert await kept(gateway) == 0
    assert number_id


async def test_a_failure_is_told_with_its_code(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    _, url = await connected(gateway, tenant)
    message = await gateway.send(tenant)
    await posted(gateway, f"{url}?attempt={message}.1", report("undelivered", ErrorCode="63024"))
    (event,) = [event for event in await read(gateway) if isinstance(event, MessageStatusChanged)]
    assert (event.status, event.error_code) == (DeliveryStatus.FAILED, "provider.63024")


async def test_what_somebody_wrote_is_told_once(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number_id, url = await connected(gateway, tenant)
    fields = {
        "MessageSid": SID,
        "SmsStatus": "received",
        "AccountSid": ACCOUNT,
        "From": "whatsapp:+14133881111",
        "ProfileName": "Ana",
        "NumMedia": "0",
        "Body": "¿Hola?",
    }
    for _ in range(2):
        assert (await posted(gateway, url, fields)).status == 200
    (event,) = [event for event in await read(gateway) if isinstance(event, MessageReceived)]
    assert (event.tenant_id, event.number_id, event.wamid) == (TenantId(tenant.tenant_id), NumberId(number_id), SID)
    assert (event.sender, event.sender_name) == ("+14133881111", "Ana")
    assert event.content == {"type": "text", "text": {"body": "¿Hola?"}}


async def test_a_form_that_is_not_signed_for_this_place_is_refused_and_not_kept(gateway: Gateway) -> None:
    tenant, other = await gateway.new_tenant("One"), await gateway.new_tenant("Other")
    _, url = await connected(gateway, tenant)
    cloud_api = await gateway.connect(other, "1002")
    mine = f"{url}?attempt=msg_1.1"
    foreign = url.rpartition("/")[0] + "/" + cloud_api
    unknown = url.rpartition("/")[0] + "/num_" + "0" * 26
    refused = [
        await posted(gateway, mine, report("sent"), token="another"),
        await posted(gateway, mine, report("sent"), signed=f"{url}?attempt=msg_1.2"),
        await posted(gateway, mine, report("sent"), signed=url),
        await posted(gateway, foreign, report("sent"), token="secret-1002"),
        await posted(gateway, unknown, report("sent")),
        await gateway.call("POST", urlsplit(mine).path, urlencode(report("sent")).encode(), None, **{"Content-Type": FORM}),
    ]
    assert [answer.status for answer in refused] == [401] * 6
    assert {answer.body["code"] for answer in refused} == {"webhook.signature_invalid"}
    assert await kept(gateway) == 0


@pytest.mark.parametrize(
    "fields",
    [report("vanished"), {"MessageSid": SID, "From": "whatsapp:US.1234", "Body": "Hi"}, {"Nothing": "of the kind"}],
)
async def test_what_is_not_understood_is_set_aside_whole(gateway: Gateway, fields: dict[str, str]) -> None:
    tenant = await gateway.new_tenant()
    _, url = await connected(gateway, tenant)
    assert (await posted(gateway, url, fields)).status == 200
    assert not [event for event in await read(gateway) if isinstance(event, MessageStatusChanged | MessageReceived)]
    rows: list[Any] = await gateway.pool.fetch("SELECT body, quarantined FROM webhooks")
    assert len(rows) == 1
    assert rows[0]["quarantined"]
    assert all(f'["{name}","{value}"]'.encode() in rows[0]["body"] for name, value in fields.items())


async def test_a_report_on_anothers_message_tells_nothing(gateway: Gateway) -> None:
    tenant, other = await gateway.new_tenant("One"), await gateway.new_tenant("Other")
    await gateway.connect(other, "1002")
    message = MessageId(await gateway.send(other))
    _, url = await connected(gateway, tenant)
    assert (await posted(gateway, f"{url}?attempt={message}.1", report("read"))).status == 200
    assert not [event for event in await read(gateway) if isinstance(event, MessageStatusChanged)]


async def test_only_a_form_is_taken(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    _, url = await connected(gateway, tenant)
    assert (await posted(gateway, url, report("sent"), kind="application/json")).status == 415


async def test_while_the_auth_token_is_rotated_callbacks_of_either_are_taken(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "FRESH_SECONDS", -1.0)
    tenant = await gateway.new_tenant()
    number_id, url = await connected(gateway, tenant)
    statuses = [(await posted(gateway, url, report("delivered"), token=token)).status for token in (TOKEN, "the-next-token")]
    changed = await gateway.call("PATCH", f"/api/numbers/{number_id}", {"access_token": "the-next-token"}, tenant)
    assert changed.status == 200, changed.text
    statuses += [(await posted(gateway, url, report("delivered"), token=token)).status for token in (TOKEN, "the-next-token")]
    await gateway.pool.execute("UPDATE numbers SET previous_app_secret_until = now() - interval '1 second'")
    statuses += [(await posted(gateway, url, report("delivered"), token=token)).status for token in (TOKEN, "the-next-token")]
    assert [status // 100 for status in statuses] == [2, 4, 2, 2, 4, 2]
