"""Messages and schedules that are due, and nobody gets to them."""

from __future__ import annotations

from tests.integration.alerts.watching import Watch, assert_fires, assert_quiet, held, run_sql, total

LATER = "2031-01-01T00:00:00Z"
OLDEST = "chasqui_hold_oldest_due_age_seconds"
LATENESS = "chasqui_release_lateness_seconds_sum"
NOTHING_IS_RELEASED = "LOCK TABLE scheduler.numbers IN EXCLUSIVE MODE"
NOTHING_IS_PLANNED = "LOCK TABLE scheduler.runs IN EXCLUSIVE MODE"


async def test_messages_that_are_due_and_not_released(watch: Watch) -> None:
    admin_url = watch.assembly.database.admin_url
    for priority in ("critical", "normal", "low"):
        await watch.api.send(to="+15551234567", priority=priority, scheduled_time=LATER)
    before = await watch.until(lambda now: total(now, "chasqui_holds", state="scheduled") == 3, "them to be held")
    async with held(admin_url, NOTHING_IS_RELEASED):
        await run_sql(admin_url, "UPDATE scheduler.holds SET due_at = now() - interval '7 hours'")
        during = await watch.until(
            lambda now: all(total(now, OLDEST, tier=tier) > 25_000 for tier in ("critical", "normal", "low")), "them to be due"
        )
    await assert_fires("ChasquiFastLaneWaits", before, during, tier="critical")
    await assert_fires("ChasquiMessagesOverdue", before, during, tier="normal")
    await assert_fires("ChasquiMessagesOverdue", before, during, tier="low")

    after = await watch.until(lambda now: total(now, LATENESS) > 0 and total(now, OLDEST) == 0, "them to be released")
    await assert_fires("ChasquiReleasedLate", before, after, tier="critical")
    await assert_quiet("ChasquiFastLaneWaits", during, after)
    await assert_quiet("ChasquiMessagesOverdue", during, after)


async def test_schedules_that_nobody_plans(watch: Watch) -> None:
    admin_url = watch.assembly.database.admin_url
    body = {"to": "+15551234567", "text": {"body": "hello"}, "scheduled_time": LATER}
    status, answer = await watch.api.call("POST", "/api/schedules", body)
    assert status == 201, answer
    before = await watch.scrape()
    async with held(admin_url, NOTHING_IS_PLANNED):
        await run_sql(admin_url, "UPDATE scheduler.schedules SET plan_at = now(), next_at = now()")
        during = await watch.until(lambda now: total(now, "chasqui_schedules_due"), "it to be due")
    await assert_fires("ChasquiSchedulesUnplanned", before, during)
