"""Webhook set-up at the front door makes the tenant's callbacks, and leaves the provider telling us."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiohttp import web

from tests.integration.gateway.graph.conftest import ACCOUNT, error_of
from tests.integration.gateway.graph.test_passing import NUMBER, Provider, providing
from tests.integration.gateway.serving import Answer, Gateway, Tenant, serving
from tests.support.database import Database

APP_SECRET = "the-app-secret-of-the-client"
NUMBER_SECRET = "the-app-secret-of-the-number"
URL = "https://example.com/hook"


@dataclass(eq=False)
class Callbacks:
    """Stands for the service that keeps them."""

    kept: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    refuses: bool = False
    fault: dict[str, str] | None = None
    """What its refusal names."""

    async def handle(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer internal"
        assert request.headers["X-Chasqui-Tenant"].startswith("tnt_")
        parts = request.path.removeprefix("/api/callbacks").strip("/").split("/")
        body = orjson.loads(await request.read() or b"null")
        if self.refuses and request.method != "GET":
            named = {} if self.fault is None else {"errors": [self.fault]}
            return self.answer(422, {"detail": "The URL did not answer the challenge.", **named})
        match request.method, parts:
            case "GET", [""]:
                return self.answer(200, {"data": [{"id": i, **c} for i, c in self.kept.items()]})
            case "POST", [""]:
                callback_id = f"cbk_{len(self.kept)}"
                self.secrets[callback_id] = body.pop("secret")
                self.kept[callback_id] = body
                return self.answer(201, {"id": callback_id})
            case "PATCH", [callback_id]:
                self.kept[callback_id] |= body
                return self.answer(200, {})
            case "POST", [callback_id, "secret"]:
                self.secrets[callback_id] = body["secret"]
                return self.answer(200, {})
            case "DELETE", [callback_id]:
                del self.kept[callback_id]
                return web.Response(status=204)
        return self.answer(404, {})

    def answer(self, status: int, body: Any) -> web.Response:
        return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


@dataclass(slots=True)
class SetUp:
    gateway: Gateway
    provider: Provider
    callbacks: Callbacks
    tenant: Tenant
    number_id: str

    async def call(self, method: str, path: str, body: Any = None) -> Answer:
        return await self.gateway.call(method, path, body, self.tenant)


@pytest.fixture
async def set_up(database: Database) -> AsyncIterator[SetUp]:
    callbacks = Callbacks()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", callbacks.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with (
            serving(database, sender_url=f"http://127.0.0.1:{runner.addresses[0][1]}") as gateway,
            providing() as provider,
        ):
            tenant = await gateway.new_tenant()
            number_id = await gateway.connect(
                tenant, NUMBER, waba_id=ACCOUNT, provider_url=provider.url, access_token="EAA", app_secret=NUMBER_SECRET
            )
            yield SetUp(gateway, provider, callbacks, tenant, number_id)
    finally:
        await runner.cleanup()


async def test_an_app_registers_its_webhook_as_it_starts(set_up: SetUp) -> None:
    query = f"grant_type=client_credentials&client_id=77&client_secret={APP_SECRET}"
    token = (await set_up.call("GET", f"/v25.0/oauth/access_token?{query}")).body
    assert token == {"access_token": f"77|{APP_SECRET}", "token_type": "bearer"}
    for verify_token in ("first", "second"):  # as often as it starts
        query = f"object=whatsapp_business_account&callback_url={URL}&verify_token={verify_token}&fields=messages"
        path = f"/v25.0/77/subscriptions?{query}&access_token={token['access_token']}"
        assert (await set_up.call("POST", path)).body == {"success": True}
    [(callback_id, callback)] = set_up.callbacks.kept.items()
    assert (callback["url"], callback["format"], callback["verify_token"]) == (URL, "meta", "second")
    assert callback.get("number_ids") is None
    assert set_up.callbacks.secrets[callback_id] == APP_SECRET
    listed = (await set_up.call("GET", "/v25.0/77/subscriptions")).body
    assert [item["callback_url"] for item in listed["data"]] == [URL]
    assert (await set_up.call("DELETE", "/v25.0/77/subscriptions")).body == {"success": True}
    assert set_up.callbacks.kept == {}
    assert set_up.provider.asked == []


async def test_an_override_of_a_number_is_a_callback_of_that_number(set_up: SetUp) -> None:
    wanted = {"override_callback_uri": URL, "verify_token": "v"}
    assert (await set_up.call("POST", f"/v25.0/{NUMBER}/", {"webhook_configuration": wanted})).body == {"success": True}
    [(callback_id, callback)] = set_up.callbacks.kept.items()
    assert callback["number_ids"] == [set_up.number_id]
    assert set_up.callbacks.secrets[callback_id] == NUMBER_SECRET
    assert (
        await set_up.call("POST", f"/v25.0/{NUMBER}/", {"webhook_configuration": {"override_callback_uri": ""}})
    ).status == 200
    assert set_up.callbacks.kept == {}
    assert set_up.provider.asked == []
    assert (await set_up.call("POST", f"/v25.0/{NUMBER}", {"pin": "123456"})).status == 200
    assert set_up.provider.asked[-1][3] == b'{"pin":"123456"}'


async def test_an_override_of_an_account_is_a_callback_of_its_numbers(set_up: SetUp) -> None:
    other = await set_up.gateway.connect(
        set_up.tenant, "2002", waba_id="3003", provider_url=set_up.provider.url, app_secret=NUMBER_SECRET
    )
    path = "/v25.0/3003/subscribed_apps"
    assert (await set_up.call("POST", path, {"override_callback_uri": URL, "verify_token": "v"})).body == {"success": True}
    assert [callback["number_ids"] for callback in set_up.callbacks.kept.values()] == [[other]]
    assert set_up.provider.asked == []
    assert (await set_up.call("POST", path)).body == {"success": True}
    assert set_up.callbacks.kept == {}
    assert [(method, url.path) for method, url, _, _ in set_up.provider.asked] == [("POST", "/v23.0/3003/subscribed_apps")]
    assert (await set_up.call("DELETE", path)).body == {"success": True}
    assert len(set_up.provider.asked) == 1


async def test_a_url_that_does_not_answer_is_told(set_up: SetUp) -> None:
    set_up.callbacks.refuses = True
    wanted = {"override_callback_uri": URL, "verify_token": "v"}
    answer = await set_up.call("POST", f"/v25.0/{NUMBER}", {"webhook_configuration": wanted})
    assert (answer.status, error_of(answer)["code"]) == (400, 2200)
    assert "challenge" in error_of(answer)["error_data"]["details"]


@pytest.mark.parametrize(
    ("code", "graph_code", "said"),
    [("callback.not_verified", 2200, "does not answer"), ("address.forbidden", 100, "must be an https URL")],
)
async def test_a_refused_address_goes_by_the_callers_name(set_up: SetUp, code: str, graph_code: int, said: str) -> None:
    set_up.callbacks.refuses = True
    set_up.callbacks.fault = {"pointer": "/url", "code": code, "detail": said}
    wanted = {"override_callback_uri": URL, "verify_token": "v"}
    query = f"object=whatsapp_business_account&callback_url={URL}&verify_token=v&fields=messages"
    for path, body, named in (
        (f"/v25.0/{NUMBER}", {"webhook_configuration": wanted}, "webhook_configuration.override_callback_uri"),
        (f"/v25.0/{ACCOUNT}/subscribed_apps", wanted, "override_callback_uri"),
        (f"/v25.0/77/subscriptions?{query}", None, "callback_url"),
    ):
        error = error_of(await set_up.call("POST", path, body))
        assert (error["code"], error["error_data"]["details"]) == (graph_code, f"{named} {said}.")


async def test_other_grants_are_refused(set_up: SetUp) -> None:
    answer = await set_up.call("GET", "/v25.0/oauth/access_token?grant_type=fb_exchange_token&client_id=1&client_secret=2")
    assert error_of(answer)["code"] == 100
