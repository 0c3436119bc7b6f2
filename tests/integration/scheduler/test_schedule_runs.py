"""What a schedule's runs have come to, when a rule without a start begins, and runs by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.scheduler import expand
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.events.catalogue import AudienceFound
from shared.events.values import Recipient
from tests.integration.scheduler.scheduling import Scene, due, scene, wanted

NOON = "2026-06-01T12:00:00+00:00"


@pytest.fixture
async def world(outbox: Outbox, pool: Pool) -> AsyncIterator[Scene]:
    async with scene(outbox, pool) as made:
        yield made


async def test_a_run_that_sent_nothing_says_why(world: Scene) -> None:
    made = await world.make(recurrence="FREQ=DAILY;BYHOUR=12", time_zone="UTC", overlap="allow_all")
    for days in range(2):
        await world.pass_to(datetime.fromisoformat(NOON) + timedelta(days=days))
    unfound, refused = wanted(await world.told())
    head: dict[str, Any] = {"tenant_id": world.tenant, "page": 0}
    unusable = [Recipient(to=f"+1555000000{n}", zone="UTC", fault="variable.missing", detail="name") for n in range(2)]
    found = [*unusable, Recipient(to="0", zone="UTC", fault="phone.invalid")]
    await expand.expand(
        world.outbox,
        [
            AudienceFound(**head, run_id=unfound.run_id, recipients=[], code="group.unknown", detail="There is no such group."),
            AudienceFound(**head, run_id=refused.run_id, recipients=found),
        ],
        world.clock.now(),
    )
    last, first = (await world.read(made["id"]))["last_runs"]
    assert (first["state"], first["code"], first["detail"]) == ("failed", "group.unknown", "There is no such group.")
    assert (first["counts"]["total"], first["rejections"]) == (0, [])
    assert "code" not in last
    assert (last["counts"]["total"], last["counts"]["ended"]) == (3, {"rejected": 3})
    assert last["rejections"] == [
        {"code": "variable.missing", "recipients": 2},
        {"code": "phone.invalid", "recipients": 1},
    ]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=WEEKLY;BYDAY=MO;BYHOUR=9;BYMINUTE=0", "2026-06-01T09:00:00Z"),
        ("FREQ=DAILY;BYHOUR=9", "2026-06-01T09:00:00Z"),
        ("FREQ=DAILY;BYHOUR=8", "2026-06-02T08:00:00Z"),
        ("FREQ=DAILY", "2026-06-02T08:18:00Z"),
        ("FREQ=HOURLY;BYHOUR=10", "2026-06-01T10:00:00Z"),
        ("FREQ=HOURLY", "2026-06-01T09:18:00Z"),
        ("FREQ=MINUTELY;INTERVAL=5;BYHOUR=9", "2026-06-01T09:00:00Z"),
        ("FREQ=DAILY;BYHOUR=9;BYSECOND=7", "2026-06-01T09:00:07Z"),
    ],
)
async def test_a_rule_without_a_start_begins_at_the_minute(world: Scene, rule: str, expected: str) -> None:
    world.clock.at += timedelta(minutes=18, seconds=55)
    _, shown = await world.ask("POST", "/api/schedules/preview", {"recurrence": rule, "time_zone": "UTC", "limit": 1})
    assert [time["at"] for time in shown["data"]] == [expected]
    made = await world.make(recurrence=rule, time_zone="UTC")
    assert made["next_at"] == expected
    (run,) = await world.pass_to(datetime.fromisoformat(expected))
    assert due(run) == datetime.fromisoformat(expected)


async def test_a_start_that_is_given_stands_for_what_its_rule_leaves_out(world: Scene) -> None:
    made = await world.make(recurrence="FREQ=DAILY;BYHOUR=9", starts_at="2026-06-01T08:20:30", time_zone="UTC")
    assert made["next_at"] == "2026-06-01T09:20:30Z"


async def test_a_run_by_hand_is_opened_while_the_schedule_is_paused_and_named(world: Scene) -> None:
    made = await world.make(scheduled_time=NOON)
    path = f"/api/schedules/{made['id']}"
    await world.ask("POST", f"{path}/pause")
    opened = []
    for _ in range(2):
        status, answer = await world.ask("POST", f"{path}/trigger")
        assert (status, answer["state"]) == (200, "paused")
        opened.append(answer["run_id"])
    runs = (await world.read(made["id"]))["last_runs"]
    assert {run["id"] for run in runs} == set(opened)
    assert {run["state"] for run in runs} == {"expanding"}
    assert "run_id" not in await world.read(made["id"])


@pytest.mark.parametrize(("action", "sentence"), [("trigger", "active or paused"), ("resume", "paused")])
async def test_what_its_state_does_not_allow_is_said_in_a_sentence(world: Scene, action: str, sentence: str) -> None:
    made = await world.make(scheduled_time=NOON)
    await world.ask("POST", f"/api/schedules/{made['id']}/cancel")
    _, answer = await world.ask("POST", f"/api/schedules/{made['id']}/{action}")
    assert answer["detail"] == f"To {action} a schedule, it must be {sentence}; this one is canceled."
