"""`Idempotency-Key`: one effect however often and however many at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.gateway.serving import Gateway
from tests.support.platform import until

BODY: dict[str, Any] = {"to": "+15551234567", "text": {"body": "once"}}


async def test_a_hundred_requests_at_once_make_one_message(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    headers = {"Idempotency-Key": "order-1"}
    answers = await asyncio.gather(*(gateway.call("POST", "/api/messages", BODY, tenant, **headers) for _ in range(100)))
    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) <= {202, 409, 503}, statuses
    assert len({answer.body["id"] for answer in answers if answer.status == 202}) == 1
    assert sum(answer.status == 202 and "Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert await gateway.pool.fetchval("SELECT count(*) FROM messages") == 1
    assert len(await gateway.told()) == 1


async def test_a_replay_is_the_same_answer_and_marked(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    first, second = [await gateway.call("POST", "/api/messages", BODY, tenant, **{"Idempotency-Key": "a"}) for _ in range(2)]
    assert (first.status, first.text) == (second.status, second.text)
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("path", ["/api/messages", "/api/messages/batch"])
async def test_a_replay_is_the_same_answer_even_when_the_request_could_no_longer_be_taken(path: str, gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    expires_at = datetime.now(UTC) + timedelta(seconds=3)
    one = {**BODY, "expires_at": expires_at.isoformat()}
    body = [one] if path.endswith("batch") else one
    first = await gateway.call("POST", path, body, tenant, **{"Idempotency-Key": "a"})
    await until(lambda: datetime.now(UTC) > expires_at, "the message to expire")
    second = await gateway.call("POST", path, body, tenant, **{"Idempotency-Key": "a"})
    assert (second.status, second.text) == (202, first.text)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert (await gateway.call("POST", path, body, tenant, **{"Idempotency-Key": "b"})).status == 422


async def test_another_body_under_the_key_is_refused(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    await gateway.call("POST", "/api/messages", BODY, tenant, **{"Idempotency-Key": "a"})
    other = await gateway.call("POST", "/api/messages", {**BODY, "reference": "x"}, tenant, **{"Idempotency-Key": "a"})
    assert (other.status, other.body["code"]) == (422, "idempotency.key_reused")


async def test_a_key_is_its_tenants_and_its_routes_own(gateway: Gateway) -> None:
    one, other = await gateway.new_tenant("One"), await gateway.new_tenant("Other")
    await gateway.connect(one, "1001")
    await gateway.connect(other, "1002")
    headers = {"Idempotency-Key": "a"}
    answers = [await gateway.call("POST", "/api/messages", BODY, tenant, **headers) for tenant in (one, other)]
    answers.append(await gateway.call("POST", "/api/messages/batch", [BODY], one, **headers))
    assert [answer.status for answer in answers] == [202, 202, 202]
    assert await gateway.pool.fetchval("SELECT count(*) FROM messages") == 3


async def test_a_request_that_was_refused_leaves_its_key_free(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    headers = {"Idempotency-Key": "a"}
    assert (await gateway.call("POST", "/api/messages", BODY, tenant, **headers)).status == 422
    await gateway.connect(tenant, "1001")
    assert (await gateway.call("POST", "/api/messages", BODY, tenant, **headers)).status == 202


async def test_a_key_of_another_form_is_refused(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    for key in ("a b", "é", "x" * 256):
        answer = await gateway.call("POST", "/api/messages", BODY, tenant, **{"Idempotency-Key": key})
        assert (answer.status, answer.body["code"]) == (400, "idempotency_key.invalid")
    assert await gateway.pool.fetchval("SELECT count(*) FROM messages") == 0
