"""The planner: runs are opened in time, once; what meets a run that is on, or was slept through, goes by the policies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from services.scheduler import planner
from services.scheduler.planner import LEAD, ROUND
from services.scheduler.store import schedules
from shared.bus.outbox import Outbox
from shared.db.pool import Connection, Pool
from shared.events.values import DailySpan
from tests.integration.scheduler.scheduling import PHONE, START, Scene, due, scene, wanted

HOURLY = "FREQ=HOURLY;BYMINUTE=0"
HOUR = timedelta(hours=1)


@pytest.fixture
async def world(outbox: Outbox, pool: Pool) -> AsyncIterator[Scene]:
    async with scene(outbox, pool) as made:
        yield made


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 6, 1, hour, minute, tzinfo=UTC)


async def test_a_run_is_opened_ahead_of_its_time_and_once(world: Scene) -> None:
    made = await world.make(scheduled_time=at(12).isoformat(), reference="r", priority="high")
    assert await world.pass_to(at(12) - LEAD - timedelta(seconds=1)) == []
    (run,) = await world.pass_to(at(12) - LEAD)
    assert (run["owner_id"], due(run)) == (made["id"], at(12))
    terms = orjson.loads(run["terms"])
    assert (terms["reference"], terms["tier"]) == ("r", 1)
    (asked,) = wanted(await world.told())
    assert asked.audience.recipients[0].to == PHONE
    assert asked.variants[0].content == {"type": "text", "text": {"body": "Hello"}}
    assert await world.pass_to(at(13)) == []
    shown = await world.read(made["id"])
    assert (shown["state"], shown["runs_opened"], "next_at" in shown) == ("active", 1, False)
    assert [one["id"] for one in shown["last_runs"]] == [run["id"]]


async def test_a_schedule_is_completed_when_nothing_more_comes_and_its_runs_have_ended(world: Scene) -> None:
    made = await world.make(recurrence=HOURLY, time_zone="UTC", count=2, overlap="allow_all")
    assert len(await world.pass_to(at(9))) == 1
    assert len(await world.pass_to(at(10))) == 1
    await world.pass_to(at(14))
    assert (await world.read(made["id"]))["state"] == "active"
    await world.end_runs()
    await world.pass_to(at(15))
    shown = await world.read(made["id"])
    assert (shown["state"], shown["runs_opened"]) == ("completed", 2)


async def test_the_recipients_own_time_is_opened_for_the_first_zone_of_the_world(world: Scene) -> None:
    await world.make(scheduled_time="2026-06-02T12:00:00", time_zone="recipient")
    first = datetime(2026, 6, 1, 22, tzinfo=UTC)
    assert await world.pass_to(first - LEAD - timedelta(seconds=1)) == []
    (run,) = await world.pass_to(first - LEAD)
    terms = orjson.loads(run["terms"])
    assert (terms["local_time"], terms.get("due_at")) == ("2026-06-02T12:00:00", None)


@pytest.mark.parametrize(
    ("overlap", "while_on", "after_it"),
    [
        ("skip", 0, []),
        ("buffer_one", 0, [9]),
        ("buffer_all", 0, [9, 10]),
        ("allow_all", 2, []),
    ],
)
async def test_what_meets_a_run_that_is_on(world: Scene, overlap: str, while_on: int, after_it: list[int]) -> None:
    await world.make(
        recurrence=HOURLY, starts_at="2026-06-01T08:00:00", time_zone="UTC", overlap=overlap, ends_at="2026-06-01T10:30:00"
    )
    world.clock.at = START - LEAD
    await world.pool.execute("UPDATE schedules SET next_at = $1, plan_at = $1", START)
    assert len(await world.pass_to(START)) == 1
    opened = [*(await world.pass_to(at(9))), *(await world.pass_to(at(10)))]
    assert len(opened) == while_on
    later = []
    for minute in range(3):
        await world.end_runs()
        later += await world.pass_to(at(10, 31 + minute))
    assert [due(run).hour for run in later] == after_it


async def test_a_run_that_is_on_is_canceled_for_the_next_when_that_is_due_and_no_sooner(world: Scene) -> None:
    await world.make(recurrence=HOURLY, time_zone="UTC", overlap="cancel_other")
    (first,) = await world.pass_to(at(9))
    assert await world.pass_to(at(10) - LEAD) == []
    (second,) = await world.pass_to(at(10))
    states = {row["id"]: row["state"] for row in await world.pool.fetch("SELECT id, state FROM runs")}
    assert (states[first["id"]], states[second["id"]]) == ("canceled", "expanding")


async def test_a_run_that_has_ended_is_in_nobodys_way(world: Scene) -> None:
    await world.make(recurrence=HOURLY, time_zone="UTC")
    await world.pass_to(at(9))
    await world.end_runs()
    assert len(await world.pass_to(at(10) - LEAD)) == 1


@pytest.mark.parametrize(
    ("overlap", "window", "hours"),
    [
        ("allow_all", 2 * 3_600, [12, 13, 14]),
        ("allow_all", 1_800, [14]),
        ("skip", 2 * 3_600, [12]),
        ("cancel_other", 2 * 3_600, [14]),
        ("buffer_one", 2 * 3_600, [12]),
    ],
)
async def test_after_an_outage_what_is_young_enough_is_made_up_for(
    world: Scene, overlap: str, window: int, hours: list[int]
) -> None:
    made = await world.make(recurrence=HOURLY, time_zone="UTC", overlap=overlap, catchup_window_seconds=window)
    opened = await world.pass_to(at(14, 0))
    assert [due(run).hour for run in opened] == hours
    shown = await world.read(made["id"])
    assert shown["missed_at"] == "2026-06-01T09:00:00Z"
    assert shown["next_at"] == "2026-06-01T15:00:00Z"


async def test_what_comes_once_and_was_slept_through_for_too_long_does_not_come(world: Scene) -> None:
    made = await world.make(scheduled_time=at(9).isoformat(), catchup_window_seconds=600)
    assert await world.pass_to(at(10)) == []
    shown = await world.read(made["id"])
    assert (shown["state"], shown["missed_at"]) == ("completed", "2026-06-01T09:00:00Z")


async def test_an_outage_of_a_schedule_by_the_minute_is_made_up_for_in_several_rounds(world: Scene) -> None:
    await world.make(cron="* * * * *", time_zone="UTC", overlap="allow_all")
    opened = await world.pass_to(at(11, 0))
    assert [due(run) for run in opened] == [at(8, 1) + timedelta(minutes=n) for n in range(3 * 60 + 2)]


async def test_hours_are_its_own_else_its_tenants_and_none_for_what_is_critical(world: Scene) -> None:
    await world.settle_tenant("Europe/Madrid", DailySpan(start="21:00", end="08:00"))
    own: dict[str, Any] = {"quiet": [{"start": "13:00", "end": "15:00"}]}
    moment = at(9).isoformat()
    await world.make(scheduled_time=moment)
    await world.make(scheduled_time=moment, hours=own)
    await world.make(scheduled_time=moment, hours={})
    await world.make(scheduled_time=moment, hours=own, priority="critical")
    terms = [orjson.loads(run["terms"]) for run in await world.pass_to(at(9))]
    assert sorted(str((one.get("hours") or {}).get("quiet", [{}])[0].get("start")) for one in terms) == [
        "13:00",
        "21:00",
        "None",
        "None",
    ]
    assert {one["hours"]["zone"] for one in terms if one.get("hours")} == {"Europe/Madrid"}


async def test_an_earlier_revision_of_a_tenant_changes_nothing(world: Scene) -> None:
    await world.settle_tenant("Europe/Madrid", revision=2)
    await world.settle_tenant("Asia/Tokyo", revision=1)
    assert (await world.make(scheduled_time="2026-06-02T12:00:00"))["next_at"] == "2026-06-02T10:00:00Z"


async def test_planners_side_by_side_open_each_run_once(world: Scene) -> None:
    made = await world.make(scheduled_time=at(9).isoformat())
    await world.pool.execute(
        """INSERT INTO schedules (id, tenant_id, definition, timing, spec, overlap, catchup_seconds, next_at, plan_at,
                                  created_at, updated_at)
        SELECT 'sch_' || n, tenant_id, definition, timing, spec, overlap, catchup_seconds, next_at, plan_at, now(), now()
        FROM schedules, generate_series(1, $2) AS n WHERE id = $1""",
        made["id"],
        3 * ROUND,
    )

    async def plan() -> None:
        while await planner.plan(world.outbox, at(9)):
            pass

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(plan())
    await plan()
    rows = await world.pool.fetch("SELECT owner_id, count(*) AS runs FROM runs GROUP BY owner_id")
    assert (len(rows), {row["runs"] for row in rows}) == (3 * ROUND + 1, {1})


async def test_a_run_that_was_opened_while_the_planner_looked_is_in_the_way(
    world: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await world.make(recurrence=HOURLY, time_zone="UTC")
    other = await world.make(scheduled_time=at(20).isoformat())
    await world.ask("POST", f"/api/schedules/{other['id']}/trigger")
    claim = schedules.claim

    async def slow_claim(connection: Connection, now: datetime, limit: int) -> list[asyncpg.Record]:
        rows = await claim(connection, now, limit)
        await world.pool.execute("UPDATE runs SET owner_id = $1", made["id"])
        await world.pool.execute("UPDATE schedule_runs SET schedule_id = $1", made["id"])
        return rows

    monkeypatch.setattr(schedules, "claim", slow_claim)
    assert await world.pass_to(at(9)) == []


async def test_more_runs_than_a_round_opens_are_opened_in_the_next(world: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "MOST_OPENED", 2)
    made = [await world.make(scheduled_time=at(9).isoformat()) for _ in range(5)]
    assert await planner.plan(world.outbox, at(9))
    assert await world.pool.fetchval("SELECT count(*) FROM runs") == 2
    assert len(await world.pass_to(at(9))) == 3
    assert {row["owner_id"] for row in await world.pool.fetch("SELECT owner_id FROM runs")} == {one["id"] for one in made}


@pytest.mark.parametrize("overlap", ["skip", "buffer_all"])
async def test_a_run_that_stays_on_is_looked_at_ever_more_rarely(world: Scene, overlap: str) -> None:
    """A hundred thousand that wait for the morning must not keep the planner busy all night."""
    await world.make(
        cron="* * * * *", time_zone="UTC", overlap=overlap, starts_at=at(9).isoformat(), ends_at=at(9, 1).isoformat()
    )
    await world.pass_to(at(9))
    looks = []
    for moment in (at(9, 1), at(9, 8), at(16)):
        await world.pool.execute("UPDATE schedules SET plan_at = $1", moment)
        await world.pass_to(moment)
        looks.append(await world.pool.fetchval("SELECT plan_at FROM schedules") - moment)
    assert looks == sorted(looks)
    assert looks[0] < looks[-1] <= timedelta(minutes=5)
    await world.end_runs()
    await world.pass_to(at(16) + looks[-1])
    rows = await world.pool.fetch("SELECT state, opened FROM schedules")
    assert [tuple(row) for row in rows] == [("completed", 1) if overlap == "skip" else ("active", 2)]


async def test_a_row_that_cannot_be_read_does_not_stop_the_others(world: Scene) -> None:
    broken = await world.make(scheduled_time=at(9).isoformat())
    worse = await world.make(scheduled_time=at(9).isoformat())
    worst = await world.make(scheduled_time=at(9).isoformat())
    whole = await world.make(scheduled_time=at(9).isoformat())
    await world.pool.execute("UPDATE schedules SET timing = '{}' WHERE id = $1", broken["id"])
    await world.pool.execute('UPDATE schedules SET spec = \'{"tier": 9, "hours": null}\' WHERE id = $1', worse["id"])
    await world.pool.execute("UPDATE schedules SET spec = '[]' WHERE id = $1", worst["id"])
    assert [run["owner_id"] for run in await world.pass_to(at(9))] == [whole["id"]]


@pytest.mark.parametrize(
    ("query", "arguments", "index"),
    [
        (schedules.CLAIM_SCHEDULES, (START, 100), "schedules_to_plan"),
        (schedules.PAGE_OF_SCHEDULES, ("t", 0, 50), "Only Scan Backward using schedules_of_tenant"),
        (schedules.COUNT_SCHEDULES, ("t",), "Only Scan using schedules_of_tenant"),
        (schedules.SELECT_SCHEDULES, ("t", "~", 50, None, None, None), "schedules_of_tenant"),
        (schedules.SELECT_SCHEDULES_OF_REFERENCE, ("t", "~", 50, None, "r", None), "schedules_of_reference"),
        (schedules.OPEN_RUNS, (["s"],), "runs_open_of_owner"),
    ],
)
async def test_a_hot_query_has_an_index_to_go_by(pool: Pool, query: str, arguments: tuple[Any, ...], index: str) -> None:
    rows = await pool.fetch(f"EXPLAIN {query}", *arguments)
    assert index in "\n".join(row[0] for row in rows)


async def test_old_runs_are_forgotten(world: Scene) -> None:
    await world.pool.execute(
        "INSERT INTO schedule_runs (run_id, schedule_id, due_at, opened_at) VALUES ('a', 's', now(), now() - interval '91 days'), "
        "('b', 's', now(), now() - interval '89 days')"
    )
    paused = await world.make(scheduled_time=at(9).isoformat())
    (run,) = await world.pass_to(at(9))
    await world.pool.execute("UPDATE schedule_runs SET opened_at = now() - interval '91 days' WHERE run_id = $1", run["id"])
    assert not await schedules.prune_runs(world.pool, days=90, limit=10)
    kept = await world.pool.fetch("SELECT run_id FROM schedule_runs ORDER BY run_id")
    assert [row["run_id"] for row in kept] == ["b", run["id"]]
    async with world.pool.acquire() as connection:
        assert [row["run_id"] for row in await schedules.open_runs(connection, [paused["id"]])] == [run["id"]]
