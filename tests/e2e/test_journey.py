"""What a newcomer does first, on the platform that `make run` starts."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.platform import Api, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

ORDER = ["accepted", "queued", "sending", "sent", "delivered", "read"]


async def test_a_message_goes_from_http_to_blue_ticks(api: Api) -> None:
    message_id = await api.send(
        to="+1 (555) 123-4567", text={"body": "Hello from Chasqui"}, reference="first", metadata={"a": "b"}
    )
    message = await api.until_status(message_id, "read")
    assert message["to"] == "+15551234567"
    assert message["content"] == {"type": "text", "text": {"body": "Hello from Chasqui"}}
    assert message["provider_id"].startswith("wamid.")
    assert message["reference"] == "first"
    assert message["metadata"] == {"a": "b"}
    assert len(message["trace_id"]) == 32
    statuses = [entry["status"] for entry in message["timeline"]]
    assert sorted(statuses, key=ORDER.index) == ORDER
    moments = [datetime.fromisoformat(entry["at"]) for entry in message["timeline"]]
    assert moments == sorted(moments)


async def test_the_recipients_answer_is_in_the_conversation_and_is_found(api: Api) -> None:
    await api.send(to="+15557771111", text={"body": "Do you like quinoa?"})

    async def answered() -> list[dict[str, object]]:
        found: list[dict[str, object]] = (await api.get("/api/search?q=quinoa"))["data"]
        return found if len(found) == 2 else []

    hits = await until(answered, "both sides found")
    assert {hit["direction"] for hit in hits} == {"incoming", "outgoing"}
    conversation_id = hits[0]["conversation_id"]
    conversation = await api.get(f"/api/conversations/{conversation_id}")
    assert conversation["contact"]["phone"] == "+15557771111"
    assert conversation["entry_count"] == 2
    assert conversation["unread_count"] == 1
    listed = [c["id"] for c in (await api.get("/api/conversations"))["data"]]
    assert conversation_id in listed

    async def read() -> bool:
        entries = (await api.get(f"/api/conversations/{conversation_id}/entries"))["data"]
        assert [entry["direction"] for entry in entries] == ["incoming", "outgoing"]
        assert entries[0]["content"]["text"]["body"] == "You said: Do you like quinoa?"
        return bool(entries[1].get("status") == "read")

    await until(read, "the outgoing entry to be read")


async def test_a_scheduled_message_waits_for_its_time(api: Api) -> None:
    due = datetime.now(UTC) + timedelta(seconds=6)  # to be looked at before, on a machine that stands still at times too
    message_id = await api.send(to="+15557772222", scheduled_time=due.isoformat())
    message = await api.message(message_id)
    assert message["status"] == "scheduled"
    assert datetime.fromisoformat(message["scheduled_time"]) == due
    message = await api.until_status(message_id, "read")
    released = next(e for e in message["timeline"] if e["status"] == "queued")
    assert datetime.fromisoformat(released["at"]) >= due


async def test_a_scheduled_message_can_be_canceled_and_never_leaves(api: Api) -> None:
    due = datetime.now(UTC) + timedelta(seconds=10)  # a cancellation that overtakes its message is tried again after a second
    message_id, other = [await api.send(to=to, scheduled_time=due.isoformat()) for to in ("+15557773333", "+15557773334")]
    status, body = await api.call("POST", f"/api/messages/{message_id}/cancel")
    assert (status, body["id"]) == (202, message_id)
    await api.until_status(message_id, "canceled")
    status, body = await api.call("POST", f"/api/messages/{message_id}/cancel")
    assert (status, body["status"]) == (202, "canceled")
    await api.until_status(other, "read")  # the canceled one's time has passed as well
    assert (await api.message(message_id))["status"] == "canceled"


async def test_a_message_that_left_cannot_be_canceled(api: Api) -> None:
    message_id = await api.send(to="+15557773335")
    await api.until_status(message_id, "read")
    status, problem = await api.call("POST", f"/api/messages/{message_id}/cancel")
    assert (status, problem["code"]) == (409, "message.not_cancelable")


async def test_a_message_that_is_not_released_in_time_expires(api: Api) -> None:
    now = datetime.now(UTC)
    faults, _ = await api.call(
        "POST",
        "/api/messages",
        {"to": "+15557774444", "text": {"body": "x"}, "expires_at": (now - timedelta(seconds=1)).isoformat()},
    )
    assert faults == 422


@pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson"])
async def test_a_batch_of_a_thousand_is_sent(api: Api, content_type: str) -> None:
    tail = 1 if content_type.endswith("ndjson") else 2
    messages = [{"to": f"+1555{tail}{number:04d}50", "text": {"body": f"number {number}"}} for number in range(1000)]
    lines = [json.dumps(message) for message in messages]
    body = "\n".join(lines) if tail == 1 else f"[{','.join(lines)}]"
    async with api.session.post(
        f"{api.url}/api/messages/batch", data=body.encode(), headers={"Content-Type": content_type}
    ) as answer:
        assert answer.status == 202
        accepted = await answer.json()
    assert (accepted["accepted"], accepted["rejected"]) == (1000, 0)
    ids = [result["id"] for result in accepted["results"]]
    assert len(set(ids)) == 1000

    async def all_sent() -> bool:
        by_id = {message["id"]: message["status"] for message in await api.all_messages()}
        return all(by_id[one] in {"sent", "delivered", "read"} for one in ids)

    await until(all_sent, "the whole batch to be sent", 120)


async def test_faults_in_a_batch_cost_themselves_only(api: Api) -> None:
    batch = [
        {"to": "+15558880000", "text": {"body": "good"}},
        {"to": "nobody", "text": {"body": "bad"}},
        {"to": "+15558880001", "text": {"body": "good"}, "surprise": 1},
        "not a message",
    ]
    status, body = await api.call("POST", "/api/messages/batch", batch)
    assert (status, body["accepted"], body["rejected"]) == (202, 1, 3)
    assert "id" in body["results"][0]
    pointers = [result["errors"][0]["pointer"] for result in body["results"][1:]]
    assert pointers == ["/1/to", "/2/surprise", "/3"]


async def test_equal_requests_under_one_key_make_one_message(api: Api) -> None:
    body = {"to": "+15559990000", "text": {"body": "once"}}
    path, key = "/api/messages", "order-4711"
    answers = await asyncio.gather(*(api.call("POST", path, body, **{"Idempotency-Key": key}) for _ in range(50)))
    assert {status for status, _ in answers} <= {202, 409}
    taken = {answer["id"] for status, answer in answers if status == 202}
    assert len(taken) == 1
    async with api.session.post(f"{api.url}{path}", json=body, headers={"Idempotency-Key": key}) as answer:
        assert answer.headers["Idempotent-Replayed"] == "true"
        assert (await answer.json())["id"] in taken
    status, problem = await api.call("POST", path, {**body, "reference": "other"}, **{"Idempotency-Key": key})
    assert (status, problem["code"]) == (422, "idempotency.key_reused")


async def test_pages_of_messages_do_not_overlap(api: Api) -> None:
    for number in range(5):
        await api.send(to=f"+1555444000{number}")
    first = await api.get("/api/messages?limit=2")
    second = await api.get(f"/api/messages?limit=2&cursor={first['next_cursor']}")
    ids = [message["id"] for page in (first, second) for message in page["data"]]
    assert len(set(ids)) == 4
    assert ids == sorted(ids, reverse=True)
    status, problem = await api.call("GET", "/api/messages?cursor=forged")
    assert (status, problem["code"]) == (400, "cursor.invalid")
