"""Many concurrent callers, one statement: group commit for whatever is cheaper in bulk."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from shared.bus.interface import StopSignal
from shared.run import Stage

Item = TypeVar("Item")
Result = TypeVar("Result")


class Full(Exception):
    """Too many items wait already, or nobody flushes them any more; the caller should turn its own caller away."""


class Batcher(Generic[Item, Result]):
    """Gathers what is submitted while a flush runs and flushes it next, in order, at most `max_items` at a time.

    It never waits for company: a lone item leaves at once. `flush` returns one result per item, in order; what it raises, every
    submitter of that flush gets. An item whose submitter was cancelled is flushed all the same. As a component it serves until
    `stop` and then flushes what is left.
    """

    stage = Stage.WORK

    def __init__(
        self,
        name: str,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        max_items: int = 256,
        max_waiting: int = 10_000,
        concurrency: int = 1,
    ) -> None:
        self.name = name
        self._flush = flush
        self._max_items = max_items
        self._max_waiting = max_waiting
        self._concurrency = concurrency
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._wake = asyncio.Event()
        self._ended = False

    async def submit(self, item: Item) -> Result:
        """The item's result, once its flush has ended. Raises `Full`, or what the flush raised."""
        if self._ended or len(self._waiting) >= self._max_waiting:
            raise Full(self.name)
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._wake.set()
        return await future

    async def run(self, stop: StopSignal) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                workers = [
                    group.create_task(self._work(stop), name=f"{self.name}.{number}") for number in range(self._concurrency)
                ]
                await stop.wait()
                self._wake.set()
                await asyncio.wait(workers)
        finally:
            self._ended = True
            for _, future in self._waiting:  # none, unless we were cancelled
                future.cancel()

    async def _work(self, stop: StopSignal) -> None:
        while True:
            if not self._waiting:
                if stop.is_set():
                    self._wake.set()  # for the other workers
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            taken = [self._waiting.popleft() for _ in range(min(self._max_items, len(self._waiting)))]
            await self._flush_taken(taken)

    async def _flush_taken(self, taken: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._flush([item for item, _ in taken])
        except Exception as error:  # noqa: BLE001  # handed to the submitters, who know what it means
            for _, future in taken:
                if not future.done():
                    future.set_exception(error)
        except BaseException:
            for _, future in taken:
                future.cancel()
            raise
        else:
            for (_, future), result in zip(taken, results, strict=True):
                if not future.done():
                    future.set_result(result)
