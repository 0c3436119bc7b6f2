"""The bus of a single process: RabbitMQ's semantics over bytes, and no life of its own after the process's.

Nothing is stored here. `publish` returns when every subscription has settled the batch, so the outbox row behind it stays until
then and a killed process loses nothing. An event that is dead keeps its publisher waiting, because nothing else keeps the
event: its row is tried again at the next start.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from types import TracebackType
from typing import Final, Self

from shared.bus.consumer import Inflow, work
from shared.bus.dead_letters import LOOKED_AT, DeadLetter, DeadLetters, Wanted
from shared.bus.interface import Handler, OnSettled, QueueStats, Refused, StopSignal, Subscription, Uncertain, UnknownQueue
from shared.events.codec import Batch

MAX_UNSETTLED: Final = 4096
"""Batches that are published and not settled; further publishers wait. Dead ones do not count."""


class MemoryBus:
    """A handler must not wait for what it publishes: many such waits could be for each other. The outbox does not wait."""

    def __init__(self, *, max_unsettled: int = MAX_UNSETTLED) -> None:
        self._queues: dict[str, _Queue] = {}
        self._bindings: defaultdict[str, list[_Queue]] = defaultdict(list)
        self._room = asyncio.Semaphore(max_unsettled)
        self._custodies: set[_Custody] = set()
        self._closed = False

    @property
    def is_local(self) -> bool:
        return True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Publishers still waiting get `Uncertain`."""
        self._closed = True
        for queue in self._queues.values():
            queue.close()
        for custody in tuple(self._custodies):
            custody.give_up()

    async def declare(self, subscriptions: Sequence[Subscription]) -> None:
        for subscription in subscriptions:
            queue = self._queues.setdefault(subscription.name, _Queue(subscription.name))
            for subject in subscription.subjects:
                if queue not in self._bindings[subject]:
                    self._bindings[subject].append(queue)

    async def publish(self, batch: Batch) -> None:
        queues = self._bindings.get(batch.subject)
        if not queues:
            raise Refused("no subscription")
        await self._room.acquire()
        if self._closed:
            self._room.release()
            raise Refused("the bus is closed")
        custody = _Custody(self._no_longer_live, asyncio.get_running_loop().create_future())
        self._custodies.add(custody)
        for queue in queues:
            queue.inflow.put(_Parcel(queue, custody, batch.subject, batch.body))
        await custody.settled

    async def consume(
        self, subscription: Subscription, handler: Handler, stop: StopSignal, on_settled: OnSettled | None = None
    ) -> None:
        await self.declare([subscription])
        queue = self._queues[subscription.name]
        queue.consumers += 1
        try:
            await work(subscription, handler, queue.inflow, stop, on_settled)
        finally:
            queue.consumers -= 1

    async def check(self) -> None:
        if self._closed:
            raise Refused("the bus is closed")

    async def stats(self, subscription: Subscription) -> QueueStats:
        queue = self._queues[subscription.name]
        return QueueStats(waiting=len(queue.inflow), dead=len(queue.dead), extra={"delayed": len(queue.delayed)})

    async def dead_letters(self, queue: str) -> DeadLetters:
        dead = self._queue(queue).dead
        return DeadLetters.among([grave.letter for grave in islice(dead, LOOKED_AT)], len(dead))

    async def settle_dead_letters(self, queue: str, wanted: Wanted, *, replay: bool) -> int:
        """A replayed one is its publisher's again, as before; when the last one of a batch is settled, that batch is."""
        found = self._queue(queue)
        settled = [grave for grave in islice(found.dead, LOOKED_AT) if wanted(grave.letter)]
        for grave in settled:
            custody = grave.custody
            if replay and not custody.is_live():
                await self._room.acquire()
                if custody.is_live() or grave not in found.dead:  # somebody else was faster, while there was no room
                    self._room.release()
            if grave not in found.dead:
                continue
            del found.dead[grave]
            custody.dead -= 1
            if replay:
                found.inflow.put(_Parcel(found, custody, grave.letter.subject, grave.letter.body))
            elif not custody.is_live():
                self._settle(custody)
        return len({grave.letter.letter_id for grave in settled})

    async def hurry(self) -> int:
        return sum(queue.hurry() for queue in self._queues.values())

    async def restart(self, queue: str) -> bool:
        """There is no connection that could be stale: its consumers look again whether something waits."""
        found = self._queue(queue)
        found.inflow.wake_all()
        return found.consumers > 0

    def _queue(self, name: str) -> _Queue:
        try:
            return self._queues[name]
        except KeyError:
            raise UnknownQueue(name) from None

    def _no_longer_live(self, custody: _Custody) -> None:
        self._room.release()
        self._settle(custody)

    def _settle(self, custody: _Custody) -> None:
        if not custody.dead:
            self._custodies.discard(custody)
            if not custody.settled.done():
                custody.settled.set_result(None)


@dataclass(slots=True, eq=False)
class _Queue:
    """Of one subscription; all its consumers take from the same inflow."""

    name: str
    inflow: Inflow = field(default_factory=Inflow)
    delayed: dict[_Parcel, asyncio.TimerHandle] = field(default_factory=dict)
    dead: dict[_Grave, None] = field(default_factory=dict)
    """In the order of their deaths."""
    consumers: int = 0

    def put_later(self, parcel: _Parcel, seconds: float) -> None:
        self.delayed[parcel] = asyncio.get_running_loop().call_later(seconds, self._put, parcel)

    def hurry(self) -> int:
        """Put them now; how many there were."""
        waiting = tuple(self.delayed.items())
        for parcel, timer in waiting:
            timer.cancel()
            self._put(parcel)
        return len(waiting)

    def _put(self, parcel: _Parcel) -> None:
        del self.delayed[parcel]
        self.inflow.put(parcel)

    def close(self) -> None:
        for timer in self.delayed.values():
            timer.cancel()
        self.delayed.clear()


@dataclass(slots=True, eq=False)
class _Custody:
    """Counts the parcels that a publish became; its publisher waits until all are settled."""

    on_end: Callable[[_Custody], None]
    settled: asyncio.Future[None]
    live: int = 0
    dead: int = 0

    def end(self) -> None:
        """One parcel is done with."""
        self.live -= 1
        if not self.live:
            self.on_end(self)

    def is_live(self) -> bool:
        return self.live > 0

    def give_up(self) -> None:
        if not self.settled.done():
            self.settled.set_exception(Uncertain("the bus was closed"))


@dataclass(frozen=True, slots=True, eq=False)
class _Grave:
    """A dead letter, and the publish that it was part of."""

    letter: DeadLetter
    custody: _Custody


@dataclass(slots=True, eq=False)
class _Parcel:
    """A bus message of one queue. It is a `Delivery`: in one process nothing lies between the two."""

    queue: _Queue
    custody: _Custody
    subject: str
    body: bytes
    attempt: int = 1
    is_lost: bool = False

    def __post_init__(self) -> None:
        self.custody.live += 1

    async def ack(self) -> None:
        self.custody.end()

    async def send_back(self, body: bytes, *, attempt: int, wait_seconds: int) -> None:
        self.queue.put_later(_Parcel(self.queue, self.custody, self.subject, body, attempt), wait_seconds)

    async def bury(self, body: bytes, code: str) -> None:
        letter = DeadLetter(self.queue.name, self.subject, body, code, self.attempt, datetime.now(UTC))
        self.queue.dead[_Grave(letter, self.custody)] = None
        self.custody.dead += 1

    def give_back(self) -> None:
        self.queue.inflow.put_first(self)
