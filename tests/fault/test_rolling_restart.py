"""`make reload` under load: each service replaced in turn, no request fails, nothing is lost, nothing sent twice.

500 requests a second are offered, as far as the machine carries them (the rate is printed): failures are counted, not speed.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import Final

import aiohttp
import pytest
import pytest_asyncio

from local.stack import RELOAD_ORDER
from tests.fault.account import send_batch, until_books_balance
from tests.fault.conftest import Scene, open_scene
from tests.support.platform import ROOT, until
from tests.support.servers import Asking, need

pytestmark = [pytest.mark.timeout(480), pytest.mark.asyncio(loop_scope="module")]

PER_SECOND: Final = 500
READ: Final = ("/api/messages?limit=5", "/api/conversations?limit=5", "/api/schedules?limit=5")
CALLERS: Final = 32
"""Connections of the caller. While all of them wait for answers, no further request begins."""


SETTINGS: Final = {"CHASQUI_TELEMETRY__SAMPLE_RATIO": "0.01", "CHASQUI_RUN__DRAIN_NOTICE_SECONDS": "3"}
"""Notice for longer than a busy machine keeps a caller from using a connection that it holds."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, servers: Asking) -> AsyncIterator[Scene]:
    need(servers, "rabbitmq")
    async with AsyncExitStack() as stack:
        yield await open_scene(stack, tmp_path_factory.mktemp("stack"), "stack", SETTINGS)


class Traffic:
    """Requests at a constant rate, whatever becomes of them: a message, its page of the list, the conversations, the schedules.

    Nothing is tried again; what aiohttp repeats by itself, an idempotent request on a kept connection that was just closed, every
    client repeats.
    """

    def __init__(self, scene: Scene) -> None:
        self.answers: Counter[str] = Counter()
        self.accepted: list[str] = []
        self._scene = scene
        self._recipients = itertools.count(5_000_000)
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        self._stopped.set()

    async def run(self) -> None:
        headers = {"Authorization": f"Bearer {self._scene.platform.run['test_key']}"}
        async with aiohttp.ClientSession(
            self._scene.platform.run["gateway_url"],
            headers=headers,
            connector=aiohttp.TCPConnector(limit=CALLERS),
            timeout=aiohttp.ClientTimeout(total=60),
            trust_env=False,
        ) as session:
            loop = asyncio.get_running_loop()
            began = loop.time()
            numbers = itertools.count()

            async def call() -> None:
                while not self._stopped.is_set():
                    number = next(numbers)
                    await asyncio.sleep(began + number / PER_SECOND - loop.time())
                    await self._request(session, number)

            async with asyncio.TaskGroup() as group:
                for _ in range(CALLERS):
                    group.create_task(call())
        sys.stdout.write(f"{self.answers.total() / (loop.time() - began):.0f} requests a second\n")

    async def _request(self, session: aiohttp.ClientSession, number: int) -> None:
        method, path, body = (
            "GET",
            ("/api/messages?limit=5", "/api/conversations?limit=5", "/api/schedules?limit=5")[number % 3],
            None,
        )
        if number % 5 < 2:
            method, path = "POST", "/api/messages"
            body = {"to": f"+1777{next(self._recipients):07d}", "from": self._scene.number_id, "text": {"body": "hello"}}
        try:
            async with session.request(method, path, json=body) as answer:
                told = await answer.json(content_type=None)
                self.answers[f"{method} {path} {answer.status}"] += 1
                if method == "POST" and answer.status == 202:
                    self.accepted.append(told["id"])
        except (aiohttp.ClientError, TimeoutError) as error:
            self.answers[f"{method} {path} {type(error).__name__}"] += 1

    @property
    def failed(self) -> Counter[str]:
        return Counter({answer: count for answer, count in self.answers.items() if answer[-3:] not in {"200", "202"}})


async def test_every_service_replaced_in_turn_under_500_requests_a_second(scene: Scene) -> None:
    before = {name: scene.platform.process_of(name) for name in RELOAD_ORDER}
    traffic = Traffic(scene)
    async with asyncio.TaskGroup() as group:
        group.create_task(traffic.run())
        await until(lambda: len(traffic.accepted) >= PER_SECOND, "the traffic to flow")
        told = await reload(scene)
        soon = len(traffic.accepted) + PER_SECOND
        with suppress(AssertionError):  # then what was answered tells more
            await until(lambda: len(traffic.accepted) >= soon, "the traffic to go on")
        traffic.stop()
    assert told == (0, "Every service was replaced.\n", "")
    after = {name: scene.platform.process_of(name) for name in RELOAD_ORDER}
    assert all(after[name]["pid"] != before[name]["pid"] for name in RELOAD_ORDER), "each is a new process"
    assert all(after[name]["restarts"] == before[name]["restarts"] for name in RELOAD_ORDER), "none died on its way"
    assert not traffic.failed, f"of {traffic.answers.total()} requests: {dict(traffic.failed)}"
    async with scene.platform.api() as api:
        await until_books_balance(api, scene, traffic.accepted)


async def test_a_successor_that_does_not_start_replaces_nobody(scene: Scene) -> None:
    before = {name: scene.platform.process_of(name)["pid"] for name in RELOAD_ORDER}
    # Nobody is let into the database any more, those who are in it go on: a new process gives up, the others notice nothing.
    with suspended(scene.platform.pid_of("postgres")):
        code, said, faults = await reload(scene)
    assert (code, said) == (1, "")
    assert faults.startswith("archive was not replaced. The new process ended with 1; see ")
    assert before == {name: scene.platform.process_of(name)["pid"] for name in RELOAD_ORDER}
    async with scene.platform.api() as api:
        await until_books_balance(api, scene, await send_batch(api, scene, 10))


async def reload(scene: Scene) -> tuple[int | None, str, str]:
    """`make reload`: its exit code and what it said, on both outputs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "local.reload",
        cwd=ROOT,
        env={"PATH": os.defpath, "CHASQUI_LOCAL__FOLDER": str(scene.platform.folder / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    said, faults = await process.communicate()
    return process.returncode, said.decode(), faults.decode()


@contextmanager
def suspended(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
