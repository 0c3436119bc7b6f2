"""What Chasqui does not manage is the provider's: asked with the stored token, answered under our name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiohttp import web
from yarl import URL

from services.gateway.store import templates
from tests.integration.gateway.graph.conftest import ACCOUNT, error_of
from tests.integration.gateway.serving import Answer, Gateway, Tenant

NUMBER = "106540352242922"
TOKEN = "EAAtoken"


@dataclass(eq=False)
class Provider:
    """Answers what it is told to, and remembers what it was asked."""

    url: str = ""
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[tuple[str, URL, dict[str, str], bytes]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.url, dict(request.headers), await request.read()))
        status, body = self.answers.get(request.path.removeprefix("/v23.0"), (200, {"success": True}))
        if isinstance(body, bytes):
            return web.Response(body=body, status=status, content_type="text/html")
        headers = {"X-Business-Use-Case-Usage": "{}", "Location": "http://127.0.0.1:9/", "Set-Cookie": "a=b"}
        return web.Response(body=orjson.dumps(body), status=status, content_type="application/json", headers=headers)


@asynccontextmanager
async def providing() -> AsyncIterator[Provider]:
    provider = Provider()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", provider.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        provider.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield provider
    finally:
        await runner.cleanup()


@dataclass(slots=True)
class Passed:
    gateway: Gateway
    provider: Provider
    tenant: Tenant

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        return await self.gateway.call(method, path, body, self.tenant, **headers)


@pytest.fixture
async def passed(gateway: Gateway) -> AsyncIterator[Passed]:
    async with providing() as provider:
        tenant = await gateway.new_tenant()
        await gateway.connect(tenant, NUMBER, waba_id=ACCOUNT, provider_url=provider.url, access_token=TOKEN)
        yield Passed(gateway, provider, tenant)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{NUMBER}?fields=id,throughput"),
        ("POST", f"{NUMBER}"),
        ("GET", f"{NUMBER}/whatsapp_business_profile?fields=about"),
        ("POST", f"{NUMBER}/whatsapp_business_profile"),
        ("POST", f"{NUMBER}/register"),
        ("POST", f"{NUMBER}/deregister"),
        ("POST", f"{NUMBER}/block_users"),
        ("DELETE", f"{NUMBER}/block_users"),
        ("GET", f"{NUMBER}/message_qrdls/ABC"),
        ("GET", f"{ACCOUNT}"),
        ("GET", f"{ACCOUNT}/phone_numbers?limit=1"),
        ("POST", f"{ACCOUNT}/message_templates"),
        ("DELETE", f"{ACCOUNT}/message_templates?name=order"),
        ("GET", f"{ACCOUNT}/subscribed_apps"),
        ("GET", "1021893206661394"),
        ("POST", "1021893206661394"),
        ("POST", "1021893206661394/unpause"),
        ("POST", "77880022/uploads?file_name=a&file_length=1&file_type=image/png"),
        ("GET", "signups/8800"),
    ],
)
async def test_management_is_passed_on_with_the_stored_token(passed: Passed, method: str, path: str) -> None:
    body = {"pin": "123456"} if method != "GET" else None
    answer = await passed.call(method, f"/v19.0/{path}", body)
    assert (answer.status, answer.body) == (200, {"success": True})
    assert answer.headers["X-Business-Use-Case-Usage"] == "{}"
    assert not {"Location", "Set-Cookie"} & set(answer.headers)
    asked_method, url, headers, data = passed.provider.asked[-1]
    assert (asked_method, url.path_qs) == (method, str(URL(f"/v23.0/{path}").path_qs))
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert passed.tenant.key not in str(headers)
    assert data == (b"" if body is None else orjson.dumps(body))


async def test_a_template_below_its_account_is_the_template(passed: Passed) -> None:
    assert (await passed.call("GET", f"/v23.0/{ACCOUNT}/message_templates/1021893206661394?fields=name")).status == 200
    assert passed.provider.asked[-1][1].path_qs == "/v23.0/1021893206661394?fields=name"


async def test_what_stands_below_the_templates_and_is_none_is_passed_on(passed: Passed) -> None:
    assert (await passed.call("POST", f"/v23.0/{ACCOUNT}/message_templates/archive", {"hsm_ids": ["1"]})).status == 200
    assert passed.provider.asked[-1][1].path == f"/v23.0/{ACCOUNT}/message_templates/archive"


async def test_an_upload_session_is_spoken_to_as_the_provider_wants(passed: Passed) -> None:
    path = "/v23.0/upload:MTphdHRh?sig=ARZqkGCA"
    key = passed.tenant.key
    answer = await passed.gateway.call("POST", path, b"\x89PNG\x00", Authorization=f"OAuth {key}", file_offset="0")
    assert answer.status == 200, answer.text
    _, url, headers, data = passed.provider.asked[-1]
    assert (url.path, url.query["sig"], data) == ("/v23.0/upload:MTphdHRh", "ARZqkGCA", b"\x89PNG\x00")
    assert (headers["Authorization"], headers["file_offset"]) == (f"OAuth {TOKEN}", "0")


async def test_pages_lead_to_this_host_and_show_no_token_but_the_callers(passed: Passed) -> None:
    page = {
        "data": [{"id": "1", "edges": {"paging": {"next": f"https://graph.facebook.com/v23.0/1/x?access_token={TOKEN}"}}}],
        "paging": {
            "cursors": {"before": "MAZDZD", "after": "MjQZD"},
            "next": f"https://graph.facebook.com/v23.0/{ACCOUNT}/message_templates?access_token={TOKEN}&limit=25&after=MjQZD",
            "previous": f"{passed.provider.url}/v23.0/{ACCOUNT}/message_templates?before=MAZDZD",
        },
    }
    passed.provider.answers[f"/{ACCOUNT}/message_templates"] = (200, page)
    path = f"/v14.0/{ACCOUNT}/message_templates"
    answer = await passed.call("GET", path)
    paging = answer.body["paging"]
    assert paging["next"] == f"{passed.gateway.url}{path}?limit=25&after=MjQZD"
    assert paging["previous"] == f"{passed.gateway.url}{path}?before=MAZDZD"
    assert paging["cursors"] == {"before": "MAZDZD", "after": "MjQZD"}
    assert TOKEN not in answer.text
    assert (await passed.call("GET", str(URL(paging["next"]).relative()))).status == 200
    key = passed.tenant.key
    answer = await passed.gateway.call("GET", f"{path}?access_token={key}")
    assert answer.body["paging"]["next"] == f"{passed.gateway.url}{path}?limit=25&after=MjQZD&access_token={key}"
    assert "access_token" not in str(passed.provider.asked[-1][1])


async def test_pages_of_a_provider_behind_a_path_lead_here_too(passed: Passed) -> None:
    await passed.gateway.connect(passed.tenant, "201", waba_id="301", provider_url=f"{passed.provider.url}/second")
    page = {"data": [], "paging": {"next": f"{passed.provider.url}/second/v23.0/301/flows?after=x"}}
    passed.provider.answers["/second/v23.0/301/flows"] = (200, page)
    answer = await passed.call("GET", "/v23.0/301/flows")
    assert answer.body["paging"]["next"] == f"{passed.gateway.url}/v23.0/301/flows?after=x"


async def test_tokens_are_not_given_out(passed: Passed) -> None:
    assert error_of(await passed.call("GET", f"/v23.0/{ACCOUNT}?fields=id,owner{{access_token}}"))["code"] == 100
    passed.provider.answers[f"/{ACCOUNT}"] = (200, {"id": ACCOUNT, "access_token": "EAAother", "note": f"is {TOKEN}"})
    answer = await passed.call("GET", f"/v23.0/{ACCOUNT}")
    assert answer.body == {"id": ACCOUNT, "note": "is withheld"}
    for path in ("/v23.0/me/accounts", "/v23.0/debug_token?input_token=x", "/v23.0/oauth/debug"):
        assert error_of(await passed.call("GET", path))["code"] == 2500


async def test_a_key_of_ours_stays_here(passed: Passed) -> None:
    key = passed.tenant.key
    for body, kind in (
        (orjson.dumps({"access_token": key, "about": "x"}), "application/json"),
        (f"about=x&access_token={key}".encode(), "application/x-www-form-urlencoded"),
    ):
        path = f"/v23.0/{NUMBER}/whatsapp_business_profile?access_token={key}&appsecret_proof=00"
        answer = await passed.call("POST", path, body, **{"Content-Type": kind})
        assert answer.status == 200
        _, url, headers, data = passed.provider.asked[-1]
        assert key not in f"{url}{headers}{data!r}"
        assert "proof" not in str(url)
        assert b"about" in data


async def test_what_is_somebody_elses_does_not_exist(passed: Passed) -> None:
    other = await passed.gateway.new_tenant("Other")
    await passed.gateway.connect(other, "200", waba_id="300", provider_url=passed.provider.url)
    for method, path in (
        ("GET", "200"),
        ("GET", "300/phone_numbers"),
        ("POST", "200/messages"),
        ("POST", "200/media"),
        ("POST", "200/register"),
        ("DELETE", "300/message_templates"),
        ("POST", "300/subscribed_apps"),
    ):
        error = error_of(await passed.call(method, f"/v23.0/{path}", {"messaging_product": "whatsapp"}))
        assert (error["code"], error["error_subcode"], error["type"]) == (100, 33, "GraphMethodException"), (method, path)
    nobody = await passed.gateway.new_tenant("Nobody")
    assert error_of(await passed.gateway.call("GET", "/v23.0/77777777", tenant=nobody))["error_subcode"] == 33
    assert passed.provider.asked == []


async def test_an_object_of_one_of_several_accounts_is_found(passed: Passed) -> None:
    await passed.gateway.connect(passed.tenant, "201", waba_id="301", provider_url=f"{passed.provider.url}/second")
    unknown = {
        "error": {"message": "Unsupported get request.", "type": "GraphMethodException", "code": 100, "error_subcode": 33}
    }
    passed.provider.answers["/5550001"] = (400, unknown)
    answer = await passed.call("GET", "/v23.0/5550001")
    assert (answer.status, answer.body) == (200, {"success": True})
    assert [url.path for _, url, _, _ in passed.provider.asked] == ["/v23.0/5550001", "/second/v23.0/5550001"]
    answer = await passed.call("GET", f"/v23.0/5550001?phone_number_id={NUMBER}")
    assert answer.status == 400
    assert answer.body == unknown


async def test_the_providers_errors_come_through_and_its_faults_become_envelopes(passed: Passed) -> None:
    refused = {"error": {"message": "(#133005) PIN mismatch", "type": "OAuthException", "code": 133005, "fbtrace_id": "A1"}}
    passed.provider.answers[f"/{NUMBER}/register"] = (400, refused)
    answer = await passed.call("POST", f"/v23.0/{NUMBER}/register", {"pin": "1"})
    assert (answer.status, answer.body) == (400, refused)
    for status, body in ((502, b"<html>"), (200, b"<html>"), (302, b"")):
        passed.provider.answers[f"/{ACCOUNT}"] = (status, body)
        answer = await passed.call("GET", f"/v23.0/{ACCOUNT}")
        assert (answer.status, error_of(answer)["code"]) == (503, 2)


async def test_a_provider_that_is_away_is_said_to_be(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, NUMBER, provider_url="http://127.0.0.1:9")
    answer = await gateway.call("GET", f"/v23.0/{NUMBER}", tenant=tenant)
    assert (answer.status, error_of(answer)["code"]) == (503, 2)


async def test_other_calls_cannot_hide_in_one(passed: Passed) -> None:
    for query in ("method=delete", "batch=[]", "ids=1,2"):
        assert error_of(await passed.call("GET", f"/v23.0/{ACCOUNT}/subscribed_apps?{query}"))["code"] == 100
    for path in (f"/v23.0/{NUMBER}/..%2F200", f"/v23.0/{NUMBER}/%2e%2e/200/messages", f"/v23.0/{NUMBER}//x", "/v23.0/a%00b"):
        answer = await passed.call("GET", path)
        assert answer.status == 400, path
        error_of(answer)
    assert passed.provider.asked == []


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"method=delete", FORM),
        (b"%6dethod=delete", FORM),
        (b"fields=access%5Ftoken.as(x)", FORM),
        (b'{"m\\u0065thod":"delete"}', {}),
        (b'{"fields":["id","access_token"]}', {}),
        (b'--b\r\nContent-Disposition: form-data; name="method"\r\n\r\ndelete\r\n--b--\r\n', MULTIPART),
        (b"--b\r\nContent-Disposition: form-data; name=access_token\r\n\r\nx\r\n--b--\r\n", MULTIPART),
    ],
)
async def test_nor_in_a_body(passed: Passed, body: bytes, headers: dict[str, str]) -> None:
    for path in (f"{ACCOUNT}/assigned_users", NUMBER, "1021893206661394"):
        answer = await passed.call("POST", f"/v23.0/{path}", body, **headers)
        assert (answer.status, error_of(answer)["code"]) == (400, 100), path
    assert passed.provider.asked == []


async def test_our_webhooks_cannot_be_led_elsewhere(passed: Passed) -> None:
    there = '{"override_callback_uri":"https://x.example","verify_token":"v"}'
    body = b'{"webhook\\u005fconfiguration":"x"}'
    multipart = f'--b\r\nContent-Disposition: form-data; name="webhook_configuration"\r\n\r\n{there}\r\n--b--\r\n'.encode()
    query = str(URL.build(query={"webhook_configuration": there}).raw_query_string)
    await passed.call("POST", f"/v23.0/{NUMBER}?{query}")
    await passed.call("POST", f"/v23.0/{NUMBER}", body)
    await passed.call("POST", f"/v23.0/{NUMBER}", multipart, **MULTIPART)
    assert passed.provider.asked == []


async def test_odd_headers_and_parameters_do_no_harm(passed: Passed) -> None:
    for query in ("a=%ff", "a=%00", "a=%ed%a0%80", "%ed%a0%80=1", "a=%0d%0aX:1", "a=b%26c%3Dd%23", "a=1&a=2"):
        answer = await passed.call("GET", f"/v23.0/{ACCOUNT}?{query}")
        assert answer.status in {200, 400}, query
    assert (await passed.call("GET", f"/v23.0/{ACCOUNT}?a=b%26c%3Dd%23")).status == 200
    assert dict(passed.provider.asked[-1][1].query) == {"a": "b&c=d#"}
    answer = await passed.call("GET", f"/v23.0/{ACCOUNT}", **{"Accept-Language": "caf\udce9", "file_offset": "\udcff"})
    assert answer.status == 200


async def test_a_template_of_somebody_else_does_not_exist(passed: Passed) -> None:
    other = await passed.gateway.new_tenant("Other")
    for template_id, account in (("7001", "300"), ("7002", ACCOUNT)):
        await passed.gateway.pool.execute(
            "INSERT INTO templates (id, tenant_id, kind, name, language, account_id, provider_id, status, status_at) "
            "VALUES ($1, $2, 'whatsapp', $1, 'en', $3, $4, 'approved', now())",
            f"tpl_{template_id}",
            other.tenant_id,
            account,
            template_id,
        )
    for method in ("GET", "POST", "DELETE"):
        error = error_of(await passed.call(method, "/v23.0/7001", {} if method == "POST" else None))
        assert (error["code"], error["error_subcode"]) == (100, 33)
    assert passed.provider.asked == []
    assert (await passed.call("GET", "/v23.0/7002")).status == 200


async def test_what_the_provider_has_done_is_never_said_to_have_failed(passed: Passed, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_args: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(templates, "make_due", away)
    answer = await passed.call("POST", f"/v23.0/{ACCOUNT}/message_templates", {"name": "order"})
    assert (answer.status, answer.body) == (200, {"success": True})


@pytest.mark.parametrize(
    "path",
    ["/v23.0", "/v23.0/", "/v23/x", "/v23.0/a%0D%0AX:1", "/v1.0/nothing", f"/v23.0/{NUMBER}/messages", "/v999.0/1/2/3/4/5"],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS"])
async def test_no_path_of_the_front_door_answers_otherwise(passed: Passed, method: str, path: str) -> None:
    answer = await passed.call(method, path)
    assert answer.status == 400
    error_of(answer)


async def test_templates_that_may_have_changed_are_read_again(passed: Passed) -> None:
    due = "SELECT due_at <= now() FROM template_accounts"
    await passed.gateway.pool.execute(
        "INSERT INTO template_accounts (tenant_id, account_id, due_at) VALUES ($1, $2, now() + interval '1 hour')",
        passed.tenant.tenant_id,
        ACCOUNT,
    )
    await passed.call("GET", f"/v23.0/{ACCOUNT}/message_templates")
    await passed.call("POST", f"/v23.0/{NUMBER}/register", {})
    assert await passed.gateway.pool.fetchval(due) is False
    await passed.call("POST", f"/v23.0/{ACCOUNT}/message_templates", {"name": "order"})
    assert await passed.gateway.pool.fetchval(due) is True
