"""What the scheduler says of its load: true, and cheap however much is held."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest

from services.scheduler import hold, release
from services.scheduler.metrics import add_sources, counting
from services.scheduler.store.metrics import MEASURE_HOLDS, MEASURE_OLDEST_DUE
from shared.bus.outbox import Outbox
from shared.db.pool import Pool, service_url
from shared.events.values import Tier
from shared.telemetry.metrics import Metrics
from tests.integration.scheduler.telling import OTHER_TENANT, TENANT, accepted, connect, nothing, now, released
from tests.support.database import Database
from tests.support.scraped import Page, ask_every_time, scraped

OLDEST = "chasqui_hold_oldest_due_age_seconds"


@pytest.fixture(autouse=True)
def _ask_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ask_every_time(monkeypatch)


@pytest.fixture
def metrics(pool: Pool) -> Metrics:
    metrics = Metrics("scheduler")
    add_sources(metrics, pool)
    return metrics


def held(page: Page) -> dict[tuple[str, ...], float]:
    return {labels: value for labels, value in page.series("chasqui_holds").items() if value}


async def test_nothing_held_is_nothing_everywhere(metrics: Metrics) -> None:
    found = await scraped(metrics)
    assert held(found) == {}
    assert set(found.series(OLDEST).values()) == {0.0}
    assert set(found.series("chasqui_campaigns")) == {("expanding",), ("running",), ("paused",)}
    assert found("chasqui_schedules_due") == 0


async def test_holds_are_told_by_tier_and_by_what_they_wait_for(outbox: Outbox, pool: Pool, metrics: Metrics) -> None:
    await connect(outbox)
    await connect(outbox, "num_2", tenant=OTHER_TENANT)
    await hold.hold(outbox, [accepted(Tier.HIGH, due=-5) for _ in range(3)], nothing)
    assert len(await released(outbox, pool)) == 3
    waiting = [accepted(Tier.HIGH, due=-40), accepted(Tier.LOW, due=-20, number="num_2"), accepted(Tier.LOW, due=600)]
    await hold.hold(outbox, waiting, nothing)
    found = await scraped(metrics)
    assert held(found) == {("high", "released"): 3, ("high", "due"): 1, ("low", "due"): 1, ("low", "scheduled"): 1}
    assert 40 <= found(OLDEST, "high") < 60
    assert 20 <= found(OLDEST, "low") < 40
    assert found(OLDEST, "normal") == 0


@pytest.mark.parametrize("scope", ["num_1", TENANT, "*", "paused"])
async def test_what_may_not_leave_now_is_not_late(outbox: Outbox, pool: Pool, metrics: Metrics, scope: str) -> None:
    await connect(outbox, paused="number.blocked" if scope == "paused" else None)
    await hold.hold(outbox, [accepted(Tier.LOW, due=-40)], nothing)
    if scope != "paused":
        await pool.execute("INSERT INTO gates (scope, tier, last_tier, until) VALUES ($1, 2, 3, now() + interval '1 h')", scope)
    await hold.hold(outbox, [accepted(Tier.HIGH, due=-30)], nothing)
    found = await scraped(metrics)
    assert found(OLDEST, "low") == 0
    assert (found(OLDEST, "high") >= 30) == (scope != "paused")
    assert held(found)["low", "due"] == 1


async def test_a_message_whose_time_is_over_is_not_waited_for(outbox: Outbox, pool: Pool, metrics: Metrics) -> None:
    await connect(outbox)
    message = accepted(Tier.HIGH, due=-40, expires=60)
    await hold.hold(outbox, [message], nothing)
    await pool.execute("UPDATE holds SET expires_at = now() - interval '1 s'")
    assert (await scraped(metrics))(OLDEST, "high") == 0


async def test_a_release_is_counted_with_how_late_it_was_and_a_repetition_is_not_late(pool: Pool) -> None:
    metrics = Metrics("scheduler")
    outbox = Outbox(pool, None, metrics, counting(metrics))  # type: ignore[arg-type]  # nobody runs it
    await connect(outbox)
    early = accepted(Tier.HIGH, due=0)
    await hold.hold(outbox, [accepted(Tier.HIGH, due=-100), accepted(Tier.LOW, due=-10), early], nothing)
    assert await release.release_due(outbox, None, metrics)
    await pool.execute("UPDATE holds SET repeat_at = now() - interval '1 s' WHERE tier = 3")
    await release.repeat_silent(outbox)
    found = await scraped(metrics)
    assert found("chasqui_messages_released_total", "high") == 2
    assert found("chasqui_messages_released_total", "low") == 2
    assert found("chasqui_release_lateness_seconds_count", "high") == 2
    assert found("chasqui_release_lateness_seconds_count", "low") == 1
    assert 100 <= found("chasqui_release_lateness_seconds_sum", "high") < 130
    assert 10 <= found("chasqui_release_lateness_seconds_sum", "low") < 40


async def test_a_campaign_that_is_on_and_a_schedule_that_is_due_are_seen(pool: Pool, metrics: Metrics) -> None:
    later = now() + timedelta(hours=1)
    for number, (kind, state) in enumerate([("campaign", "running"), ("campaign", "ended"), ("occurrence", "running")]):
        await pool.execute(
            "INSERT INTO runs (id, tenant_id, kind, owner_id, number_id, state, since, asking, terms, ask_at, created_at) "
            "VALUES ($1, 't', $2, 'o', 'n', $3, now(), '{}', '{}', now(), now())",
            f"run_{number}",
            kind,
            state,
        )
    for number, plan_at in enumerate([now(), later]):
        await pool.execute(
            "INSERT INTO schedules (id, tenant_id, definition, timing, spec, overlap, catchup_seconds, plan_at, created_at, "
            "updated_at) VALUES ($1, 't', '{}', '{}', '{}', 'skip', 0, $2, now(), now())",
            f"sch_{number}",
            plan_at,
        )
    found = await scraped(metrics)
    assert found.series("chasqui_campaigns") == {("expanding",): 0, ("running",): 1, ("paused",): 0}
    assert found("chasqui_schedules_due") == 1


async def test_a_crowd_of_one_tier_hides_no_message_of_another(outbox: Outbox, pool: Pool, metrics: Metrics) -> None:
    await connect(outbox)
    await connect(outbox, "num_2", tenant=OTHER_TENANT)
    await pool.execute(
        """
        INSERT INTO holds (message_id, tenant_id, number_id, tier, due_at, recipient, content)
        SELECT 'msg_' || n, 't', 'num_1', 3, now() + make_interval(secs => CASE WHEN n % 2 = 0 THEN -60 ELSE 600 END), '+1', '{}'
        FROM generate_series(1, 20100) n
        """
    )
    await hold.hold(outbox, [accepted(Tier.CRITICAL, due=due, number="num_2") for due in (-5, 600)], nothing)
    assert held(await scraped(metrics)) == {
        ("low", "due"): 10_000,
        ("low", "scheduled"): 10_000,
        ("critical", "due"): 1,
        ("critical", "scheduled"): 1,
    }


async def test_numbers_that_hold_nothing_cost_nothing(database: Database) -> None:
    connection = await asyncpg.connect(service_url(database.settings_for("scheduler"), "scheduler"))
    try:
        await connection.execute(
            """
            INSERT INTO numbers (number_id, tenant_id, revision, messages_per_second, window_size)
            SELECT 'num_' || n, 'tnt_' || n % 7, 1, 100, 100 FROM generate_series(1, 5000) n;
            INSERT INTO holds (message_id, tenant_id, number_id, tier, due_at, recipient, content)
            SELECT 'msg_' || n, 't', 'num_' || n % 5, n % 2, now() - n * interval '1 s', '+1', '{}' FROM generate_series(1, 50) n;
            """
        )
        for statement in (MEASURE_HOLDS, MEASURE_OLDEST_DUE):
            plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN (ANALYZE, TIMING OFF) {statement}"))
            looks = sum(int(line.rpartition("loops=")[2].rstrip(")")) for line in plan.splitlines() if " on holds" in line)
            assert 0 < looks <= 50, plan
    finally:
        await connection.close()


async def test_it_costs_little_however_much_is_held(database: Database) -> None:
    connection = await asyncpg.connect(service_url(database.settings_for("scheduler"), "scheduler"))
    try:
        await connection.execute(
            """
            INSERT INTO numbers (number_id, tenant_id, revision, messages_per_second, window_size)
            SELECT 'num_' || n, 'tnt_' || n % 7, 1, 100, 100 FROM generate_series(1, 200) n;
            INSERT INTO holds (message_id, tenant_id, number_id, tier, due_at, recipient, content)
            SELECT 'msg_' || n, 't', 'num_' || n % 200 + 1, 2, now() - n * interval '1 s', '+1', '{}'
            FROM generate_series(1, 60000) n;
            """
        )
        for statement, most in ((MEASURE_HOLDS, 12_000), (MEASURE_OLDEST_DUE, 1_200)):
            plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN (ANALYZE, TIMING OFF) {statement}"))
            assert "Seq Scan on holds" not in plan
            read = sum(_rows(line) for line in plan.splitlines() if " on holds" in line)
            assert 0 < read <= most, plan
    finally:
        await connection.close()


def _rows(line: str) -> float:
    """What a node of a plan has read."""
    actual = line.rpartition("actual rows=")[2].rstrip(")").split(" loops=")
    return float(actual[0]) * int(actual[1]) if len(actual) == 2 else 0.0
