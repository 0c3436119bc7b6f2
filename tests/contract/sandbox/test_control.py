"""The ledger, the webhooks' persistence, other numbers, and what the control API refuses."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import orjson
import pytest

from services.sandbox.app import build
from services.sandbox.settings import SandboxSettings, Settings
from shared.config import TelemetrySettings
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing
from tests.contract.sandbox.running import APP_SECRET, DEADLINE_SECONDS, NUMBER, VERIFY_TOKEN, receiving, running

READER = "19991230003"
SECRETS = ("sandbox-access-token", APP_SECRET, VERIFY_TOKEN)


def spec(webhook_url: str, **members: Any) -> dict[str, Any]:
    return {
        "access_token": "token-two",
        "app_secret": "secret-two",
        "verify_token": VERIFY_TOKEN,
        "webhook_url": webhook_url,
        "waba_id": "2001",
        "display_phone_number": "+1 555-000-0002",
        **members,
    }


async def test_the_ledger_counts_by_callback_data() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        wamids = []
        for name in ("msg_a", "msg_b.1", "msg_b.2", "msg_a"):
            _, answer = await client.send(READER, biz_opaque_callback_data=name)
            wamids.append(answer["messages"][0]["id"])
        await client.send(READER)
        await client.send("19991230004", biz_opaque_callback_data="refused")

        _, ledger = await client.control("GET", "ledger")
        assert [(record["id"], record["count"]) for record in ledger["data"]] == [("msg_a", 2), ("msg_b.1", 1), ("msg_b.2", 1)]
        first = ledger["data"][0]
        assert (first["wamid"], first["to"], first["answered"]) == (wamids[3], READER, 2)
        assert first["first_at"] <= first["last_at"]
        totals = {name: ledger["totals"][name] for name in ("received", "accepted", "distinct", "duplicates", "without_id")}
        assert totals == {"received": 6, "accepted": 5, "distinct": 3, "duplicates": 1, "without_id": 1}
        assert ledger["totals"]["refused"] == {"131030": 1}

        _, page = await client.control("GET", "ledger?limit=2")
        _, rest = await client.control("GET", f"ledger?limit=2&cursor={page['next_cursor']}")
        assert [record["id"] for record in page["data"] + rest["data"]] == ["msg_a", "msg_b.1", "msg_b.2"]
        assert rest["next_cursor"] is None
        _, twice = await client.control("GET", "ledger?min_count=2")
        assert [record["id"] for record in twice["data"]] == ["msg_a"]

        await client.control("DELETE", "ledger")
        assert (await client.control("GET", "ledger"))[1]["data"] == []


async def test_a_full_ledger_says_so() -> None:
    async with receiving() as receiver, running(receiver.url, ledger_limit=1) as client:
        for n in range(3):
            await client.send(READER, biz_opaque_callback_data=f"m{n}")
        _, totals = await client.control("GET", "ledger/summary")
        assert (totals["accepted"], totals["distinct"], totals["unrecorded"]) == (3, 1, 2)


async def test_webhooks_wait_for_a_receiver_that_is_away() -> None:
    async with receiving() as receiver:
        url, port = receiver.url, int(receiver.url.split(":")[2].split("/")[0])
    async with running(url) as client:
        await client.send(READER)

        async def has_retried() -> bool:
            _, summary = await client.control("GET", "ledger/summary")
            return bool(summary["webhooks"]["retries"] > 0)

        async with asyncio.timeout(DEADLINE_SECONDS):
            while not await has_retried():
                pass
        async with receiving(port) as receiver:
            await receiver.until(lambda: len(receiver.statuses()) == 3)
            assert receiver.all_are_signed()


async def test_a_webhook_comes_again_until_it_is_answered_with_200() -> None:
    async with receiving() as receiver, running(receiver.url, webhook_concurrency=1) as client:
        receiver.answers = [500, 404, 201]
        await client.send("19991230013")
        await receiver.until(lambda: len(receiver.bodies) == 4)
        assert len(set(receiver.bodies)) == 1
        assert [item["status"] for item in receiver.statuses()] == ["sent"]
        assert receiver.all_are_signed()


async def test_many_updates_share_a_post() -> None:
    async with receiving() as receiver, running(receiver.url, answers=False, suffixes=False) as client:
        await asyncio.gather(*(client.send(f"491510000{n:04}") for n in range(300)))
        await receiver.until(lambda: len(receiver.statuses()) == 900)
        assert len(receiver.bodies) < 450
        assert max(len(value["statuses"]) for value in receiver.values()) <= 1000


async def test_the_backlog_is_bounded() -> None:
    async with running("http://127.0.0.1:1/nobody", webhook_backlog=2) as client:
        await client.send(READER)

        async def dropped() -> int:
            _, summary = await client.control("GET", "ledger/summary")
            return int(summary["webhooks"]["dropped"])

        async with asyncio.timeout(DEADLINE_SECONDS):
            while await dropped() < 1:
                pass


async def test_another_number_has_its_own_secret_receiver_and_rate() -> None:
    async with receiving() as receiver, receiving() as second, running(receiver.url) as client:
        status, shown = await client.control("PUT", "numbers/2002", spec(second.url, messages_per_second=80))
        assert status == 200
        body = {"messaging_product": "whatsapp", "to": READER, "text": {"body": "x"}}
        assert (await client.post("/2002/messages", body, "token-two"))[0] == 200
        await second.until(lambda: len(second.statuses()) == 3)
        assert not second.all_are_signed()  # not with the first number's secret
        assert second.values()[0]["metadata"]["phone_number_id"] == "2002"
        assert second.taken[0]["entry"][0]["id"] == "2001"
        assert receiver.bodies == []

        _, listed = await client.control("GET", "numbers")
        assert [number["phone_number_id"] for number in listed["data"]] == [NUMBER, "2002"]
        assert shown == listed["data"][1]
        assert not any(secret in str(listed) for secret in (*SECRETS, "token-two", "secret-two"))


async def test_the_handshake_of_a_callback() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        assert await client.control("POST", f"numbers/{NUMBER}/verify") == (200, {"verified": True})
        await client.control("PUT", "numbers/2002", spec(receiver.url, verify_token="another"))
        assert await client.control("POST", "numbers/2002/verify") == (200, {"verified": False})
        await client.control("PUT", "numbers/2002", spec("http://127.0.0.1:1/"))
        assert await client.control("POST", "numbers/2002/verify") == (200, {"verified": False})


async def test_put_restores_what_it_leaves_out_and_patch_keeps_it() -> None:
    async with receiving() as receiver, running(receiver.url, reply_delay_ms=77) as client:
        await client.control("PATCH", "behaviour", {"answers": False, "faults": {"http_500": 0.5}})
        _, behaviour = await client.control("PATCH", "behaviour", {"latency_ms": 3})
        assert (behaviour["answers"], behaviour["faults"]["http_500"], behaviour["latency_ms"]) == (False, 0.5, 3)
        _, behaviour = await client.control("PUT", "behaviour", {})
        assert (behaviour["answers"], behaviour["faults"]["http_500"], behaviour["reply_delay_ms"]) == (True, 0, 77)
        assert (await client.control("GET", "behaviour"))[1] == behaviour


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("PUT", "behaviour", {"anwsers": True}, "anwsers"),
        ("PUT", "behaviour", [], "object"),
        ("PUT", "behaviour", {"faults": {"http_500": 2}}, "faults.http_500"),
        ("PUT", "behaviour", {"faults": {"http_500": 0.6, "reset_after_accept": 0.6}}, "faults"),
        ("PUT", "behaviour", {"default_conduct": "rude"}, "default_conduct"),
        ("PUT", "behaviour", {"recipients": {"1555": "rude"}}, "recipients"),
        ("POST", "inbound", {"from": "me", "text": "x"}, "from"),
        ("POST", "inbound", {"from": "15551234567", "text": ""}, "text"),
        ("POST", "inbound", {"from": "15551234567", "text": "x", "phone_number_id": "9"}, ""),
        ("PUT", "numbers/abc", {}, "phone_number_id"),
        ("PUT", "numbers/2002", {"access_token": "secret-in-a-bad-body"}, "app_secret"),
        ("PATCH", "behaviour", {"webhooks": {"duplicat": 1}}, "webhooks.duplicat"),
        ("PATCH", "behaviour", {"throttle_status": 500}, "throttle_status"),
        ("PATCH", "behaviour", {"portfolio_refusal": 7}, "portfolio_refusal"),
        ("PATCH", "behaviour", {"number_limit": "none"}, "number_limit"),
        ("PATCH", f"numbers/{NUMBER}", {"state": "asleep"}, "state"),
        ("PATCH", f"numbers/{NUMBER}", {"messages_per_sec": 1}, "messages_per_sec"),
        ("PATCH", f"numbers/{NUMBER}", {"faults": {"http_500": 0.6, "http_503": 0.6}}, "faults"),
        ("PATCH", "numbers/9", {}, ""),
        ("DELETE", "numbers/9", None, ""),
        ("GET", "ledger/rates?second=5", None, "second"),
        ("GET", "ledger/rates?seconds=0", None, "seconds"),
        ("GET", "ledger?page=2", None, "page"),
        ("PUT", "limits", {}, ""),
        ("GET", "ledger?limit=0", None, "limit"),
        ("GET", "ledger?cursor=x", None, "cursor"),
        ("GET", "nothing", None, ""),
        ("POST", "numbers/9/verify", None, ""),
    ],
)
async def test_the_control_api_refuses_in_graph_errors(method: str, path: str, body: object, named: str) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        status, answer = await client.control(method, path, body)
        assert (status, answer["error"]["code"]) == (400, 100)
        assert named in answer["error"].get("error_data", {}).get("details", "")
        assert "secret-in-a-bad-body" not in str(answer)


async def test_secrets_reach_no_log(capsys: pytest.CaptureFixture[str]) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        receiver.answers = [500]
        await client.control("PUT", "numbers/2002", spec("http://127.0.0.1:1/?key=hidden-key"))
        await client.send(READER, text={"body": "hidden-words"})
        await client.send("nobody", text={"body": "hidden-words"})
        await receiver.until(lambda: len(receiver.statuses()) == 3)
    out = "".join(capsys.readouterr())
    hidden = (*SECRETS, "token-two", "secret-two", "hidden-key", "hidden-words", READER)
    assert not [secret for secret in hidden if secret in out]


async def test_a_taken_port_is_an_os_error() -> None:
    async with receiving() as receiver, AsyncExitStack() as stack:
        port = int(receiver.url.split(":")[2].split("/")[0])
        settings = Settings(sandbox=SandboxSettings(port=port))
        with pytest.raises(OSError, match="address"):
            await build(stack, settings, Tracing("sandbox", TelemetrySettings()), Metrics("sandbox"))


async def test_it_starts_and_stops_many_times_with_work_in_hand() -> None:
    for _ in range(10):
        async with running("http://127.0.0.1:1/nobody", status_delay_ms=1) as client:
            status, answer = await client.send("15551234567")
            assert status == 200
            assert orjson.dumps(answer)
