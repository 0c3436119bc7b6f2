"""Processes that hang, or are there no more."""

from __future__ import annotations

import time
from pathlib import Path

from tests.integration.alerts.watching import Scrape, Watch, assert_fires, total, watching
from tests.support.assembly import assembled
from tests.support.database import Database


async def test_a_loop_that_is_blocked_lags(watch: Watch) -> None:
    before = await watch.scrape()

    def saw_it_thrice(now: Scrape) -> bool:
        time.sleep(0.8)  # what no service may do: the loop of all of them waits
        metric = "chasqui_event_loop_lag_seconds"
        quick = total(now, f"{metric}_bucket", service="sender", le="0.25") - total(
            before, f"{metric}_bucket", service="sender", le="0.25"
        )
        return total(now, f"{metric}_count", service="sender") - total(before, f"{metric}_count", service="sender") >= quick + 3

    after = await watch.until(saw_it_thrice, "the lag to be seen")
    await assert_fires("ChasquiLoopLags", before, after, service="sender")


async def test_services_that_are_gone_are_missed(database: Database, redis_url: str, tmp_path: Path) -> None:
    async with assembled(database, redis_url, tmp_path / "journal") as assembly, watching(assembly) as watch:
        before = await watch.scrape()
    async with watching(assembly) as watch:
        after = await watch.scrape()
    for service in ("gateway", "scheduler", "sender", "archive"):
        await assert_fires("ChasquiServiceMissing", before, after, service=service)
    await assert_fires("ChasquiReplicaDown", before, after, service="sender")
    await assert_fires("ChasquiWatched", after, before)  # it is for nobody, and fires while all is well
