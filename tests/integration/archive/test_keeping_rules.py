"""Marking as read and the rule of retention, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.archive.keeping import CLIENT, Keeping
from tests.support.archive_events import OTHER_TENANT, received


async def unread(keep: Keeping) -> int:
    found: int = await keep.pool.fetchval("SELECT sum(unread_count) FROM conversations")
    return found


async def test_a_conversation_is_marked_as_read(keep: Keeping) -> None:
    await keep.recorder.record([received(f"w{index}", seconds=index) for index in range(3)])
    (conversation_id,) = await keep.conversations()
    path = f"/api/conversations/{conversation_id}/read"
    assert await keep.ask("POST", path, {"until": "2026-11-20T13:00:01+01:00"}) == (
        200,
        {"conversation_id": conversation_id, "read_until": "2026-11-20T12:00:01Z", "unread_count": 1},
    )
    assert await unread(keep) == 1
    for body in (None, {}, {"until": None}):
        status, mark = await keep.ask("POST", path, body)
        assert (status, mark["read_until"], mark["unread_count"]) == (200, "2026-11-20T12:00:02Z", 0)


async def test_a_request_that_comes_again_marks_nothing_that_came_since(keep: Keeping) -> None:
    await keep.recorder.record([received("w1")])
    (conversation_id,) = await keep.conversations()
    path, key = f"/api/conversations/{conversation_id}/read", {"Idempotency-Key": "once"}
    first = await keep.ask("POST", path, headers=key)
    await keep.recorder.record([received("w2", seconds=9)])
    assert await keep.ask("POST", path, headers=key) == first
    assert await unread(keep) == 1


async def test_nobody_marks_a_conversation_of_others(keep: Keeping) -> None:
    await keep.recorder.record([received("w1")])
    (conversation_id,) = await keep.conversations()
    for path, tenant in ((conversation_id, OTHER_TENANT), ("cnv_" + "0" * 26, OTHER_TENANT)):
        status, problem = await keep.ask("POST", f"/api/conversations/{path}/read", tenant=tenant)
        assert (status, problem["code"]) == (404, "conversation.unknown")
    assert await unread(keep) == 1


@pytest.mark.parametrize(
    "body", [{"until": "yesterday"}, {"until": "2026-11-20T12:00:00"}, {"until": 5}, {"unti": None}, [], "\x00"]
)
async def test_what_is_no_moment_is_refused(body: Any, keep: Keeping) -> None:
    await keep.recorder.record([received("w1")])
    (conversation_id,) = await keep.conversations()
    assert (await keep.ask("POST", f"/api/conversations/{conversation_id}/read", body))[0] == 422
    assert await unread(keep) == 1


async def test_the_rule_of_retention_is_the_tenants_own(keep: Keeping) -> None:
    nothing = {"days": None, "removed_entries": 0}
    assert await keep.ask("GET", "/api/retention") == (200, _without_none(nothing))
    assert await keep.ask("PUT", "/api/retention", {"days": 365}) == (200, {"days": 365, "removed_entries": 0})
    assert await keep.ask("GET", "/api/retention") == (200, {"days": 365, "removed_entries": 0})
    assert await keep.ask("GET", "/api/retention", tenant=OTHER_TENANT) == (200, _without_none(nothing))
    assert await keep.ask("PUT", "/api/retention", {"days": None}) == (200, _without_none(nothing))
    assert [tuple(row) for row in await keep.pool.fetch("SELECT days, changed_by FROM retention")] == [(None, CLIENT)]


@pytest.mark.parametrize(
    "body", [{}, {"days": 29}, {"days": 36_501}, {"days": 10**30}, {"days": "90"}, {"days": 90.5}, [], {"days": 90, "x": 1}]
)
async def test_a_rule_that_is_none_is_refused(body: Any, keep: Keeping) -> None:
    status, problem = await keep.ask("PUT", "/api/retention", body)
    assert (status, problem["code"]) == (422, "request.invalid")
    assert await keep.pool.fetchval("SELECT count(*) FROM retention") == 0


def _without_none(body: dict[str, Any]) -> dict[str, Any]:
    """As answers spell it."""
    return {key: value for key, value in body.items() if value is not None}
