"""Limits as Meta has them, as they are switched, and what the ledger says of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.contract.sandbox.running import DEADLINE_SECONDS, NUMBER, Client, receiving, running

READER = "19991230003"
TEMPLATE: dict[str, Any] = {"type": "template", "template": {"name": "t", "language": {"code": "en"}}, "text": None}


def reader(n: int) -> str:
    return f"1999{n:03}0003"


async def codes_of(client: Client, recipients: list[str], **members: Any) -> list[int]:
    """The error code of each send, 0 for none, one after the other."""
    answers = [await client.send(recipient, **members) for recipient in recipients]
    return [0 if status == 200 else answer["error"]["code"] for status, answer in answers]


async def test_a_strict_number_has_no_burst_on_top_of_its_rate() -> None:
    async with receiving() as receiver, running(receiver.url, messages_per_second=5, answers=False) as client:
        await client.control("PATCH", "behaviour", {"number_limit": "window"})
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (await client.control("GET", "ledger/summary"))[1]["accepted"] < 12:
                await codes_of(client, [reader(1)])
        _, rates = await client.control("GET", f"ledger/rates?phone_number_id={NUMBER}")
        (number,) = rates["data"]
        assert number["greatest_second"]["count"] <= 6  # tenths of a second may split one
        assert number["accepted"] == sum(number["per_second"]["accepted"]) == 12
        assert number["refused"]["130429"] == sum(number["per_second"]["refused"]) > 0


@pytest.mark.parametrize("status", [400, 403, 429])
async def test_throttles_come_with_the_status_they_are_switched_to(status: int) -> None:
    async with receiving() as receiver, running(receiver.url, answers=False) as client:
        await client.control("PATCH", "behaviour", {"throttle_status": status, "retry_after_seconds": 7})
        await client.control("PATCH", f"numbers/{NUMBER}", {"state": "throttled"})
        body = {"messaging_product": "whatsapp", "to": READER, "text": {"body": "x"}}
        headers = {"Authorization": "Bearer sandbox-access-token"}
        async with client.session.post(f"{client.base}/{NUMBER}/messages", json=body, headers=headers) as response:
            assert (response.status, response.headers["Retry-After"]) == (status, "7")
            assert (await response.json())["error"]["code"] == 130429


async def test_users_beyond_the_portfolios_limit_are_accepted_and_counted_or_refused() -> None:
    async with receiving() as receiver, running(receiver.url, answers=False) as client:
        await client.control("PATCH", f"numbers/{NUMBER}", {"unique_users_per_day": 2, "portfolio_id": "77"})
        await client.control("POST", "inbound", {"from": reader(9), "text": "I write first"})
        users = [reader(1), reader(2), reader(1), reader(9), reader(3), reader(3)]
        assert await codes_of(client, users) == [0] * 6
        _, summary = await client.control("GET", "ledger/summary")
        assert summary["over_portfolio_limit"] == summary["numbers"][NUMBER]["over_portfolio_limit"] == 2
        assert (await client.control("GET", "limits"))[1] == {"open_windows": 1, "portfolio_users": {"77": 2}}

        await client.control("PATCH", "behaviour", {"portfolio_refusal": 131048})
        assert await codes_of(client, users) == [0, 0, 0, 0, 131048, 131048]
        await client.control("DELETE", "limits")
        assert await codes_of(client, [reader(3), reader(9), reader(1)]) == [0, 0, 131048]


async def test_numbers_of_a_portfolio_share_its_users() -> None:
    async with receiving() as receiver, running(receiver.url, answers=False) as client:
        await client.control("PATCH", "behaviour", {"portfolio_refusal": 131048})
        await client.control("PATCH", f"numbers/{NUMBER}", {"unique_users_per_day": 1, "portfolio_id": "77"})
        other = {
            "access_token": "sandbox-access-token",
            "app_secret": "s",
            "verify_token": "v",
            "webhook_url": receiver.url,
            "waba_id": "2",
            "display_phone_number": "15550000002",
            "unique_users_per_day": 1,
            "portfolio_id": "77",
        }
        await client.control("PUT", "numbers/2222", other)
        assert await codes_of(client, [reader(1)]) == [0]
        body = {"messaging_product": "whatsapp", "to": reader(2), "text": {"body": "x"}}
        assert (await client.post("/2222/messages", body))[1]["error"]["code"] == 131048
        assert (await client.post("/2222/messages", {**body, "to": reader(1)}))[0] == 200


async def test_outside_the_window_only_templates_arrive_when_it_is_enforced() -> None:
    async with receiving() as receiver, running(receiver.url, answers=False, webhook_concurrency=1) as client:

        async def outcome(**members: Any) -> tuple[str, int | None]:
            status, answer = await client.send(READER, **members)
            assert status == 200
            wamid = answer["messages"][0]["id"]
            await receiver.until(lambda: any(item["status"] in ("read", "failed") for item in receiver.statuses(wamid)))
            last = receiver.statuses(wamid)[-1]
            return last["status"], last.get("errors", [{}])[0].get("code")

        assert await outcome() == ("read", None)
        await client.control("PATCH", "behaviour", {"enforce_window": True})
        assert await outcome() == ("failed", 131047)
        assert await outcome(**TEMPLATE) == ("read", None)
        await client.control("POST", "inbound", {"from": READER, "text": "hello"})
        assert await outcome() == ("read", None)


@pytest.mark.parametrize(
    ("state", "code", "status"),
    [
        ("throttled", 130429, 400),
        ("banned", 131031, 403),
        ("unregistered", 133010, 400),
        ("flagged", 131048, 400),
        ("upgrading", 131057, 500),
        ("token_dead", 190, 401),
    ],
)
async def test_a_numbers_state_answers_every_send(state: str, code: int, status: int) -> None:
    async with receiving() as receiver, running(receiver.url, answers=False) as client:
        _, shown = await client.control("PATCH", f"numbers/{NUMBER}", {"state": state})
        assert shown["state"] == state
        got, answer = await client.send(READER)
        assert (got, answer["error"]["code"]) == (status, code)
        _, summary = await client.control("GET", "ledger/summary")
        assert summary["numbers"][NUMBER]["refused"] == {str(code): 1}
        await client.control("PATCH", f"numbers/{NUMBER}", {"state": "connected"})
        assert (await client.send(READER))[0] == 200


async def test_a_state_can_end_by_itself() -> None:
    async with receiving() as receiver, running(receiver.url, answers=False) as client:
        await client.control(
            "PATCH", f"numbers/{NUMBER}", {"state": "upgrading", "state_seconds": 1, "messages_per_second": 1000}
        )
        await client.control("PATCH", f"numbers/{NUMBER}", {"verified_name": "a change that is none of the state's"})
        answers = Counter[int]()
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not answers[0]:
                answers.update(await codes_of(client, [READER]))
        assert answers[131057] > 0
        _, shown = await client.control("GET", f"numbers/{NUMBER}")
        assert (shown["state"], shown["state_seconds"], shown["messages_per_second"]) == ("connected", None, 1000)


async def test_a_changed_number_keeps_its_secrets_and_its_pairs() -> None:
    async with receiving() as receiver, running(receiver.url, answers=False) as client:
        await codes_of(client, [READER] * 45)
        _, shown = await client.control("PATCH", f"numbers/{NUMBER}", {"latency_ms": 1, "faults": {"http_500": 0}})
        assert not {"access_token", "app_secret", "verify_token"} & shown.keys()
        assert await codes_of(client, [READER]) == [131056]
        await client.control("DELETE", "limits")
        assert await codes_of(client, [READER]) == [0]
        assert await client.control("DELETE", f"numbers/{NUMBER}") == (200, {"success": True})
        assert (await client.control("GET", f"numbers/{NUMBER}"))[0] == 400


async def test_the_ledger_tells_numbers_apart_and_forgets_on_request() -> None:
    async with receiving() as receiver, running(receiver.url, answers=False) as client:
        await client.send(READER, biz_opaque_callback_data="m")
        await client.send("nobody")
        await client.control("POST", "inbound", {"from": READER, "text": "hello"})
        record = await client.record("m")
        assert record is not None
        assert record["phone_number_id"] == NUMBER
        _, summary = await client.control("GET", "ledger/summary")
        assert summary["numbers"] == {
            NUMBER: {"accepted": 1, "inbound": 1, "refused": {"131009": 1}, "over_portfolio_limit": 0}
        }
        assert summary["inbound"] == 1
        await client.control("DELETE", "ledger")
        assert (await client.control("GET", "ledger/rates"))[1] == {"data": []}
        assert (await client.control("GET", "ledger/summary"))[1]["numbers"] == {}
