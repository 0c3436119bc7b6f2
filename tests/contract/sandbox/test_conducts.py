"""The suffix table: each virtual recipient does what the README says."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from services.sandbox.domain.conduct import SUFFIXES
from tests.contract.sandbox.running import PATH, TOKEN, Client, Receiver, receiving, running

STEPS = [(suffix, conduct.steps) for suffix, conduct in SUFFIXES.items() if conduct.is_accepted and conduct.steps]
ONCE = [(suffix, conduct.refusal) for suffix, conduct in SUFFIXES.items() if conduct.refuses_every_second]


def recipient(suffix: str) -> str:
    return f"1999123{suffix}"


async def send_and_forget(client: Client, suffix: str) -> None:
    """Send, whatever becomes of the answer."""
    body = {
        "messaging_product": "whatsapp",
        "to": recipient(suffix),
        "text": {"body": "x"},
        "biz_opaque_callback_data": f"msg_{suffix}",
    }
    headers = {"Authorization": f"Bearer {TOKEN}"}
    timeout = aiohttp.ClientTimeout(total=1.5)
    try:
        async with client.session.post(client.base + PATH, json=body, headers=headers, timeout=timeout) as response:
            await response.read()
    except (aiohttp.ClientError, TimeoutError):
        pass


@pytest.mark.parametrize(("suffix", "steps"), [step for step in STEPS if SUFFIXES[step[0]].refusal is None])
async def test_statuses_of_a_suffix(suffix: str, steps: tuple[str, ...]) -> None:
    async with receiving() as receiver, running(receiver.url, webhook_concurrency=1) as client:
        await send_and_forget(client, suffix)
        replies = SUFFIXES[suffix].replies
        await receiver.until(lambda: len(receiver.statuses()) == len(steps) and len(receiver.messages()) == replies)
        assert tuple(item["status"] for item in receiver.statuses()) == steps
        record = await client.record(f"msg_{suffix}")
        assert record is not None
        assert record["count"] == 1
        failed = [item["errors"][0]["code"] for item in receiver.statuses() if item["status"] == "failed"]
        assert failed == [SUFFIXES[suffix].failure] * steps.count("failed")


async def test_0004_is_refused() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        status, answer = await client.send(recipient("0004"))
        assert (status, answer["error"]["code"]) == (400, 131030)


@pytest.mark.parametrize(
    ("suffix", "code", "http_status"), [("0028", 131016, 500), ("0031", 132001, 404), ("0032", 132015, 400)]
)
async def test_always_refused(suffix: str, code: int, http_status: int) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        for _ in range(2):
            status, answer = await client.send(recipient(suffix))
            assert (status, answer["error"]["code"]) == (http_status, code)


async def test_0023_answers_before_its_first_status() -> None:
    async with receiving() as receiver, running(receiver.url, webhook_concurrency=1, status_delay_ms=300) as client:
        await client.send(recipient("0023"))
        await receiver.until(lambda: len(receiver.messages()) == 1)
        assert receiver.statuses() == []
        await receiver.until(lambda: len(receiver.statuses()) == 3)


async def test_0024_and_0025_answer_200_that_is_slow_or_broken() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("PATCH", "behaviour", {"drip_seconds": 0.1})
        status, answer = await client.send(recipient("0024"))
        assert status == 200
        assert answer["messages"][0]["id"]
        with pytest.raises(ValueError, match="line 1"):
            await client.send(recipient("0025"))
        _, totals = await client.control("GET", "ledger/summary")
        assert (totals["accepted"], totals["answered"], totals["fates"]) == (2, 1, {"drips": 1, "garbage": 1})


@pytest.mark.parametrize("suffix", ["0026", "0027"])
async def test_an_answer_that_never_comes_may_mean_that_nothing_was_accepted(suffix: str) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await send_and_forget(client, suffix)
        assert await client.record(f"msg_{suffix}") is None


async def test_0005_is_accepted_and_never_answered() -> None:
    async with receiving() as receiver, running(receiver.url) as client, asyncio.TaskGroup() as group:
        answer = group.create_task(client.send(recipient("0005"), biz_opaque_callback_data="m"))
        await receiver.until(lambda: len(receiver.statuses()) == 3)
        assert not answer.done()
        record = await client.record("m")
        assert record is not None
        assert (record["count"], record["answered"]) == (1, 0)
        answer.cancel()


async def test_0006_is_accepted_and_the_connection_reset() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        with pytest.raises(aiohttp.ClientOSError):
            await client.send(recipient("0006"))
        await receiver.until(lambda: len(receiver.statuses()) == 3)


@pytest.mark.parametrize(("suffix", "accepted"), [("0007", 0), ("0009", 1)])
async def test_a_500_without_json_may_hide_an_accepted_message(suffix: str, accepted: int) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        body = {"messaging_product": "whatsapp", "to": recipient(suffix), "text": {"body": "x"}}
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with client.session.post(client.base + PATH, json=body, headers=headers) as response:
            assert (response.status, response.content_type) == (500, "text/html")
        _, totals = await client.control("GET", "ledger/summary")
        assert (totals["accepted"], totals["answered"], totals["fates"]) == (accepted, 0, {"broken_500": 1})


@pytest.mark.parametrize(("suffix", "code"), ONCE)
async def test_refused_once_then_accepted(suffix: str, code: int) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        first, second, third = [await client.send(recipient(suffix)) for _ in range(3)]
        assert first[1]["error"]["code"] == third[1]["error"]["code"] == code
        assert second[0] == 200


async def test_0014_is_never_heard_of_again() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        assert (await client.send(recipient("0014")))[0] == 200
        _, totals = await client.control("GET", "ledger/summary")
        assert totals["webhooks"]["scheduled"] == totals["webhooks"]["pending"] == 0


async def test_0015_is_answered_after_its_statuses() -> None:
    async with receiving() as receiver, running(receiver.url) as client, asyncio.TaskGroup() as group:
        answer = group.create_task(client.send(recipient("0015")))
        await receiver.until(lambda: len(receiver.statuses()) == 3)
        assert not answer.done()
        assert (await answer)[0] == 200


async def first_statuses(receiver: Receiver, client: Client, to: str, expected: int) -> list[str]:
    _, answer = await client.send(to)
    wamid = answer["messages"][0]["id"]
    await receiver.until(lambda: len(receiver.statuses(wamid)) == expected)
    return [item["status"] for item in receiver.statuses(wamid)]


async def test_the_control_api_names_conducts() -> None:
    async with receiving() as receiver, running(receiver.url, webhook_concurrency=1) as client:
        changes: dict[str, Any] = {"recipients": {"4915112345678": "undeliverable"}, "default_conduct": "sent_only"}
        _, behaviour = await client.control("PATCH", "behaviour", changes)
        assert behaviour["default_conduct"] == "sent_only"
        assert await first_statuses(receiver, client, "+4915112345678", 1) == ["failed"]
        assert await first_statuses(receiver, client, "+4915112345679", 1) == ["sent"]
        await client.control("PUT", "behaviour", {"suffixes": False})
        assert await first_statuses(receiver, client, recipient("0002"), 3) == ["sent", "delivered", "read"]


async def test_drawn_faults_follow_the_seed() -> None:
    faults = {"http_500": 0.3, "http_500_after_accept": 0.3}
    runs: list[list[int]] = []
    async with receiving() as receiver, running(receiver.url) as client:
        for _ in range(2):
            await client.control("PUT", "behaviour", {"seed": 7, "faults": faults, "answers": False})
            statuses = []
            for n in range(30):
                body = {"messaging_product": "whatsapp", "to": f"49151000{n:05}9", "text": {"body": "x"}}
                headers = {"Authorization": f"Bearer {TOKEN}"}
                async with client.session.post(client.base + PATH, json=body, headers=headers) as response:
                    statuses.append(response.status)
            runs.append(statuses)
        assert runs[0] == runs[1]
        assert set(runs[0]) == {200, 500}
        _, totals = await client.control("GET", "ledger/summary")
        assert totals["received"] == 60
        assert totals["accepted"] > totals["answered"] == runs[0].count(200) * 2
