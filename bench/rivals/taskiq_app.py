"""taskiq and aiohttp: `taskiq worker bench.rivals.taskiq_app:worker_broker`, with the broker's address in `BENCH_BROKER_URL`.

One worker process, whose loop is kept full; the other core is for the broker, the publisher and the sandbox. Its queue is a quorum
queue and its messages are acknowledged after the POST, both by default.
"""

from __future__ import annotations

import os
from typing import Any, Final

import aiohttp
from taskiq import TaskiqEvents
from taskiq_aio_pika import AioPikaBroker

TASK: Final = "bench.post"
CONCURRENCY: Final = 128
PREFETCH: Final = 256
ADDRESS: Final = "BENCH_BROKER_URL"


class Poster:
    """One session per worker, so that connections are kept."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def open(self, _: Any) -> None:
        connector = aiohttp.TCPConnector(limit=CONCURRENCY)
        self._session = aiohttp.ClientSession(connector=connector, trust_env=False)

    async def close(self, _: Any) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, url: str, token: str, body: dict[str, Any]) -> None:
        assert self._session is not None
        async with self._session.post(url, json=body, headers={"Authorization": f"Bearer {token}"}) as answer:
            await answer.read()
            answer.raise_for_status()


def make_broker(url: str) -> tuple[AioPikaBroker, Any]:
    """The broker and its task, for both sides."""
    broker = AioPikaBroker(url, qos=PREFETCH)
    poster = Poster()
    broker.add_event_handler(TaskiqEvents.WORKER_STARTUP, poster.open)
    broker.add_event_handler(TaskiqEvents.WORKER_SHUTDOWN, poster.close)

    async def post(url: str, token: str, body: dict[str, Any]) -> None:  # a method has no name that could be set
        await poster.post(url, token, body)

    return broker, broker.register_task(post, task_name=TASK)


def worker_broker() -> AioPikaBroker:
    """For the worker's command line."""
    return make_broker(os.environ[ADDRESS])[0]
