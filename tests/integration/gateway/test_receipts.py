"""POST /api/receipts: what was read, and that somebody is typing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.integration.gateway.serving import Answer, Gateway, Tenant

WAMID = "wamid.HBgLMTU1NTEyMzQ1NjcVAgASGBQzQUE="


class Provider:
    """Says what it is told to say."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.status = 200
        self.answer: Any = {"success": True}

    async def take(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, request.headers["Authorization"], await request.json()))
        return web.json_response(self.answer, status=self.status)


@pytest.fixture
async def provider() -> AsyncIterator[tuple[Provider, str]]:
    provider, app = Provider(), web.Application()
    app.router.add_post("/{tail:.*}", provider.take)
    async with TestServer(app) as server:
        yield provider, str(server.make_url("/"))


@pytest.fixture
async def tenant(gateway: Gateway, provider: tuple[Provider, str]) -> Tenant:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001", provider_url=provider[1])
    return tenant


async def post(gateway: Gateway, tenant: Tenant, body: Any, **headers: str) -> Answer:
    return await gateway.call("POST", "/api/receipts", body, tenant, **headers)


async def test_the_provider_is_told_at_once(gateway: Gateway, tenant: Tenant, provider: tuple[Provider, str]) -> None:
    answer = await post(gateway, tenant, {"provider_id": WAMID})
    assert (answer.status, answer.body["provider_id"], answer.body["typing"]) == (200, WAMID, False)
    assert (await post(gateway, tenant, {"from": answer.body["from"], "provider_id": WAMID, "typing": True})).status == 200
    said = {"messaging_product": "whatsapp", "status": "read", "message_id": WAMID}
    path, authorization = "/v23.0/1001/messages", "Bearer token-1001"
    assert provider[0].asked == [
        (path, authorization, said),
        (path, authorization, {**said, "typing_indicator": {"type": "text"}}),
    ]


async def test_asked_twice_under_one_key_the_provider_is_told_once(
    gateway: Gateway, tenant: Tenant, provider: tuple[Provider, str]
) -> None:
    answers = [await post(gateway, tenant, {"provider_id": WAMID}, **{"Idempotency-Key": "a"}) for _ in range(2)]
    assert answers[0].body == answers[1].body
    assert len(provider[0].asked) == 1


async def test_the_providers_refusal_is_told_with_its_code(
    gateway: Gateway, tenant: Tenant, provider: tuple[Provider, str]
) -> None:
    provider[0].status = 400
    provider[0].answer = {
        "error": {"code": 100, "message": "(#100) Invalid parameter", "error_data": {"details": "Check the message id."}}
    }
    answer = await post(gateway, tenant, {"provider_id": WAMID})
    assert (answer.status, answer.body["code"], answer.body["detail"]) == (422, "provider.100", "Check the message id.")
    provider[0].answer = ["nonsense"]
    assert (await post(gateway, tenant, {"provider_id": WAMID})).status == 422


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/provider_id"),
        ({"provider_id": "a b"}, "/provider_id"),
        ({"provider_id": WAMID, "typing": "yes"}, "/typing"),
        ({"provider_id": WAMID, "from": "num_00000000000000000000000000"}, "/from"),
        ({"provider_id": WAMID, "x": 1}, "/x"),
    ],
)
async def test_a_wrong_receipt_is_refused_by_its_field(gateway: Gateway, tenant: Tenant, body: Any, pointer: str) -> None:
    answer = await post(gateway, tenant, body)
    assert (answer.status, answer.body["errors"][0]["pointer"]) == (422, pointer)


async def test_a_provider_that_is_away_is_no_fault_of_the_caller(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1002", provider_url="http://127.0.0.1:9")
    answer = await post(gateway, tenant, {"provider_id": WAMID})
    assert (answer.status, answer.body["code"]) == (503, "provider.unreachable")
    assert "Retry-After" in answer.headers
