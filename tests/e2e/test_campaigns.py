"""A campaign from its draft to its recipients' answers, on the platform that `make run` starts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from tests.support.platform import Api, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


LAST_ANSWERS: Final = timedelta(seconds=10)
"""To calls that were under way: seldom a tenth of a second. A campaign that went on would take half a minute."""


def recipients(prefix: str, count: int) -> list[dict[str, Any]]:
    return [{"to": f"+49301{prefix}{n:04d}", "variables": {"name": f"N{n}"}} for n in range(count)]


async def draft(api: Api, **fields: Any) -> str:
    body = {"name": "Sale", "content": {"type": "text", "text": {"body": "Hello {{name}}"}}, **fields}
    status, campaign = await api.call("POST", "/api/campaigns", body)
    assert status == 201, campaign
    return f"/api/campaigns/{campaign['id']}"


async def act(api: Api, one: str, action: str) -> Any:
    status, answer = await api.call("POST", f"{one}/{action}")
    assert status in {200, 202}, answer
    return answer


async def until_state(api: Api, one: str, state: str) -> Any:
    async def reached() -> Any:
        campaign = await api.get(one)
        return campaign if campaign["state"] == state else None

    return await until(reached, f"the campaign to be {state}")


async def test_a_campaign_is_looked_over_sent_and_read(api: Api) -> None:
    named = [*recipients("300", 5), {"to": "+493013009999"}, {"to": "nonsense"}]
    one = await draft(api, audience={"recipients": named})
    await act(api, one, "preflight")

    async def looked_over() -> Any:
        found = await api.get(f"{one}/preflight")
        return found if found["state"] == "done" else None

    found = await until(looked_over, "the preflight to be done")
    assert (found["audience_size"], found["sendable"], found["invalid"]) == (7, 5, 1)
    assert found["missing_variables"] == {"name": 1}
    assert found["estimate"]["ends_at"]
    assert (await act(api, one, "start"))["state"] == "starting"
    campaign = await until_state(api, one, "completed")
    assert campaign["progress"]["ended"] == {"sent": 5, "rejected": 2}

    async def read() -> bool:
        return bool((await api.get(one))["progress"]["read"] == 5)

    await until(read, "all to have read it")
    (variant,) = (await api.get(f"{one}/stats"))["variants"]
    assert (variant["sent"], variant["read"], variant["failed"]) == (5, 5, 2)
    sent = (await api.get(f"{one}/recipients?state=sent"))["data"]
    message = await api.message(sent[0]["message_id"])
    assert message["content"]["text"]["body"].startswith("Hello N")
    assert message["to"] == sent[0]["to"]


async def test_pausing_and_canceling_take_effect_at_once(api: Api) -> None:
    one = await draft(api, audience={"recipients": recipients("400", 300)}, pacing={"messages_per_minute": 600})
    await act(api, one, "start")

    async def some_sent() -> bool:
        return bool((await api.get(one))["progress"]["ended"].get("sent", 0) >= 3)

    await until(some_sent, "the first to be sent")
    await act(api, one, "pause")

    async def calm() -> Any:
        progress = (await api.get(one))["progress"]
        return progress if progress["outstanding"] == 0 else None

    paused = await until(calm, "nothing to be under way")
    assert (await api.get(one))["progress"]["ended"] == paused["ended"]
    await act(api, one, "resume")
    await act(api, one, "cancel")
    canceled_at = datetime.now(UTC)

    async def over() -> Any:
        progress = (await api.get(one))["progress"]
        return progress if progress["outstanding"] == progress["pending"] == 0 else None

    progress = await until(over, "everybody to have ended")
    assert set(progress["ended"]) == {"sent", "canceled"}
    assert sum(progress["ended"].values()) == 300
    for sent in (await api.get(f"{one}/recipients?state=sent&limit=500"))["data"]:
        assert datetime.fromisoformat(sent["ended_at"]) < canceled_at + LAST_ANSWERS


async def test_its_recipients_come_as_csv(api: Api) -> None:
    one = await draft(api, audience={"recipients": [{"to": "+493015009991", "variables": {"name": "x"}}, {"to": "=1+1"}]})
    await act(api, one, "start")
    await until_state(api, one, "completed")
    async with api.session.get(f"{api.url}{one}/recipients.csv") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Disposition"].endswith('.csv"')
        lines = (await answer.text()).splitlines()
    assert lines[0].startswith("to,contact_id,variant,state,")
    assert sorted(line.split(",")[0] for line in lines[1:]) == ["'=1+1", "+493015009991"]
