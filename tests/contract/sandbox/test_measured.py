"""The sandbox's own metrics: its requests and how they were answered."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest

from tests.contract.sandbox.running import DEADLINE_SECONDS, NUMBER, Client, receiving, running
from tests.support.scraped import Page, ask_every_time


async def page_of(client: Client, **headers: str) -> Page:
    async with client.session.get(f"{client.base}/metrics", headers=headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/plain"
        return Page(await answer.text())


async def test_requests_are_counted_by_what_they_are_for_and_how_they_were_answered() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await client.send("15550001111")
        await client.send("15550001112")
        await client.post(f"/v23.0/{NUMBER}/messages", {"messaging_product": "whatsapp"})
        await client.post("/v23.0/12345678901234567890/odd_thing", {})
        for path in ("health", "ready", "metrics", "control/numbers"):
            async with client.session.get(f"{client.base}/{path}"):
                pass
        page = await page_of(client)

    assert page.series("chasqui_http_requests_total") == {
        ("POST", "/{node}/messages", "200"): 2,
        ("POST", "/{node}/messages", "400"): 1,
        ("POST", "/{node}/{edge}", "400"): 1,
        ("GET", "/control", "200"): 1,
    }
    assert page("chasqui_http_request_duration_seconds_count", "POST", "/{node}/messages") == 3


async def test_an_answer_that_is_held_takes_the_time_it_is_held_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ask_every_time(monkeypatch)
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("PATCH", "behaviour", {"latency_ms": 300})
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(client.send("15550001111"))
            async with asyncio.timeout(DEADLINE_SECONDS):
                while (page := await page_of(client))("chasqui_http_requests_in_flight") < 2:  # and the scrape itself
                    await asyncio.sleep(0.01)  # the deadline is above
            assert page("chasqui_http_connections") >= 2
        took = time.monotonic() - began
        page = await page_of(client)

    assert 0.3 <= page("chasqui_http_request_duration_seconds_sum", "POST", "/{node}/messages") <= took
    assert page("chasqui_http_requests_in_flight") == 1


async def test_what_is_reset_has_no_status(monkeypatch: pytest.MonkeyPatch) -> None:
    ask_every_time(monkeypatch)
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("PATCH", "behaviour", {"faults": {"reset_after_accept": 1}})
        with pytest.raises(aiohttp.ClientError):
            await client.send("15550001111")
        page = await page_of(client)

    assert page("chasqui_http_requests_total", "POST", "/{node}/messages", "none") == 1
    assert page.series("chasqui_http_request_duration_seconds_count") == {("PATCH", "/control"): 1}


async def test_the_page_is_for_whoever_shows_its_token() -> None:
    async with receiving() as receiver, running(receiver.url, metrics_token="secret") as client:
        for given in ({}, {"Authorization": "Bearer secre"}, {"Authorization": "secret"}):
            async with client.session.get(f"{client.base}/metrics", headers=given) as answer:
                assert answer.status == 401
        await page_of(client, Authorization="Bearer secret")
        async with client.session.post(f"{client.base}/metrics") as answer:
            assert answer.status == 405
