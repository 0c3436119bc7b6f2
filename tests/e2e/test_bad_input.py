"""Bad input gets a clear answer, never a 500, and stores nothing."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from tests.support.platform import Api

pytestmark = pytest.mark.asyncio(loop_scope="session")

GOOD: dict[str, Any] = {"to": "+15551230000", "text": {"body": "hi"}}
CASES: list[tuple[str, bytes, int, str | None]] = [
    ("unknown field", json.dumps({**GOOD, "colour": "red"}).encode(), 422, "/colour"),
    ("wrong type", json.dumps({**GOOD, "to": 15551230000}).encode(), 422, "/to"),
    ("invalid phone", json.dumps({**GOOD, "to": "12345"}).encode(), 422, "/to"),
    ("100 kB of text", json.dumps({**GOOD, "text": {"body": "x" * 100_000}}).encode(), 422, "/text/body"),
    ("body over the limit", json.dumps({**GOOD, "text": {"body": "x" * 300_000}}).encode(), 413, None),
    ("no content", json.dumps({"to": "+15551230000"}).encode(), 422, "/text"),
    ("time without offset", json.dumps({**GOOD, "scheduled_time": "2030-01-01T10:00:00"}).encode(), 422, "/scheduled_time"),
    ("time out of range", json.dumps({**GOOD, "scheduled_time": "9999-12-31T23:59:59-12:00"}).encode(), 422, "/scheduled_time"),
    ("nul in the text", json.dumps({**GOOD, "text": {"body": "a\0b"}}).encode(), 422, "/text/body"),
    ("half a surrogate pair", b'{"to": "+15551230000", "text": {"body": "\\ud800"}}', 422, "/text/body"),
    ("unknown number", json.dumps({**GOOD, "from": "num_00000000000000000000000000"}).encode(), 422, "/from"),
    ("huge number in a template", json.dumps({
        "to": "+15551230000", "type": "template",
        "template": {"name": "a", "language": {"code": "en"}, "components": [{"x": 10**40}]},
    }).encode(), 422, "/template/components/0"),
    ("broken JSON", b'{"to": ', 400, None),
    ("bad UTF-8", b'{"to": "\xff"}', 400, None),
    ("empty body", b"", 400, None),
    ("not an object", b"[]", 422, ""),
]  # fmt: skip


async def newest(api: Api) -> list[str]:
    return [message["id"] for message in (await api.get("/api/messages?limit=1"))["data"]]


@pytest.mark.parametrize(("body", "expected", "pointer"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
async def test_bad_messages_are_refused_with_the_field(api: Api, body: bytes, expected: int, pointer: str | None) -> None:
    before = await newest(api)
    async with api.session.post(f"{api.url}/api/messages", data=body, headers={"Content-Type": "application/json"}) as answer:
        assert answer.status == expected
        assert answer.content_type == "application/problem+json"
        problem = await answer.json()
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    if pointer is not None:
        assert pointer in {error["pointer"] for error in problem["errors"]}
    assert await newest(api) == before


async def test_fifty_megabytes_are_refused(api: Api) -> None:
    async with api.session.post(
        f"{api.url}/api/messages", data=io.BytesIO(b"x" * 50_000_000), headers={"Content-Type": "application/json"}
    ) as answer:
        assert answer.status == 413


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer nonsense", "Bearer chq_test_0123456789ab_" + "0" * 46, "Basic Og==", "Bearer \xe9"]
)
async def test_wrong_keys_are_refused(api: Api, header: str) -> None:
    async with api.session.get(f"{api.url}/api/messages", headers={"Authorization": header}) as answer:
        assert answer.status == 401
        assert (await answer.json())["code"] in {"auth.missing", "auth.invalid"}


@pytest.mark.parametrize(
    "path",
    [
        "/api/messages/msg_00000000000000000000000000",
        "/api/messages/1",
        "/api/conversations/cnv_00000000000000000000000000",
        "/api/nothing",
        "/nothing",
    ],
)
async def test_unknown_things_are_not_found(api: Api, path: str) -> None:
    status, problem = await api.call("GET", path)
    assert (status, problem["status"]) == (404, 404)


@pytest.mark.parametrize("key", ["", "a" * 256, "with space"])
async def test_bad_idempotency_keys_are_refused(api: Api, key: str) -> None:
    status, problem = await api.call("POST", "/api/messages", GOOD, **{"Idempotency-Key": key})
    assert (status, problem["code"]) == (400, "idempotency_key.invalid")


async def test_webhooks_without_a_fitting_signature_are_refused(api: Api) -> None:
    for headers in ({}, {"X-Hub-Signature-256": "sha256=00"}, {"X-Hub-Signature-256": "nonsense"}):
        status, _ = await api.call("POST", "/api/webhooks/whatsapp", {"object": "x"}, **headers)
        assert status == 401
