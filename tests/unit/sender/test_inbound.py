"""What inbound messages mean to the limits of a number."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from services.sender.inbound import count
from shared.events.catalogue import MessageReceived
from shared.ids import NumberId, TenantId
from shared.limits.limiter import Line, Window

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LINE = Line("num_1", 80)


class Numbers:
    """One, whose windows are named after the users."""

    async def of(self, number_ids: set[str]) -> dict[str, Any]:
        limits = SimpleNamespace(line=LINE, window=lambda user, seconds: Window("portfolio", user, seconds))
        return {number_id: SimpleNamespace(limits=limits) for number_id in number_ids}


class Limiter:
    def __init__(self) -> None:
        self.used: dict[Line, int] = {}
        self.opened: set[str] = set()

    async def debit(self, used: Any, windows: Any) -> None:
        self.used = dict(used)
        self.opened = {window.name for window in windows}


@pytest.mark.parametrize(
    ("more", "used", "opened"),
    [
        ({}, 1, {"+15551234567"}),
        ({"user_id": "US.1"}, 1, {"+15551234567", "US.1"}),
        ({"group_id": "120363"}, 1, {"group:120363"}),
        ({"is_history": True}, 0, set()),
    ],
)
async def test_a_message_uses_the_rate_and_opens_a_window_for_each_address(
    more: dict[str, Any], used: int, opened: set[str]
) -> None:
    event = MessageReceived(
        tenant_id=TenantId("tnt_1"),
        occurred_at=NOW,
        number_id=NumberId("num_1"),
        wamid="w",
        sender="+15551234567",
        content={"type": "text", "text": {"body": "hi"}},
        received_at=NOW,
        **more,
    )
    limiter: Any = Limiter()
    directory: Any = Numbers()
    await count(directory, limiter, [event], NOW)
    assert (sum(limiter.used.values()), limiter.opened) == (used, opened)
