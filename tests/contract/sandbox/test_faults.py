"""Faults by chance: of requests, of one number, of webhooks; always one in one here, so nothing is left to chance."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import orjson
import pytest

from services.sandbox.domain.faults import FAULTS
from tests.contract.sandbox.running import DEADLINE_SECONDS, NUMBER, PATH, TOKEN, Client, Receiver, receiving, running

READER = "19991230003"
SILENT = "19991230014"


async def meet(client: Client, to: str = READER, *, patience: float = DEADLINE_SECONDS) -> Any:
    """What a caller meets: status and code, status alone, or the name of what broke. `patience` in seconds."""
    body = {"messaging_product": "whatsapp", "to": to, "text": {"body": "x"}, "biz_opaque_callback_data": "m"}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    timeout = aiohttp.ClientTimeout(total=patience)
    try:
        async with client.session.post(client.base + PATH, json=body, headers=headers, timeout=timeout) as response:
            text = await response.read()
            try:
                return response.status, orjson.loads(text).get("error", {}).get("code")
            except orjson.JSONDecodeError:
                return response.status, "no JSON"
    except TimeoutError:
        return "no answer"
    except aiohttp.ClientOSError:
        return "reset"


MET = {
    "hang_after_accept": "no answer",
    "reset_after_accept": "reset",
    "http_500": (500, "no JSON"),
    "http_500_after_accept": (500, "no JSON"),
    "hang_before_accept": "no answer",
    "reset_before_accept": "reset",
    "http_429": (429, 130429),
    "http_503": (503, 2),
    "graph_500": (500, 131016),
    "token_dead": (401, 190),
    "garbage_after_accept": (200, "no JSON"),
    "drip_after_accept": (200, None),
    "late_after_accept": "no answer",
}


@pytest.mark.parametrize("of_one_number", [False, True])
@pytest.mark.parametrize("name", FAULTS)
async def test_each_fault_is_met_and_accepts_or_not(name: str, *, of_one_number: bool) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("PATCH", "behaviour", {"drip_seconds": 0.1})
        path = f"numbers/{NUMBER}" if of_one_number else "behaviour"
        assert (await client.control("PATCH", path, {"faults": {name: 1}}))[0] == 200
        assert await meet(client, patience=0.6 if MET[name] == "no answer" else DEADLINE_SECONDS) == MET[name]
        _, totals = await client.control("GET", "ledger/summary")
        is_accepted = FAULTS[name].is_accepted and FAULTS[name].refusal is None
        assert totals["accepted"] == is_accepted
        assert totals["answered"] == (name == "drip_after_accept")
        await client.control("PATCH", path, {"faults": {} if path == "behaviour" else None})
        assert await meet(client) == (200, None)


async def test_a_numbers_own_faults_come_instead_of_everybodys() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("PATCH", "behaviour", {"faults": {"http_503": 1}})
        await client.control("PATCH", f"numbers/{NUMBER}", {"faults": {}})
        assert await meet(client) == (200, None)


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("behaviour", {"latency_ms": 80}),
        ("behaviour", {"spike_share": 1, "spike_ms": 80}),
        (f"numbers/{NUMBER}", {"latency_ms": 80}),
        (f"numbers/{NUMBER}", {"spike_share": 1, "spike_ms": 80}),
    ],
)
async def test_answers_take_the_time_they_are_told_to(path: str, changes: dict[str, Any]) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("PATCH", path, changes)
        began = time.monotonic()
        assert await meet(client, SILENT) == (200, None)
        assert time.monotonic() - began >= 0.08
        if path == "behaviour":
            await client.control("PATCH", f"numbers/{NUMBER}", {"latency_ms": 0, "spike_share": 0})
            await client.control("PATCH", "behaviour", {"latency_ms": 50_000})
            assert await meet(client, SILENT) == (200, None)


async def test_statuses_overtake_an_answer_that_takes_longer() -> None:
    async with receiving() as receiver, running(receiver.url) as client, asyncio.TaskGroup() as group:
        await client.control("PATCH", "behaviour", {"latency_ms": 1000})
        answer = group.create_task(client.send(READER))
        await receiver.until(lambda: len(receiver.statuses()) == 3)
        assert not answer.done()
        assert (await answer)[0] == 200


async def statuses_after(receiver: Receiver, client: Client, webhooks: dict[str, float], count: int) -> list[str]:
    await client.control("PATCH", "behaviour", {"webhooks": webhooks, "seed": 3})
    await client.send(READER)
    await receiver.until(lambda: len(receiver.statuses()) == count)
    return [item["status"] for item in receiver.statuses()]


async def test_updates_can_come_twice() -> None:
    async with receiving() as receiver, running(receiver.url, webhook_concurrency=1) as client:
        assert await statuses_after(receiver, client, {"duplicate": 1}, 6) == [
            status for status in ("sent", "delivered", "read") for _ in range(2)
        ]


async def test_whole_posts_can_come_again_after_their_200() -> None:
    async with receiving() as receiver, running(receiver.url, webhook_concurrency=1, status_delay_ms=0) as client:
        assert await statuses_after(receiver, client, {"repeat": 1}, 6) == ["sent", "delivered", "read"] * 2
        assert receiver.bodies[0] == receiver.bodies[1]
        assert receiver.all_are_signed()
        _, summary = await client.control("GET", "ledger/summary")
        assert (summary["webhooks"]["posts"], summary["webhooks"]["delivered"]) == (2, 3)


async def test_updates_can_overtake_each_other() -> None:
    async with receiving() as receiver, running(receiver.url, webhook_concurrency=1, status_delay_ms=1) as client:
        orders = set()
        for seed in range(8):
            await client.control("PATCH", "behaviour", {"webhooks": {"reorder": 1, "reorder_ms": 120}, "seed": seed})
            _, answer = await client.send(READER)
            wamid = answer["messages"][0]["id"]
            await receiver.until(lambda wamid=wamid: len(receiver.statuses(wamid)) == 3)
            orders.add(tuple(item["status"] for item in receiver.statuses(wamid)))
        assert len(orders) > 1


async def test_updates_can_be_late_and_lost() -> None:
    async with receiving() as receiver, running(receiver.url, webhook_concurrency=1) as client:
        began = time.monotonic()
        await statuses_after(receiver, client, {"delay": 1, "delay_ms": 200}, 3)
        assert time.monotonic() - began >= 0.2
        await client.control("PATCH", "behaviour", {"webhooks": {"lose": 1}})
        await client.send(READER)
        _, summary = await client.control("GET", "ledger/summary")
        assert summary["webhooks"]["scheduled"] == summary["webhooks"]["pending"] == 0


async def test_an_answer_to_a_message_that_the_ledger_forgot_is_no_ones() -> None:
    async with receiving() as receiver, running(receiver.url) as client, asyncio.TaskGroup() as group:
        await client.control("PATCH", "behaviour", {"latency_ms": 300})
        answer = group.create_task(meet(client))
        await receiver.until(lambda: len(receiver.statuses()) == 3)
        await client.control("DELETE", "ledger")
        assert await answer == (200, None)
        assert (await client.control("GET", "ledger/summary"))[1]["answered"] == 0


async def test_chance_follows_its_seed() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        runs = []
        for _ in range(2):
            await client.control("PUT", "behaviour", {"seed": 11, "faults": {"http_429": 0.3, "http_503": 0.3}})
            runs.append([await meet(client, SILENT) for _ in range(20)])
        assert runs[0] == runs[1]
        assert set(runs[0]) == {(200, None), (429, 130429), (503, 2)}
