"""What the bus tests share: publishing in the background, consuming for a while, and a handler that notes what it was given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from shared.bus.interface import Bus, Handler, RetryPolicy, Subscription
from shared.events.codec import Batch, encode
from shared.events.event import Event
from tests.contract.bus.events import Happened, seq

DEADLINE_SECONDS = 60.0


def subscription(
    name: str = "test.subscription",
    *events: type[Event],
    schedule: tuple[float, ...] = (),
    concurrency: int = 1,
    prefetch: int = 32,
    max_events: int = 256,
) -> Subscription:
    """One attempt unless `schedule` says more."""
    return Subscription(name, events or (Happened,), RetryPolicy(schedule), concurrency, prefetch, max_events)


def started(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task whose end the test itself looks at."""
    return asyncio.create_task(coroutine)  # noqa: TID251


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]], seconds: float = DEADLINE_SECONDS) -> None:
    """Wait for a condition that something else brings about."""
    async with asyncio.timeout(seconds):
        while not (met if isinstance(met := condition(), bool) else await met):
            await asyncio.sleep(0.01)


class Publishing:
    """Publishes in the background, in order: in memory a publish lasts until its events are settled."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._tasks: list[asyncio.Task[None]] = []

    def events(self, events: Sequence[Event]) -> None:
        """In batches as large as they get."""
        for batch in encode(events):
            self.batch(batch)

    def singly(self, events: Sequence[Event]) -> None:
        for event in events:
            self.events([event])

    def batch(self, batch: Batch) -> None:
        self._tasks.append(started(self.bus.publish(batch)))

    async def handed_over(self) -> None:
        """Return when the bus holds all of it."""
        if self.bus.is_local:
            await asyncio.sleep(0)  # let the tasks begin
        else:
            await asyncio.gather(*self._tasks)

    @property
    def pending(self) -> int:
        return sum(not task.done() for task in self._tasks)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Recorder:
    """A handler. `react` is called first, with each call's events, and may raise or wait."""

    def __init__(self, react: Callable[[Sequence[Event]], Awaitable[None]] | None = None) -> None:
        self.calls: list[list[int]] = []
        self.subjects: list[str] = []
        self._react = react

    async def __call__(self, events: Sequence[Event]) -> None:
        self.calls.append([seq(event) for event in events])
        self.subjects.extend(event.subject() for event in events)
        if self._react is not None:
            await self._react(events)

    @property
    def seqs(self) -> list[int]:
        return [seq for call in self.calls for seq in call]

    async def has(self, count: int) -> None:
        await until(lambda: len(self.seqs) >= count)


@asynccontextmanager
async def consuming(bus: Bus, subscription: Subscription, *handlers: Handler) -> AsyncIterator[None]:
    """Each handler a consumer of its own; stopped in order at the end."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for handler in handlers:
            group.create_task(bus.consume(subscription, handler, stop))
        try:
            yield
        finally:
            stop.set()


async def settled(bus: Bus, subscription: Subscription, *, dead: int = 0) -> None:
    """Wait until nothing is ready and so many are dead."""

    async def met() -> bool:
        stats = await bus.stats(subscription)
        return stats.waiting == 0 and stats.dead == dead

    await until(met)
