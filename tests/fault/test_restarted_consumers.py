"""Consumers in four processes that are told to begin anew while messages pass: each message arrives, and once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.platform import Platform, until

pytestmark = pytest.mark.timeout(400)

MESSAGES = 150


async def test_consumers_restart_under_load_and_every_message_arrives_once(tmp_path: Path) -> None:
    platform = Platform(tmp_path, mode="stack")
    try:
        await platform.start()
        async with platform.api() as api, platform.api(platform.run["admin_key"]) as operator:

            async def consumed() -> bool:
                _, told = await operator.call("POST", "/admin/queues/restart")
                return not told.get("without_consumer", ["?"]) and not told["unreachable"]

            await until(consumed, "every queue to have consumers in the others' processes")
            ids = []
            for _ in range(3):
                ids += await asyncio.gather(*(api.send(to=f"+1555200{n:04}") for n in range(MESSAGES // 3)))
                status, told = await operator.call("POST", "/admin/queues/restart")
                assert status == 200, told
            for message_id in ids:
                await api.until_status(message_id, "read")
            stats = await operator.get("/admin/queues/stats")
            async with operator.session.get(f"{platform.run['sandbox_url']}/control/ledger/summary") as answer:
                taken = (await answer.json())["accepted"]
        assert (stats["failed"], stats["unreachable"]) == (0, [])
        assert taken == len(ids)
    finally:
        platform.end()
