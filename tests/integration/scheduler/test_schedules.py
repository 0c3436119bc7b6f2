"""What tenants ask of schedules, and what they are told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.ids import TenantId, new_id
from tests.integration.scheduler.scheduling import PHONE, TEXT, Scene, scene, wanted

NOON = "2026-06-01T12:00:00+00:00"
WEEKLY = "FREQ=WEEKLY;BYDAY=TU;BYHOUR=9;BYMINUTE=30"


@pytest.fixture
async def world(outbox: Outbox, pool: Pool) -> AsyncIterator[Scene]:
    async with scene(outbox, pool) as made:
        yield made


def times(answer: dict[str, Any], name: str = "data") -> list[str]:
    return [time["at"] for time in answer[name]]


async def test_a_draft_a_group_and_a_time_are_enough(world: Scene) -> None:
    body = {"message_id": new_id("msg"), "group_id": new_id("grp"), "scheduled_time": NOON}
    status, made = await world.ask("POST", "/api/schedules", body)
    assert status == 201
    assert {name: made[name] for name in ("message_id", "group_id", "state", "next_at", "runs_opened")} == {
        "message_id": body["message_id"],
        "group_id": body["group_id"],
        "state": "active",
        "next_at": "2026-06-01T12:00:00Z",
        "runs_opened": 0,
    }
    shown = await world.read(made["id"])
    assert times(shown, "next_times") == ["2026-06-01T12:00:00Z"]
    assert shown["last_runs"] == []


async def test_a_time_without_offset_is_the_named_zones_or_the_tenants(world: Scene) -> None:
    assert (await world.make(scheduled_time="2026-06-01T12:00:00"))["next_at"] == "2026-06-01T12:00:00Z"
    await world.settle_tenant("Europe/Madrid")
    assert (await world.make(scheduled_time="2026-06-01T12:00:00"))["next_at"] == "2026-06-01T10:00:00Z"
    named = await world.make(scheduled_time="2026-06-01T12:00:00", time_zone="Asia/Kathmandu")
    assert named["next_at"] == "2026-06-01T08:00:00Z"  # 06:15 is past: now
    local = await world.make(scheduled_time="2026-06-03T12:00:00", time_zone="recipient")
    assert local["next_at"] == "2026-06-02T22:00:00Z"
    (time,) = (await world.read(local["id"]))["next_times"]
    assert time == {"at": "2026-06-02T22:00:00Z", "local_time": "2026-06-03T12:00:00"}


async def test_a_recurrence_shows_its_next_times(world: Scene) -> None:
    made = await world.make(recurrence=WEEKLY, time_zone="Europe/Madrid", count=3)
    expected = ["2026-06-02T07:30:00Z", "2026-06-09T07:30:00Z", "2026-06-16T07:30:00Z"]
    assert times((await world.ask("GET", f"/api/schedules/{made['id']}/next?limit=10"))[1]) == expected
    cron = {"cron": "30 9 * * 2", "time_zone": "Europe/Madrid", "ends_at": "2026-06-10T00:00:00"}
    status, shown = await world.ask("POST", "/api/schedules/preview", cron)
    assert (status, times(shown)) == (200, expected[:2])
    assert (await world.ask("GET", "/api/schedules"))[1]["data"] == [
        {name: value for name, value in (await world.read(made["id"])).items() if name not in {"next_times", "last_runs"}}
    ]


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({}, {("/scheduled_time", "field.missing")}),
        ({**TEXT, "scheduled_time": NOON, "cron": "* * * * *"}, {("/cron", "field.surplus")}),
        ({**TEXT, "scheduled_time": NOON, "count": 2}, {("/count", "field.surplus")}),
        ({**TEXT, "scheduled_time": NOON, "time_zone": "Mars"}, {("/time_zone", "zone.unknown")}),
        ({**TEXT, "scheduled_time": NOON, "time_zone": "recipient"}, {("/scheduled_time", "zone.conflict")}),
        ({**TEXT, "scheduled_time": "9999-01-01T00:00:00Z"}, {("/scheduled_time", "field.out_of_range")}),
        ({**TEXT, "scheduled_time": "0001-01-01T00:00:00+14:00"}, {("/scheduled_time", "field.out_of_range")}),
        ({**TEXT, "recurrence": "FREQ=SECONDLY"}, {("/recurrence", "recurrence.invalid")}),
        ({**TEXT, "recurrence": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"}, {("/recurrence", "recurrence.never")}),
        ({**TEXT, "recurrence": "FREQ=DAILY;UNTIL=20200101"}, {("/ends_at", "time.too_early")}),
        ({**TEXT, "cron": "x"}, {("/cron", "cron.invalid")}),
        ({**TEXT, "cron": "0 0 30 2 1-5", "ends_at": "2026-06-02T00:00:00"}, {("/cron", "recurrence.never")}),
        ({**TEXT, "recurrence": WEEKLY, "expires_at": "2027-01-01T00:00:00Z"}, {("/expires_at", "field.surplus")}),
        ({**TEXT, "scheduled_time": NOON, "expires_at": NOON}, {("/expires_at", "time.too_early")}),
        ({"to": PHONE, "scheduled_time": NOON}, {("/text", "field.missing")}),
        ({"to": "0", "text": {"body": "x"}, "scheduled_time": NOON}, {("/to", "phone.invalid")}),
        ({"text": {"body": "x"}, "scheduled_time": NOON}, {("/to", "field.missing")}),
        ({**TEXT, "message_id": new_id("msg"), "scheduled_time": NOON}, {("/text", "field.surplus")}),
        ({**TEXT, "from": new_id("num"), "scheduled_time": NOON}, {("/from", "number.unknown")}),
        (
            {**TEXT, "scheduled_time": NOON, "hours": {"quiet": [{"start": "08:00", "end": "08:00"}]}},
            {("/hours", "hours.never_open")},
        ),
        (
            {**TEXT, "scheduled_time": NOON, "hours": {"quiet": [{"start": "08:00", "end": "09:00", "days": [8]}]}},
            {("/hours/quiet/0/days", "field.out_of_range")},
        ),
        ({**TEXT, "scheduled_time": NOON, "filter": {"a": 2**60}}, {("/filter/a", "number.out_of_range")}),
        ({**TEXT, "scheduled_time": NOON, "name": "a\0"}, {("/name", "field.bad_text")}),
        ({**TEXT, "scheduled_time": NOON, "overlap": "queue"}, {("/overlap", "field.choice")}),
        ({**TEXT, "scheduled_time": NOON, "surprise": 1}, {("/surprise", "field.unknown")}),
    ],
)
async def test_what_is_wrong_is_pointed_at(world: Scene, body: dict[str, Any], faults: set[tuple[str, str]]) -> None:
    assert set(await world.faults(**body)) == faults


async def test_one_of_several_numbers_has_to_be_named(world: Scene) -> None:
    second = await world.number()
    assert await world.faults(**TEXT, scheduled_time=NOON) == [("/from", "number.ambiguous")]
    assert (await world.make(scheduled_time=NOON, **{"from": second}))["from"] == second


async def test_a_schedule_is_its_tenants(world: Scene) -> None:
    made = await world.make(scheduled_time=NOON)
    own, world.tenant = world.tenant, TenantId(new_id("tnt"))
    for method, path in (("GET", ""), ("GET", "/next"), ("PATCH", ""), ("POST", "/cancel"), ("POST", "/trigger")):
        status, answer = await world.ask(method, f"/api/schedules/{made['id']}{path}", {} if method == "PATCH" else None)
        assert (status, answer["code"]) == (404, "schedule.unknown")
    assert (await world.ask("GET", "/api/schedules"))[1]["data"] == []
    assert (await world.ask("POST", "/api/schedules/cancel", {"ids": [made["id"]]}))[1] == {"canceled": 0}
    world.tenant = own
    assert (await world.read(made["id"]))["state"] == "active"
    status, _ = await world.ask("GET", "/api/schedules", Authorization="Bearer nothing")
    assert status == 401


async def test_lists_go_by_cursor_or_by_page(world: Scene) -> None:
    made = [(await world.make(scheduled_time=NOON, reference="a" if n % 2 else "b"))["id"] for n in range(5)]
    newest = made[::-1]
    _, first = await world.ask("GET", "/api/schedules?limit=3")
    _, second = await world.ask("GET", f"/api/schedules?limit=3&cursor={first['next_cursor']}")
    assert [one["id"] for one in (*first["data"], *second["data"])] == newest
    assert "next_cursor" not in second
    _, page = await world.ask("GET", "/api/schedules/paginated?page=2&per_page=2")
    assert [one["id"] for one in page.pop("items")] == newest[2:4]
    assert page == {"total": 5, "page": 2, "pages": 3, "per_page": 2}
    _, page = await world.ask("GET", "/api/schedules/paginated?reference=b")
    assert (page["total"], [one["id"] for one in page["items"]]) == (3, newest[::2])
    assert (await world.ask("GET", "/api/schedules/paginated"))[1]["per_page"] == 50
    _, listed = await world.ask("GET", "/api/schedules?reference=a&state=active")
    assert [one["id"] for one in listed["data"]] == newest[1::2]
    assert (await world.ask("GET", "/api/schedules?cursor=eA"))[0] == 400


async def test_equal_requests_under_one_key_make_one_schedule(world: Scene) -> None:
    body = {**TEXT, "scheduled_time": NOON}
    answers = [await world.ask("POST", "/api/schedules", body, **{"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0] == answers[1]
    assert await world.pool.fetchval("SELECT count(*) FROM schedules") == 1


async def test_a_change_keeps_what_it_does_not_name(world: Scene) -> None:
    made = await world.make(scheduled_time=NOON, name="a", reference="r")
    status, changed = await world.ask(
        "PATCH", f"/api/schedules/{made['id']}", {"scheduled_time": "2026-06-02T12:00:00Z", "name": None}
    )
    assert status == 200
    assert (changed["next_at"], changed["reference"], "name" in changed) == ("2026-06-02T12:00:00Z", "r", False)
    status, answer = await world.ask("PATCH", f"/api/schedules/{made['id']}", {"cron": "* * * * *"})
    assert (status, answer["errors"][0]["pointer"]) == (422, "/cron")
    status, changed = await world.ask("PATCH", f"/api/schedules/{made['id']}", {"cron": "0 9 * * *", "scheduled_time": None})
    assert (status, changed["next_at"]) == (200, "2026-06-01T09:00:00Z")


async def test_what_was_opened_ahead_comes_by_the_new_definition(world: Scene) -> None:
    made = await world.make(scheduled_time=NOON)
    (run,) = await world.pass_to(datetime.fromisoformat(NOON) - timedelta(minutes=1))
    status, changed = await world.ask("PATCH", f"/api/schedules/{made['id']}", {"scheduled_time": "2026-06-01T14:00:00Z"})
    assert (status, changed["runs_opened"], changed["next_at"]) == (200, 0, "2026-06-01T14:00:00Z")
    assert await world.pool.fetchval("SELECT state FROM runs WHERE id = $1", run["id"]) == "canceled"
    assert len(await world.pass_to(datetime.fromisoformat("2026-06-01T14:00:00Z"))) == 1
    status, answer = await world.ask("PATCH", f"/api/schedules/{made['id']}", {"scheduled_time": "2026-06-01T16:00:00Z"})
    assert (status, answer["code"]) == (409, "schedule.begun")


async def test_pause_resume_and_cancel_act_on_its_runs(world: Scene) -> None:
    made = await world.make(recurrence="FREQ=DAILY;BYHOUR=12", time_zone="UTC")
    (run,) = await world.pass_to(datetime.fromisoformat(NOON))
    for action, state, run_state in (
        ("pause", "paused", "paused"),
        ("resume", "active", "expanding"),
        ("cancel", "canceled", "canceled"),
    ):
        status, answer = await world.ask("POST", f"/api/schedules/{made['id']}/{action}")
        assert (status, answer["state"]) == (200, state)
        assert await world.pool.fetchval("SELECT state FROM runs WHERE id = $1", run["id"]) == run_state
    for action in ("pause", "resume", "trigger", "cancel"):
        status, answer = await world.ask("POST", f"/api/schedules/{made['id']}/{action}")
        assert (status, answer["code"]) == (409, "schedule.wrong_state")


async def test_a_change_of_something_else_leaves_its_times_alone(world: Scene) -> None:
    """What waits for a run to end, an occurrence that nobody has looked at yet, and a recurrence that has had its last."""
    made = await world.make(
        recurrence="FREQ=HOURLY;BYMINUTE=0", time_zone="UTC", overlap="buffer_all", ends_at="2026-06-01T11:30:00Z"
    )
    path = f"/api/schedules/{made['id']}"
    for hour in (9, 10):
        await world.pass_to(datetime.fromisoformat(f"2026-06-01T{hour:02}:00:00Z"))
    world.clock.at += timedelta(hours=1, seconds=1)
    status, changed = await world.ask("PATCH", path, {"name": "renamed"})
    assert (status, changed["waiting"], changed["next_at"]) == (200, 1, "2026-06-01T11:00:00Z")
    await world.pass_to(timedelta())
    status, changed = await world.ask("PATCH", path, {"name": "again"})
    assert (status, changed["waiting"], "next_at" in changed) == (200, 2, False)
    status, changed = await world.ask("PATCH", path, {"recurrence": "FREQ=DAILY;BYHOUR=9", "ends_at": None})
    assert (status, changed["waiting"], changed["next_at"]) == (200, 0, "2026-06-02T09:00:00Z")


async def test_a_recurrence_that_was_made_a_single_time_can_be_changed_again(world: Scene) -> None:
    made = await world.make(recurrence="FREQ=HOURLY;BYMINUTE=0", time_zone="UTC")
    assert len(await world.pass_to(timedelta(hours=1))) == 1
    for hour in (13, 14):
        once = {"scheduled_time": f"2026-06-01T{hour}:00:00Z", "recurrence": None}
        status, changed = await world.ask("PATCH", f"/api/schedules/{made['id']}", once)
        assert (status, changed["next_at"]) == (200, f"2026-06-01T{hour}:00:00Z")
    await world.end_runs()
    assert len(await world.pass_to(datetime.fromisoformat("2026-06-01T14:00:00Z"))) == 1


async def test_a_run_that_was_opened_ahead_takes_the_new_content(world: Scene) -> None:
    made = await world.make(scheduled_time=NOON)
    (run,) = await world.pass_to(datetime.fromisoformat(NOON) - timedelta(minutes=1))
    status, changed = await world.ask("PATCH", f"/api/schedules/{made['id']}", {"text": {"body": "Better"}})
    assert (status, changed["runs_opened"], changed["next_at"]) == (200, 0, "2026-06-01T12:00:00Z")
    (again,) = await world.pass_to(timedelta())
    assert again["id"] != run["id"]
    assert wanted(await world.told())[-1].variants[0].content == {"type": "text", "text": {"body": "Better"}}


async def test_a_pause_takes_back_what_was_opened_ahead_of_its_time(world: Scene) -> None:
    daily = await world.make(recurrence="FREQ=DAILY;BYHOUR=12;BYMINUTE=0;BYSECOND=0", time_zone="UTC", count=2)
    once = await world.make(scheduled_time=NOON)
    assert len(await world.pass_to(datetime.fromisoformat(NOON) - timedelta(minutes=1))) == 2
    for made in (daily, once):
        _, answer = await world.ask("POST", f"/api/schedules/{made['id']}/pause")
        assert (answer["runs_opened"], answer["next_at"]) == (0, "2026-06-01T12:00:00Z")
    assert await world.pass_to(datetime.fromisoformat(NOON) + timedelta(hours=1)) == []
    for made in (daily, once):
        await world.ask("POST", f"/api/schedules/{made['id']}/resume")
    assert [run["owner_id"] for run in await world.pass_to(timedelta())] == [once["id"]]
    shown = await world.read(daily["id"])
    assert (times(shown, "next_times"), shown["last_runs"]) == (["2026-06-02T12:00:00Z", "2026-06-03T12:00:00Z"], [])


async def test_what_waits_has_its_turn_after_a_pause(world: Scene) -> None:
    made = await world.make(recurrence="FREQ=DAILY;BYHOUR=12", time_zone="UTC", overlap="buffer_all")
    await world.pass_to(datetime.fromisoformat(NOON))
    await world.pass_to(timedelta(days=1))
    await world.ask("POST", f"/api/schedules/{made['id']}/pause")
    await world.end_runs()
    await world.ask("POST", f"/api/schedules/{made['id']}/resume")
    assert len(await world.pass_to(timedelta())) == 1


@pytest.mark.parametrize("time", ["2026-06-01T20:00:00", "2020-01-01T09:00:00"])
async def test_a_time_that_the_recipients_clocks_have_passed_is_now(world: Scene, time: str) -> None:
    """20:00 was first reached two hours ago, and comes yet for most; 2020 is past for all."""
    made = await world.make(scheduled_time=time, time_zone="recipient", catchup_window_seconds=10)
    assert made["next_at"] == "2026-06-01T08:00:00Z"
    assert (await world.read(made["id"]))["next_times"] == [{"at": "2026-06-01T08:00:00Z", "local_time": time}]
    (run,) = await world.pass_to(timedelta(seconds=1))
    assert orjson.loads(run["terms"])["local_time"] == time
    assert await world.pass_to(timedelta(hours=1)) == []


async def test_a_rule_at_the_end_of_the_calendar_harms_nobody(world: Scene) -> None:
    last = "FREQ=YEARLY;INTERVAL=7973;BYMONTH=12;BYMONTHDAY=31;BYHOUR=23;BYMINUTE=59"
    made = await world.make(recurrence=last, time_zone="America/New_York")
    assert times(await world.read(made["id"]), "next_times") == ["2027-01-01T04:59:00Z"]
    assert len(await world.pass_to(datetime.fromisoformat("2027-01-01T04:59:00Z"))) == 1
    assert "next_at" not in await world.read(made["id"])


async def test_a_filter_by_time_finds_what_was_opened_ahead_of_it(world: Scene) -> None:
    await world.make(scheduled_time=NOON)
    later = await world.make(scheduled_time="2026-06-01T12:01:20Z")
    assert len(await world.pass_to(datetime.fromisoformat(NOON) - timedelta(seconds=30))) == 2
    bounds = {"due_after": "2026-06-01T11:59:00Z", "due_before": "2026-06-01T12:01:00Z"}
    assert await world.ask("POST", "/api/schedules/cancel", bounds) == (200, {"canceled": 1})
    assert await world.pool.fetchval("SELECT count(*) FROM runs WHERE state = 'canceled'") == 1
    assert (await world.read(later["id"]))["state"] == "active"


async def test_what_comes_while_it_is_paused_is_left_out_but_for_what_comes_once(world: Scene) -> None:
    daily = await world.make(recurrence="FREQ=DAILY;BYHOUR=12", time_zone="UTC")
    once = await world.make(scheduled_time=NOON)
    for made in (daily, once):
        await world.ask("POST", f"/api/schedules/{made['id']}/pause")
    assert await world.pass_to(datetime.fromisoformat(NOON) + timedelta(hours=1)) == []
    for made in (daily, once):
        await world.ask("POST", f"/api/schedules/{made['id']}/resume")
    assert [run["owner_id"] for run in await world.pass_to(timedelta())] == [once["id"]]
    assert (await world.read(daily["id"]))["next_at"] == "2026-06-02T12:00:00Z"


async def test_a_run_by_hand_counts_for_nothing(world: Scene) -> None:
    made = await world.make(scheduled_time=NOON)
    status, answer = await world.ask("POST", f"/api/schedules/{made['id']}/trigger")
    assert (status, answer["runs_opened"], answer["next_at"]) == (200, 0, "2026-06-01T12:00:00Z")
    (run,) = (await world.read(made["id"]))["last_runs"]
    assert (run["by_hand"], run["due_at"]) == (True, "2026-06-01T08:00:00Z")


async def test_many_are_canceled_at_once_by_what_they_have_in_common(world: Scene) -> None:
    group = new_id("grp")
    soon = await world.make(scheduled_time=NOON, reference="r")
    late = await world.make(scheduled_time="2026-07-01T12:00:00Z", reference="r")
    grouped = await world.make(scheduled_time="2026-07-01T12:00:00Z", group_id=group)
    (run,) = await world.pass_to(datetime.fromisoformat(NOON))

    async def cancel(**body: Any) -> Any:
        status, answer = await world.ask("POST", "/api/schedules/cancel", body)
        assert status == 200, answer
        return answer["canceled"]

    assert await cancel(group_id=new_id("grp")) == 0
    assert await cancel(due_before="2026-06-15T00:00:00Z", group_id=group) == 0
    assert await cancel(group_id=group) == 1
    assert await cancel(reference="r") == 2
    assert await cancel(reference="r") == 0
    for made in (soon, late, grouped):
        assert (await world.read(made["id"]))["state"] == "canceled"
    assert await world.pool.fetchval("SELECT state FROM runs WHERE id = $1", run["id"]) == "canceled"
    status, answer = await world.ask("POST", "/api/schedules/cancel", {})
    assert (status, answer["code"]) == (422, "selection.empty")


async def test_more_are_canceled_than_one_statement_takes(world: Scene) -> None:
    made = await world.make(scheduled_time=NOON)
    await world.pool.execute(
        """INSERT INTO schedules (id, tenant_id, definition, timing, spec, overlap, catchup_seconds, created_at, updated_at)
        SELECT 'sch_' || n, tenant_id, definition, timing, spec, overlap, catchup_seconds, now(), now()
        FROM schedules, generate_series(1, 20500) AS n WHERE id = $1""",
        made["id"],
    )
    status, answer = await world.ask("POST", "/api/schedules/cancel", {"state": "active"})
    assert (status, answer) == (200, {"canceled": 20_501})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b'{"scheduled_time": 1e400}',
        b'{"filter": ' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}",
        b'{"name": "\\ud800"}',
    ],
)
async def test_no_body_is_too_strange(world: Scene, data: bytes) -> None:
    for method, path in (("POST", ""), ("POST", "/preview"), ("POST", "/cancel"), ("PATCH", f"/{new_id('sch')}")):
        status, answer = await world.ask(method, f"/api/schedules{path}", data)
        assert 400 <= status < 500, (path, orjson.dumps(answer))
