"""`make stack`, each of its processes killed in turn under load: nothing lost, nothing sent twice."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import pytest_asyncio

from shared.config import RunSettings
from tests.fault.account import UNKNOWABLE, send_batch, until_books_balance
from tests.fault.conftest import Scene, open_scene
from tests.support.platform import until
from tests.support.servers import Asking, need

pytestmark = [pytest.mark.timeout(480), pytest.mark.asyncio(loop_scope="module")]

BATCH: Final = 1000
SHARE: Final = 0.3
"""The part of the batch that the sandbox has taken when the blow falls."""
TRIES: Final = 3
SERVICES: Final = ("gateway", "scheduler", "sender", "archive")
DRAIN_SECONDS: Final = RunSettings().drain_seconds


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, servers: Asking) -> AsyncIterator[Scene]:
    """One stack for all; on a broker of its own, because two tests end that."""
    need(servers, "rabbitmq")  # where this run has none, the stack would have none either
    async with AsyncExitStack() as stack:
        scene = await open_scene(stack, tmp_path_factory.mktemp("stack"), "stack")
        await scene.sandbox.patch_behaviour(latency_ms=40, latency_spread=0.3)  # so that there are always calls in flight
        yield scene


@pytest.fixture(scope="module")
def starts() -> Iterator[int]:
    """First recipients of the batches: no two share one, or the pair limit would slow them down."""
    return itertools.count(0, BATCH)


async def send_and_strike(
    scene: Scene, starts: Iterator[int], name: str, *blows: signal.Signals
) -> tuple[list[str], dict[str, Any]]:
    """Send a batch and signal a process while it is being sent; returns the messages and what the process was before.

    Where a machine stood still until all had been sent, the blow falls once more, on another batch.
    """
    ids: list[str] = []
    for _ in range(TRIES):
        await scene.platform.until_ready()
        taken_before = await scene.sandbox.taken()
        before = scene.platform.process_of(name)
        async with scene.platform.api() as api:
            ids += await send_batch(api, scene, BATCH, next(starts))

        async def under_way(enough: float = taken_before + SHARE * BATCH) -> bool:
            return await scene.sandbox.taken() >= enough

        await until(under_way, f"{SHARE:.0%} of the messages to be taken")
        for blow in blows:
            with suppress(ProcessLookupError):  # it has ended in order in the meantime
                os.kill(before["pid"], blow)
            taken = await scene.sandbox.taken() - taken_before
        if taken < BATCH:
            return ids, before
        await scene.platform.until_restarted(name, before)
    raise AssertionError("all had been sent before each blow")


async def until_gone(pid: int, seconds: float) -> None:
    await until(lambda: not Path(f"/proc/{pid}").exists(), f"process {pid} to end", seconds)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_killed_in_the_middle_of_a_thousand_sends(scene: Scene, starts: Iterator[int], service: str) -> None:
    ids, before = await send_and_strike(scene, starts, service, signal.SIGKILL)
    after = await scene.platform.until_restarted(service, before)
    assert after["exit_code"] == -signal.SIGKILL
    async with scene.platform.api() as api:
        await until_books_balance(api, scene, ids, unknowable=UNKNOWABLE if service == "sender" else 0)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_told_to_end_in_the_middle_of_a_thousand_sends(
    scene: Scene, starts: Iterator[int], service: str
) -> None:
    ids, before = await send_and_strike(scene, starts, service, signal.SIGTERM)
    await until_gone(before["pid"], 2 * DRAIN_SECONDS)  # one that drains for longer does not end with 0
    after = await scene.platform.until_restarted(service, before)
    assert after["exit_code"] == 0
    async with scene.platform.api() as api:
        await until_books_balance(api, scene, ids)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_killed_while_it_ends_in_order(scene: Scene, starts: Iterator[int], service: str) -> None:
    ids: list[str] = []
    for _ in range(TRIES):
        more, before = await send_and_strike(scene, starts, service, signal.SIGTERM, signal.SIGKILL)
        ids += more
        after = await scene.platform.until_restarted(service, before)
        if after["exit_code"] != 0:  # that one had ended before the second blow
            break
    assert after["exit_code"] == -signal.SIGKILL
    async with scene.platform.api() as api:
        await until_books_balance(api, scene, ids, unknowable=UNKNOWABLE if service == "sender" else 0)


@pytest.mark.parametrize("blow", [signal.SIGTERM, signal.SIGKILL], ids=["in order", "kill -9"])
async def test_the_broker_restarted_in_the_middle_of_a_thousand_sends(
    scene: Scene, starts: Iterator[int], blow: signal.Signals
) -> None:
    services = {name: scene.platform.pid_of(name) for name in SERVICES}
    ids, before = await send_and_strike(scene, starts, "rabbitmq", blow)
    await scene.platform.until_restarted("rabbitmq", before)
    async with scene.platform.api() as api:
        await until_books_balance(api, scene, ids)
    assert services == {name: scene.platform.pid_of(name) for name in SERVICES}, "a broker that is away ends nobody"


async def test_the_database_killed_in_the_middle_of_a_thousand_sends(scene: Scene, starts: Iterator[int]) -> None:
    services = {name: scene.platform.pid_of(name) for name in SERVICES}
    ids, before = await send_and_strike(scene, starts, "postgres", signal.SIGKILL)
    await scene.platform.until_restarted("postgres", before)
    async with scene.platform.api() as api:
        await until_books_balance(api, scene, ids)
    assert services == {name: scene.platform.pid_of(name) for name in SERVICES}, "a database that is away ends nobody"


async def test_without_the_database_the_gateway_stays_in_service_for_webhooks(scene: Scene) -> None:
    await scene.platform.until_ready()
    postgres = scene.platform.pid_of("postgres")
    ports = {name: scene.platform.process_of(name)["port"] for name in ("gateway", "archive")}
    os.kill(postgres, signal.SIGSTOP)
    workers = [int(pid) for pid in Path(f"/proc/{postgres}/task/{postgres}/children").read_text().split()]
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20), trust_env=False) as session:

            async def told(name: str) -> tuple[int, str]:
                async with session.get(f"http://127.0.0.1:{ports[name]}/ready") as answer:
                    return answer.status, (await answer.json())["status"]

            async def out_of_service() -> bool:
                return await told("archive") == (503, "unready")

            await until(out_of_service, "the archive to be unready")
            assert await told("gateway") == (200, "ready")
    finally:
        for pid in (*workers, postgres):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    await scene.platform.until_ready()


async def test_the_limits_store_killed_in_the_middle_of_a_thousand_sends(scene: Scene, starts: Iterator[int]) -> None:
    services = {name: scene.platform.pid_of(name) for name in SERVICES}
    ids, before = await send_and_strike(scene, starts, "valkey", signal.SIGKILL)
    await scene.platform.until_restarted("valkey", before)
    async with scene.platform.api() as api:
        await until_books_balance(api, scene, ids)
    assert services == {name: scene.platform.pid_of(name) for name in SERVICES}


async def test_everything_killed_at_once(scene: Scene, starts: Iterator[int]) -> None:
    ids, before = await send_and_strike(scene, starts, "sender", signal.SIGKILL)
    others = [scene.platform.process_of(name) for name in (*SERVICES, "rabbitmq", "postgres", "valkey") if name != "sender"]
    for other in others:
        os.kill(other["pid"], signal.SIGKILL)
    await asyncio.gather(*(scene.platform.until_restarted(one["name"], one) for one in (before, *others)))
    async with scene.platform.api() as api:
        await until_books_balance(api, scene, ids, unknowable=UNKNOWABLE)
