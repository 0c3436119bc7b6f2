"""A message's trace, from the link in its answer to the page, as `make run` keeps it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest

from tests.support.platform import Api, Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")

SERVICES: Final = {"gateway", "scheduler", "sender", "sandbox", "archive"}
KEPT_SECONDS: Final = 60.0


async def test_the_trace_of_a_message_is_kept_and_shown_to_operators(platform: Platform, api: Api) -> None:
    message_id = await api.send(to="+15551234567")
    message = await api.until_status(message_id, "read")
    assert message["trace_url"] == f"{api.url}/traces/{message['trace_id']}"
    async with platform.api(platform.run["admin_key"]) as operator:
        detail = await kept(operator, message["trace_id"])
        found = await operator.get(f"/admin/traces?message_id={message_id}&name=post messages")
        assert [trace["trace_id"] for trace in found["data"]] == [message["trace_id"]]
    root, *others = detail["spans"]
    assert (root["name"], root["service"], root.get("parent_id")) == ("POST /api/messages", "gateway", None)
    known = {span["span_id"] for span in detail["spans"]}
    assert all(span["parent_id"] in known for span in others), "every span hangs on one that is shown"
    async with api.session.get(message["trace_url"], headers={"Authorization": ""}) as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        assert "'unsafe-inline'" not in answer.headers["Content-Security-Policy"]
        assert message_id not in await answer.text(), "the page itself tells nobody anything"


async def kept(operator: Api, trace_id: str) -> dict[str, Any]:
    """The trace, once all services and the reports are in it."""
    detail: dict[str, Any] = {"spans": []}
    async with asyncio.timeout(KEPT_SECONDS):
        while True:
            async with operator.session.get(f"{operator.url}/admin/traces/{trace_id}") as answer:
                if answer.status == 200:
                    detail = await answer.json()
                else:
                    assert answer.status == 404
            names = [span["name"] for span in detail["spans"]]
            if {span["service"] for span in detail["spans"]} >= SERVICES and names.count("webhook status") == 2:
                return detail
            await asyncio.sleep(0.1)


async def test_a_tenants_key_opens_no_trace(api: Api) -> None:
    status, body = await api.call("GET", "/admin/traces")
    assert (status, body["code"]) == (403, "auth.forbidden")
