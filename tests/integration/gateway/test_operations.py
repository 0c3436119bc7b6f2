"""Operational answers while parts of the platform are away."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from services.gateway.consumers import SUBSCRIPTIONS
from services.gateway.operations.others import AllServices
from shared.bus.memory import MemoryBus
from shared.operations.payloads import Forget, QueueState, QueueStates
from shared.operations.station import CACHES_PATH, DATABASE_PATH, QUEUES_PATH, Station
from shared.telemetry.metrics import Metrics
from tests.integration.gateway.serving import Gateway, serving
from tests.integration.gateway.test_operators import asked, new_operator
from tests.support.database import Database

AWAY = ["archive", "scheduler", "sender"]
OWN = {"sender_url": "http://127.0.0.1:9"}


@pytest.fixture
async def alone(database: Database) -> AsyncIterator[Gateway]:
    """A gateway whose other services, and whose Redis, are away."""
    async with MemoryBus() as bus, serving(database, bus=bus, **OWN) as gateway:
        yield gateway


async def test_what_is_away_is_named_and_the_rest_is_told(alone: Gateway) -> None:
    key = await new_operator(alone)
    stats = (await asked(alone, key, "GET", "/admin/queues/stats")).body
    assert sorted(stats["unreachable"]) == AWAY
    assert {queue["queue"] for queue in stats["queues"]} == {subscription.name for subscription in SUBSCRIPTIONS}
    assert (stats["successRate"], stats["completed"]) == (1.0, 0)
    databases = (await asked(alone, key, "GET", "/admin/db/stats")).body
    assert (sorted(databases["unreachable"]), [one["service"] for one in databases["data"]]) == (AWAY, ["gateway"])
    workers = (await asked(alone, key, "GET", "/api/workers/whatsapp")).body["workers"]
    assert {worker["service"] for worker in workers if worker["status"] == "unreachable"} == set(AWAY)
    health = (await asked(alone, key, "GET", "/api/webhooks/whatsapp/health")).body
    assert (health["status"], sorted(health["unreachable"])) == ("degraded", AWAY)


async def test_caches_answer_while_redis_is_away(alone: Gateway) -> None:
    key = await new_operator(alone)
    stats = (await asked(alone, key, "GET", "/admin/cache/stats")).body
    assert "redis" not in stats
    forgotten = (await asked(alone, key, "POST", "/admin/cache/invalidate", {"all": True})).body
    assert (forgotten["entries"], sorted(forgotten["unreachable"])) == (0, [*AWAY[:1], "gateway", *AWAY[1:]])


async def test_queues_of_a_service_that_is_away_can_be_named_all_the_same(alone: Gateway) -> None:
    key = await new_operator(alone)
    answer = await asked(alone, key, "POST", "/admin/queues/restart", {"queues": ["sender.deliver"]})
    assert answer.status == 200, answer.text
    assert (await asked(alone, key, "GET", "/admin/dead-letters?queue=gateway.track")).body["total"] == 0


@asynccontextmanager
async def another_service(answers: Sequence[web.Response]) -> AsyncIterator[str]:
    """Answers so, one after the other."""
    waiting = list(answers)
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization", ""))
        return waiting.pop(0)

    app = web.Application()
    app.router.add_get(QUEUES_PATH, answer)
    app.router.add_get(DATABASE_PATH, answer)
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
    assert set(seen) <= {"Bearer internal", ""}, "the token of the services, and none for metrics where none is set"


async def test_a_service_that_answers_nonsense_counts_as_away(database: Database) -> None:
    ready = QueueStates(data=[QueueState(queue="sender.deliver", waiting=7, dead=2)]).model_dump_json()
    metrics = 'chasqui_bus_events_total{subscription="sender.deliver",outcome="done"} 30\n'
    metrics += 'chasqui_bus_events_total{subscription="sender.deliver",outcome="dead"} 10\n'
    answers = [
        web.Response(text=ready),
        web.Response(text=metrics),
        web.Response(text="nonsense"),
        web.Response(text="", status=500),
    ]
    async with (
        another_service(answers) as url,
        MemoryBus() as bus,
        serving(database, bus=bus, **{**OWN, "sender_url": url}) as gateway,
    ):
        key = await new_operator(gateway)
        good = (await asked(gateway, key, "GET", "/admin/queues/stats")).body
        bad = (await asked(gateway, key, "GET", "/admin/queues/stats")).body
    [queue] = [queue for queue in good["queues"] if queue["service"] == "sender"]
    assert {name: queue[name] for name in ("waiting", "completed", "failed", "successRate", "dead")} == {
        "waiting": 7,
        "completed": 30,
        "failed": 10,
        "successRate": 0.75,
        "dead": 2,
    }
    assert (good["waiting"], good["failed"]) == (7, 10)
    assert "sender" not in good["unreachable"]
    assert "sender" in bad["unreachable"]


PROCESSES = {"gateway": ("127.0.0.2", "127.0.0.3"), "sender": ("127.0.0.4", "127.0.0.5")}


@asynccontextmanager
async def processes(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[AllServices, dict[str, Callable[[], Awaitable[None]]]]]:
    """Two of each service behind one name, `gateway.processes` and so on; by address what ends each."""
    ends: dict[str, Callable[[], Awaitable[None]]] = {}
    port = 0

    async def forgets(_: web.Request) -> web.Response:
        return web.json_response({"entries": 1})

    async def queues(_: web.Request) -> web.Response:
        return web.json_response({"data": []})

    async with AsyncExitStack() as stack:
        for address in (address for addresses in PROCESSES.values() for address in addresses):
            app = web.Application()
            app.router.add_post(CACHES_PATH, forgets)
            app.router.add_get(QUEUES_PATH, queues)
            runner = web.AppRunner(app)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, address, port).start()
            port, ends[address] = runner.addresses[0][1], runner.cleanup

        async def looked_up(host: str, *_: object, **__: object) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in PROCESSES[host.partition(".")[0]]]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", looked_up)
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        bus = await stack.enter_async_context(MemoryBus())
        urls = {name: f"http://{name}.processes:{port}" for name in PROCESSES}
        yield AllServices(Station(bus, (), {}, ()), Metrics("gateway"), session, urls, "internal", ""), ends


async def test_the_caches_of_all_processes_forget_those_of_the_other_gateways_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with processes(monkeypatch) as (services, _):
        answers = await services.forget(Forget(all=True))
    assert {name: [one.entries for one in heard] for name, heard in answers.by_service.items()} == {
        "gateway": [1, 1],
        "sender": [1, 1],
    }
    assert answers.unreachable == []


async def test_a_process_that_is_away_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async with processes(monkeypatch) as (services, ends):
        await ends["127.0.0.4"]()
        answers, queues = await services.forget(Forget(all=True)), await services.queues()
    assert {name: len(heard) for name, heard in answers.by_service.items()} == {"gateway": 2, "sender": 1}
    assert answers.unreachable == ["sender"]
    assert (sorted(queues.by_service), queues.unreachable) == (["gateway", "sender"], []), (
        "one of a service speaks for its queues"
    )


async def test_other_gateways_may_ask_this_one(alone: Gateway) -> None:
    for token, status in (("internal", 200), ("another", 401)):
        answer = await alone.call("GET", QUEUES_PATH, Authorization=f"Bearer {token}")
        assert answer.status == status
