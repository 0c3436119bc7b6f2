"""Schedules and campaigns on the platform that `make run` starts: contacts in, messages out, consent kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.platform import Api, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def created(api: Api, path: str, body: Any) -> dict[str, Any]:
    status, answer = await api.call("POST", path, body)
    assert status in {200, 201, 202}, answer
    found: dict[str, Any] = answer
    return found


async def group_of(api: Api, name: str, phones: list[str]) -> str:
    group = await created(api, "/api/groups", {"name": name})
    people = [{"phone": phone, "name": f"Person {n}", "attributes": {"plan": "gold"}} for n, phone in enumerate(phones)]
    stored = await created(api, "/api/contacts/bulk", people)
    ids = [one["id"] for one in stored["results"]]
    await created(api, f"/api/groups/{group['id']}/members", {"contact_ids": ids})
    return str(group["id"])


async def messages_to(api: Api, phones: list[str]) -> dict[str, dict[str, Any]]:
    return {m["to"]: m for m in await api.all_messages() if m["to"] in phones}


async def until_all(api: Api, phones: list[str], status: str) -> dict[str, dict[str, Any]]:
    async def reached() -> dict[str, dict[str, Any]] | None:
        found = await messages_to(api, phones)
        return found if len(found) == len(phones) and all(m["status"] == status for m in found.values()) else None

    found: dict[str, dict[str, Any]] = await until(reached, f"{phones} to be {status}")
    return found


async def test_message_id_group_id_and_scheduled_time_alone_are_a_schedule(api: Api) -> None:
    phones = [f"+4930120000{n:02d}" for n in range(3)]
    group_id = await group_of(api, "three", phones)
    draft = await created(api, "/api/drafts", {"type": "text", "text": {"body": "Hello {{name}}"}})
    due = datetime.now(UTC) + timedelta(seconds=5)
    schedule = await created(
        api, "/api/schedules", {"message_id": draft["id"], "group_id": group_id, "scheduled_time": due.isoformat()}
    )
    found = await until_all(api, phones, "read")
    assert {m["content"]["text"]["body"] for m in found.values()} == {f"Hello Person {n}" for n in range(3)}
    for message in found.values():
        whole = await api.message(message["id"])
        released = next(entry for entry in whole["timeline"] if entry["status"] == "queued")
        assert datetime.fromisoformat(released["at"]) >= due
    page = await api.get("/api/schedules/paginated?page=1&per_page=50")
    assert {"items", "total", "page", "pages", "per_page"} <= set(page)
    assert schedule["id"] in {one["id"] for one in page["items"]}


async def test_an_opt_out_shortly_before_the_time_stops_the_send_and_the_timeline_says_so(api: Api) -> None:
    phone = "+493012000050"
    [contact] = (await created(api, "/api/contacts/bulk", [{"phone": phone}]))["results"]
    due = datetime.now(UTC) + timedelta(seconds=7)
    message_id = await api.send(to=phone, scheduled_time=due.isoformat())
    await until(lambda: datetime.now(UTC) >= due - timedelta(seconds=4), "four seconds before the time")
    await created(api, f"/api/contacts/{contact['id']}/opt-out", {})
    message = await api.until_status(message_id, "suppressed", "sent", "delivered", "read")
    assert message["status"] == "suppressed"
    assert message["timeline"][-1]["status"] == "suppressed"
    assert "opt" in message["timeline"][-1]["code"]


async def test_stop_by_the_recipient_cancels_what_is_scheduled(api: Api, platform: Any) -> None:
    phone = "+493012000060"
    due = datetime.now(UTC) + timedelta(hours=1)
    message_id = await api.send(to=phone, scheduled_time=due.isoformat())
    await api.until_status(message_id, "scheduled")
    sandbox = platform.run["sandbox_url"]
    async with api.session.post(f"{sandbox}/control/inbound", json={"from": phone.lstrip("+"), "text": "Stop!"}) as answer:
        assert answer.status < 300, await answer.text()
    message = await api.until_status(message_id, "suppressed")
    assert message["timeline"][-1]["status"] == "suppressed"


async def test_a_campaign_from_draft_to_the_last_tick(api: Api) -> None:
    phones = [f"+4930120010{n:02d}" for n in range(20)]
    group_id = await group_of(api, "campaign", phones)
    campaign = await created(
        api,
        "/api/campaigns",
        {
            "name": "Spring",
            "audience": {"group_id": group_id, "recipients": [{"to": phones[0]}, {"to": "+1"}]},
            "content": {"type": "text", "text": {"body": "Hello {{name}}, your plan is {{plan}}."}},
        },
    )
    path = f"/api/campaigns/{campaign['id']}"
    status, _ = await api.call("POST", f"{path}/preflight")
    assert status == 202

    async def checked() -> dict[str, Any] | None:
        found: dict[str, Any] = await api.get(f"{path}/preflight")
        return found if found["state"] in {"ready", "completed", "done", "ended", "failed"} else None

    preflight = await until(checked, "the preflight")
    assert preflight["sendable"] == 20
    assert preflight["invalid"] == 1
    assert await messages_to(api, phones) == {}, "a preflight sends nothing"
    status, _ = await api.call("POST", f"{path}/start")
    assert status in {200, 202}
    found = await until_all(api, phones, "read")
    assert found[phones[3]]["content"]["text"]["body"] == "Hello Person 3, your plan is gold."

    async def completed() -> dict[str, Any] | None:
        campaign: dict[str, Any] = await api.get(path)
        return campaign if campaign["state"] == "completed" and campaign["progress"]["read"] == 20 else None

    done = await until(completed, "the campaign to be completed")
    assert done["progress"]["ended"] == {"sent": 20, "rejected": 1}
