"""Batches: a message in one is held to what a message sent alone is held to."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.gateway.routes.messages import BODY_LIMIT
from tests.integration.gateway.serving import Gateway

GOOD: dict[str, Any] = {"to": "+15551234567", "text": {"body": "hi"}}
TEMPLATE: dict[str, Any] = {"name": "order_update", "language": {"code": "en"}}


def templated(length: int) -> dict[str, Any]:
    texts = ["x" * min(30_000, length - at) for at in range(0, length, 30_000)]
    body = {"type": "body", "parameters": [{"type": "text", "text": text} for text in texts]}
    return {"to": GOOD["to"], "type": "template", "template": {**TEMPLATE, "components": [body]}}


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
@pytest.mark.parametrize("other", [GOOD, {**GOOD, "to": "nobody"}, {**GOOD, "colour": "red"}])
async def test_a_message_over_the_limit_of_one_costs_itself_only(kind: str, other: dict[str, Any], gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    items = [orjson.dumps(one) for one in (GOOD, templated(BODY_LIMIT), other, templated(BODY_LIMIT // 2))]
    body = b"\n".join(items) if "nd" in kind else b"[" + b" , ".join(items) + b"]"
    answer = await gateway.call("POST", "/api/messages/batch", body, tenant, **{"Content-Type": kind})
    assert answer.status == 202, answer.text
    first, over, between, last = answer.body["results"]
    assert [(fault["pointer"], fault["code"]) for fault in over["errors"]] == [("/1", "body.too_large")]
    assert "id" in first
    assert "id" in last
    assert ("id" in between) == (other is GOOD)
    assert (await gateway.call("POST", "/api/messages", items[1], tenant)).status == 413


@pytest.mark.parametrize("path", ["/api/messages", "/api/messages/batch"])
@pytest.mark.parametrize(
    ("header", "value", "field"),
    [("X-Chasqui-Schedule", "2030-01-01T00:00:00Z", "scheduled_time"), ("x-chasqui-priority", "high", "priority")],
)
async def test_headers_of_the_front_door_are_refused_and_their_fields_named(
    path: str, header: str, value: str, field: str, gateway: Gateway
) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    answer = await gateway.call("POST", path, [GOOD] if "batch" in path else GOOD, tenant, **{header: value})
    assert (answer.status, answer.body["code"]) == (400, "header.misplaced")
    assert field in answer.body["detail"]
    assert (await gateway.call("GET", "/api/messages", tenant=tenant)).body["data"] == []


@pytest.mark.parametrize("path", ["/api/messages", "/api/messages/batch"])
async def test_as_many_cards_as_the_provider_takes_fit_into_one_message(path: str, gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    card = {
        "name": {"formatted_name": "x" * 200, "first_name": "x" * 200},
        "phones": [{"phone": "+15550001111", "type": "WORK"}],
    }
    message = {"to": GOOD["to"], "type": "contacts", "contacts": [card] * 257}
    assert len(orjson.dumps(message)) > 100_000
    answer = await gateway.call("POST", path, [message] if "batch" in path else message, tenant)
    assert answer.status == 202, answer.text


async def test_many_small_messages_may_be_larger_together(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    answer = await gateway.call("POST", "/api/messages/batch", [templated(1000)] * 100, tenant)
    assert (answer.status, answer.body["accepted"]) == (202, 100)


async def test_the_numbers_of_a_batch_are_each_their_own_choice(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    numbers = [await gateway.connect(tenant, "1001"), await gateway.connect(tenant, "1002")]
    body = [{**GOOD, "from": number} for number in (*numbers, "num_" + "0" * 26)] + [GOOD]
    results = (await gateway.call("POST", "/api/messages/batch", body, tenant)).body["results"]
    assert ["id" in result for result in results] == [True, True, False, False]
    assert [result["errors"][0]["code"] for result in results[2:]] == ["number.unknown", "number.ambiguous"]
