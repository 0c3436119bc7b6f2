"""The life of a campaign, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.scheduler.domain.campaign import HISTORY_LIMIT
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.events.catalogue import AudienceWanted
from shared.ids import new_id
from tests.integration.scheduler.campaigning import (
    CAMPAIGN,
    GROUP,
    KEY,
    NUMBER,
    OTHER,
    TENANT,
    TEXT,
    TOKEN,
    Scene,
    campaigning,
    connected,
    faulty,
    recipient,
    recipients,
)
from tests.integration.scheduler.runs_scene import held
from tests.integration.scheduler.telling import connect, now

NIGHT = {"start": "22:00", "end": "07:00"}
ACTIONS = ("start", "pause", "resume", "cancel", "preflight")


@pytest.fixture
async def scene(pool: Pool, outbox: Outbox) -> AsyncIterator[Scene]:
    async with campaigning(pool, outbox) as scene:
        yield await connected(scene)


async def test_a_draft_is_created_read_listed_changed_and_deleted(scene: Scene) -> None:
    status, campaign = await scene.ask("POST", body={**CAMPAIGN, "reference": "r-1"})
    assert status == 201
    assert (campaign["state"], campaign["content"], campaign["reference"]) == ("draft", TEXT, "r-1")
    assert "progress" not in campaign
    one = f"/{campaign['id']}"
    assert await scene.get(one) == campaign
    (listed,) = (await scene.get(""))["data"]
    assert (listed["id"], listed["name"], listed["state"]) == (campaign["id"], "Sale", "draft")
    status, changed = await scene.ask("PATCH", one, {"name": "Winter sale", "reference": None, "priority": "low"})
    assert status == 200
    assert (changed["name"], changed["priority"], changed["content"]) == ("Winter sale", "low", TEXT)
    assert "reference" not in changed
    assert await scene.get(one) == changed
    assert await scene.ask("DELETE", one) == (204, None)
    assert await scene.refused("GET", one) == (404, "campaign.unknown")
    assert await scene.refused("DELETE", one) == (404, "campaign.unknown")


async def test_a_change_is_checked_with_what_it_changes(scene: Scene) -> None:
    one = await scene.create()
    status, problem = await scene.ask("PATCH", one, {"template_id": new_id("tpl")})
    assert (status, [error["pointer"] for error in problem["errors"]]) == (422, ["/template_id"])
    status, changed = await scene.ask("PATCH", one, {"template_id": new_id("tpl"), "content": None})
    assert status == 200
    assert "content" not in changed
    for body in ({"name": None}, {"nothing": 1}, {"audience": []}, [], {"name": "x" * 201}):
        assert (await scene.ask("PATCH", one, body))[0] == 422


async def test_another_tenants_campaign_is_unknown(scene: Scene) -> None:
    one = await scene.started()
    for method, path, body in (
        ("GET", one, None),
        ("PATCH", one, {"name": "mine"}),
        ("DELETE", one, None),
        *(("POST", f"{one}/{action}", None) for action in ACTIONS),
        *(("GET", f"{one}/{view}", None) for view in ("preflight", "stats", "recipients", "recipients.csv")),
    ):
        assert await scene.refused(method, path, body, tenant=OTHER) == (404, "campaign.unknown"), path
    assert (await scene.ask("GET", tenant=OTHER))[1] == {"data": []}


async def test_lists_go_page_by_page_the_latest_first_and_by_state(scene: Scene) -> None:
    scene.audience = recipients(1)
    paths = [await scene.create(name=str(n)) for n in range(5)]
    await scene.act(paths[1], "start")
    await scene.act(paths[3], "start")
    await scene.find()
    await scene.act(paths[3], "pause")
    names: list[str] = []
    query = "?limit=2"
    while True:
        page = await scene.get(query)
        names += [one["name"] for one in page["data"]]
        if "next_cursor" not in page:
            break
        query = f"?limit=2&cursor={page['next_cursor']}"
    assert names == ["4", "3", "2", "1", "0"]
    for state, expected in (("draft", ["4", "2", "0"]), ("running", ["1"]), ("paused", ["3"]), ("completed", [])):
        page = await scene.get(f"?state={state}")
        assert [one["name"] for one in page["data"]] == expected
        assert all(one["state"] == state for one in page["data"])
    assert (await scene.get("?state=running"))["data"][0]["progress"]["total"] == 1


@pytest.mark.parametrize("query", ["?cursor=zzz", "?cursor=%C3%A9", "?cursor=AAAA"])
async def test_a_made_up_cursor_is_refused(query: str, scene: Scene) -> None:
    one = await scene.create()
    assert await scene.refused("GET", query) == (400, "cursor.invalid")
    assert await scene.refused("GET", f"{one}/recipients{query}") == (400, "cursor.invalid")


@pytest.mark.parametrize("query", ["?state=lost", "?limit=0", "?limit=501", "?page=1"])
async def test_a_query_that_is_not_understood_is_refused(query: str, scene: Scene) -> None:
    one = await scene.create()
    assert await scene.refused("GET", query) == (422, "request.invalid")
    assert await scene.refused("GET", f"{one}/recipients{query}") == (422, "request.invalid")


async def test_from_draft_to_completed(scene: Scene) -> None:
    scene.audience = recipients(5)
    one = await scene.create()
    assert (await scene.act(one, "start"))["state"] == "starting"
    await scene.find()
    campaign = await scene.get(one)
    assert campaign["state"] == "running"
    assert (campaign["progress"]["total"], campaign["progress"]["pending"]) == (5, 5)
    assert campaign["progress"]["estimated_end_at"]
    asked = await scene.dispatch()
    assert {event.to for event in asked} == {found.to for found in scene.audience}
    assert (await scene.get(one))["progress"]["outstanding"] == 5
    await scene.end(asked[:4], "sent")
    await scene.end(asked[4:], "failed", "provider.unreachable")
    await scene.dispatch()
    campaign = await scene.get(one)
    assert campaign["state"] == "completed"
    assert campaign["progress"] == {
        "total": 5,
        "pending": 0,
        "outstanding": 0,
        "ended": {"sent": 4, "failed": 1},
        "duplicates": 0,
        "delivered": 0,
        "read": 0,
        "percent": 100.0,
    }
    assert [(change["state"], change["by"]) for change in campaign["history"]] == [
        ("draft", KEY),
        ("starting", KEY),
        ("completed", "platform"),
    ]


async def test_paused_resumed_and_canceled(scene: Scene) -> None:
    scene.audience = recipients(4)
    one = await scene.started()
    assert (await scene.act(one, "pause"))["state"] == "paused"
    assert await scene.dispatch() == []
    campaign = await scene.get(one)
    assert campaign["state"] == "paused"
    assert "estimated_end_at" not in campaign["progress"]
    assert (await scene.act(one, "resume"))["state"] == "running"
    asked = await scene.dispatch()
    assert len(asked) == 4
    await scene.end(asked[:1], "sent")
    assert (await scene.act(one, "cancel"))["state"] == "canceled"
    await scene.end(asked[1:], "canceled")
    campaign = await scene.get(one)
    assert (campaign["state"], campaign["progress"]["ended"]) == ("canceled", {"sent": 1, "canceled": 3})
    states = ["draft", "starting", "running", "paused", "running", "canceled"]
    assert [change["state"] for change in campaign["history"]] == states
    assert [change["by"] for change in campaign["history"]] == [KEY, KEY, "platform", KEY, KEY, KEY]
    at = [change["at"] for change in campaign["history"]]
    assert at == sorted(at)


async def test_its_history_keeps_its_beginning_and_its_latest(scene: Scene) -> None:
    scene.audience = recipients(1)
    one = await scene.started(starts_at=(now() + timedelta(days=1)).isoformat())
    first = (await scene.get(one))["history"]
    for _ in range(HISTORY_LIMIT // 2 + 2):
        await scene.act(one, "pause")
        await scene.act(one, "resume")
    await scene.act(one, "pause")
    history = (await scene.get(one))["history"]
    assert len(history) == HISTORY_LIMIT
    assert (history[:2], history[-1]["state"]) == (first[:2], "paused")


async def test_a_zone_that_nobody_knows_is_utc(scene: Scene) -> None:
    scene.audience = recipients(3, zone="Mars/Olympus")
    start = (now() + timedelta(days=1)).replace(microsecond=0, tzinfo=None)
    one = await scene.started(starts_at=start.isoformat(), time_zone="recipient", hours={"quiet": [NIGHT]})
    status, campaign = await scene.ask("GET", one)
    assert (status, campaign["progress"]["pending"]) == (200, 3)


async def test_canceling_ends_at_once_all_that_have_not_left(scene: Scene) -> None:
    scene.audience = recipients(7)
    one = await scene.started(starts_at=(now() + timedelta(days=1)).isoformat())
    progress = (await scene.act(one, "cancel"), await scene.get(one))[1]["progress"]
    assert (progress["pending"], progress["ended"]) == (0, {"canceled": 7})
    assert await scene.dispatch() == []


async def test_what_does_not_go_with_the_state_is_refused_and_changes_nothing(scene: Scene) -> None:
    scene.audience = recipients(1)
    draft, running, paused, canceled = [await scene.create() for _ in range(4)]
    for one in (running, paused, canceled):
        await scene.act(one, "start")
    await scene.find()
    await scene.act(paused, "pause")
    await scene.act(canceled, "cancel")
    allowed = {
        draft: {"start", "preflight"},
        running: {"pause", "cancel"},
        paused: {"resume", "cancel"},
        canceled: set[str](),
    }
    for one, actions in allowed.items():
        before = await scene.get(one)
        for action in set(ACTIONS) - actions:
            status, problem = await scene.ask("POST", f"{one}/{action}")
            assert (status, problem["code"]) == (409, "campaign.wrong_state"), (before["state"], action)
            assert f"this one is {before['state']}." in problem["detail"]
        if one != draft:
            assert await scene.refused("PATCH", one, {"name": "x"}) == (409, "campaign.wrong_state")
            assert await scene.refused("DELETE", one) == (409, "campaign.wrong_state")
        after = await scene.get(one)
        assert (after["state"], after["history"]) == (before["state"], before["history"])


async def test_it_is_starting_until_its_time_has_come(scene: Scene) -> None:
    scene.audience = recipients(1)
    starts_at = (now() + timedelta(hours=1)).isoformat()
    one = await scene.started(starts_at=starts_at)
    campaign = await scene.get(one)
    assert (campaign["state"], campaign["starts_at"]) == ("starting", starts_at)
    assert campaign["progress"]["estimated_end_at"] >= starts_at[:19]
    assert [listed["state"] for listed in (await scene.get("?state=starting"))["data"]] == ["starting"]
    assert (await scene.act(one, "pause"))["state"] == "paused"
    assert (await scene.act(one, "resume"))["state"] == "starting"


async def test_an_audience_that_cannot_be_found_fails_it_and_says_why(scene: Scene) -> None:
    scene.unfindable = "group.unknown"
    one = await scene.started()
    campaign = await scene.get(one)
    assert campaign["state"] == "failed"
    assert (campaign["history"][-1]["code"], campaign["history"][-1]["by"]) == ("group.unknown", "platform")
    assert await scene.refused("POST", f"{one}/cancel") == (409, "campaign.wrong_state")


async def test_nobody_knows_when_outcomes_come_that_are_unknown(scene: Scene) -> None:
    scene.audience = recipients(2)
    one = await scene.started()
    asked = await scene.dispatch()
    await held(scene.outbox, asked)
    assert "estimated_end_at" in (await scene.get(one))["progress"]
    await scene.pool.execute("UPDATE holds SET state = 'unsettled' WHERE message_id = $1", asked[0].message_id)
    assert "estimated_end_at" in (await scene.get(one))["progress"]
    await scene.pool.execute("UPDATE holds SET state = 'unsettled'")
    assert "estimated_end_at" not in (await scene.get(one))["progress"]


async def test_what_its_state_does_not_allow_is_said_in_a_sentence(scene: Scene) -> None:
    one = await scene.create()
    _, problem = await scene.ask("POST", f"{one}/cancel")
    assert problem["detail"] == "To cancel a campaign, it must be starting, running or paused; this one is draft."


async def test_too_many_failures_pause_it_and_it_can_be_resumed(scene: Scene) -> None:
    scene.audience = recipients(40)
    one = await scene.started(stop_on_failure={"rate": 0.5, "after": 4})
    asked = await scene.dispatch()
    await scene.end(asked[:1], "sent")
    await scene.end(asked[1:5], "failed", "provider.refused")
    await scene.dispatch()
    campaign = await scene.get(one)
    assert campaign["state"] == "paused"
    assert (campaign["history"][-1]["code"], campaign["history"][-1]["by"]) == ("run.failure_rate", "platform")
    assert (await scene.act(one, "resume"))["state"] == "running"
    history = [change.get("code") for change in (await scene.get(one))["history"]]
    assert "run.failure_rate" in history, "why it was paused is still known"


async def test_each_is_written_to_once_however_often_found(scene: Scene) -> None:
    scene.audience = [*recipients(4), recipient("+15551000000"), faulty("nonsense", "phone.invalid")]
    one = await scene.started()
    progress = (await scene.get(one))["progress"]
    assert (progress["total"], progress["duplicates"], progress["ended"]) == (5, 1, {"rejected": 1})
    assert len(await scene.dispatch()) == 4


async def test_the_definition_goes_along_as_it_was_given(scene: Scene) -> None:
    one = await scene.create(
        audience={"group_id": GROUP, "recipients": [{"to": "+15551234567", "variables": {"name": "Ana"}}]},
        content=None,
        variants=[{"name": "x", "weight": 3, "content": TEXT}, {"name": "y", "message_id": new_id("drf")}],
        time_zone="Asia/Kolkata",
    )
    await scene.act(one, "start")
    (wanted,) = await scene.take(AudienceWanted)
    assert wanted.tenant_id == TENANT
    assert wanted.audience.group_ids == [GROUP]
    assert [(named.to, named.variables) for named in wanted.audience.recipients] == [("+15551234567", {"name": "Ana"})]
    assert [(variant.name, variant.weight) for variant in wanted.variants] == [("x", 3), ("y", 1)]
    assert wanted.default_zone == "Asia/Kolkata"


async def test_only_a_complete_campaign_starts(scene: Scene) -> None:
    status, campaign = await scene.ask("POST", body={"name": "bare"})
    assert status == 201
    for action in ("start", "preflight"):
        status, problem = await scene.ask("POST", f"/{campaign['id']}/{action}")
        assert status == 422
        assert [error["pointer"] for error in problem["errors"]] == ["/audience", "/content"]
    assert await scene.state(f"/{campaign['id']}") == "draft"


async def test_a_number_is_chosen_where_there_is_one(scene: Scene) -> None:
    async def fault(tenant: str = TENANT, **fields: Any) -> tuple[str, str]:
        _, campaign = await scene.ask("POST", body={**CAMPAIGN, **fields}, tenant=tenant)
        _, problem = await scene.ask("POST", f"/{campaign['id']}/start", tenant=tenant)
        (error,) = problem["errors"]
        return error["pointer"], error["code"]

    assert await fault(tenant=OTHER) == ("/from", "number.none")
    assert await fault(**{"from": new_id("num")}) == ("/from", "number.unknown")
    assert await fault(tenant=OTHER, **{"from": NUMBER}) == ("/from", "number.unknown")
    await connect(scene.outbox, new_id("num"), tenant=TENANT)
    assert await fault() == ("/from", "number.ambiguous")
    one = await scene.create(**{"from": NUMBER})
    assert (await scene.act(one, "start"))["from"] == NUMBER


async def test_a_time_that_has_passed_meanwhile_is_told_at_the_start(scene: Scene) -> None:
    one = await scene.create(expires_at=(now() + timedelta(days=1)).isoformat())
    await scene.pool.execute(
        """UPDATE campaigns SET definition = jsonb_set(definition::jsonb, '{expires_at}', '"2020-01-01T00:00:00Z"')"""
    )
    status, problem = await scene.ask("POST", f"{one}/start")
    assert (status, problem["errors"][0]["pointer"]) == (422, "/expires_at")


async def test_one_key_makes_one_campaign_and_one_start(scene: Scene) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = await scene.ask("POST", body=CAMPAIGN, headers=key)
    assert await scene.ask("POST", body=CAMPAIGN, headers=key) == first
    assert await scene.refused("POST", body={**CAMPAIGN, "name": "other"}, headers=key) == (422, "idempotency.key_reused")
    one = f"/{first[1]['id']}"
    started = await scene.ask("POST", f"{one}/start", headers=key)
    assert started[0] == 202
    assert await scene.ask("POST", f"{one}/start", headers=key) == started
    assert await scene.pool.fetchval("SELECT count(*) FROM runs") == 1


async def test_of_many_starts_at_once_one_counts(scene: Scene) -> None:
    one = await scene.create()
    answers = await asyncio.gather(*(scene.ask("POST", f"{one}/start") for _ in range(6)))
    assert sorted(status for status, _ in answers) == [202, 409, 409, 409, 409, 409]
    assert len(await scene.take(AudienceWanted)) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"name": "x"',
        b'{"name": "a\\u0000"}',
        b'{"name": "\\ud800"}',
        b'{"name": "x", "ttl_seconds": 1e400}',
        b'{"name": "x", "ttl_seconds": ' + b"9" * 5_000 + b"}",
        b'{"name": "x", "audience": {"filter": ' + b'{"a":' * 150 + b"1" + b"}" * 151 + b"}",
        b'{"name": "x", "audience": {"filter": ' + b'{"a":' * 90_000 + b"1" + b"}" * 90_001 + b"}",
        b'{"name": "x", "variables": {"a": ' + b"[" * 150 + b"]" * 150 + b"}}",
        b'{"name": "x", "starts_at": "9999-12-31T23:59:59-14:00"}',
        b'{"name": "x", "starts_at": "0001-01-01T00:00:00", "time_zone": "recipient"}',
    ],
)
async def test_hostile_bodies_are_refused(body: bytes, scene: Scene) -> None:
    one = await scene.create()
    head = {"Authorization": f"Bearer {TOKEN}", "X-Chasqui-Tenant": TENANT, "Content-Type": "application/json"}
    for method, path in (("POST", ""), ("PATCH", one)):
        async with scene.session.request(method, f"{scene.url}/api/campaigns{path}", data=body, headers=head) as answer:
            assert 400 <= answer.status < 500, await answer.text()
            assert (await answer.json(content_type=None))["code"]


async def test_nobody_but_the_gateway_is_answered(scene: Scene) -> None:
    assert (await scene.ask("GET", headers={"Authorization": "Bearer another token"}))[0] == 401
