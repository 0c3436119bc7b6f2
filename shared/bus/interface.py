"""What a bus promises. Two implementations keep it (`rabbit`, `memory`), one conformance suite proves both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.bus.dead_letters import DeadLetters, Wanted
from shared.events.codec import Batch
from shared.events.event import Event

Handler = Callable[[Sequence[Event]], Awaitable[None]]
"""Takes 1..`max_events` events in the order they came. Returning settles them all; raising `Retry` or `Permanent` speaks for all
of them, `BatchFailed` for some; any other exception is a bug in one of them, so each is tried again alone. May run twice for an
event: effects must be idempotent."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a batch of events, and how long it was in hand."""

    done: int
    retried: int
    dead: int
    seconds: float


OnSettled = Callable[[Settled], None]


class BusError(Exception):
    """Base of what `publish` raises."""


class Refused(BusError):
    """The batch is surely in no queue: unroutable, or turned down by the broker."""


class UnknownQueue(BusError):
    """No subscription of that name was ever declared."""


class Uncertain(BusError):
    """The batch may be in a queue: the connection went before the answer came. Publishing again can duplicate."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed event comes back. `schedule_seconds[n]` is the wait before attempt n+2; past its end the event is dead.

    Waits are rounded up to a rung of `routing.RETRY_LADDER_SECONDS`; the broker waits, no consumer does.
    """

    schedule_seconds: tuple[float, ...]

    @property
    def attempts(self) -> int:
        return len(self.schedule_seconds) + 1


@dataclass(frozen=True, slots=True)
class Subscription:
    """One consumer group: all replicas that name it share its queue, each event goes to one of them.

    `concurrency` handlers run at once in a process; with 1, events are handled in the order they came. `prefetch` bounds the bus
    messages in hand, unacknowledged.
    """

    name: str
    events: tuple[type[Event], ...]
    retry: RetryPolicy
    concurrency: int = 1
    prefetch: int = 32
    max_events: int = 256
    """A handler gets several waiting bus messages at once, up to this many events; it never waits for more to come."""

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(event.subject() for event in self.events)


@dataclass(frozen=True, slots=True)
class QueueStats:
    """What stands in a subscription's queue: `waiting` bus messages ready, `dead` events in its dead-letter queue."""

    waiting: int
    dead: int
    extra: dict[str, int] = field(default_factory=dict)


class Bus(Protocol):
    """Publish with custody, consume at least once, in-order within a queue, retries and dead letters by policy."""

    @property
    def is_local(self) -> bool:
        """True where the bus lives and dies with this process, so nobody else can be publishing or consuming."""
        ...

    async def declare(self, subscriptions: Sequence[Subscription]) -> None:
        """Make exchange, queues and bindings. Twice is safe. Events published before a subscription is declared miss it."""
        ...

    async def publish(self, batch: Batch) -> None:
        """Return once the bus has custody: after the broker's confirm, or, in memory, once every consumer has settled it.

        Raises `Refused` (unroutable too: every subject has a consumer, or the deployment is wrong) or `Uncertain`.
        """
        ...

    async def consume(
        self, subscription: Subscription, handler: Handler, stop: StopSignal, on_settled: OnSettled | None = None
    ) -> None:
        """Feed `handler` until `stop` is set, then let handlers in hand end and return. Each batch is told to `on_settled`.

        Survives a restart of the broker. If cancelled, what was not settled comes back to another consumer.
        """
        ...

    async def check(self) -> None:
        """Readiness: it answers. Raises `BusError` where it does not."""
        ...

    async def stats(self, subscription: Subscription) -> QueueStats:
        """Depths, for health pages and tests."""
        ...

    async def dead_letters(self, queue: str) -> DeadLetters:
        """The dead letters of the subscription of that name. Raises `UnknownQueue`, or `Uncertain`."""
        ...

    async def settle_dead_letters(self, queue: str, wanted: Wanted, *, replay: bool) -> int:
        """Of those that `dead_letters` shows, throw away the wanted ones, or let them be handled again by that subscription alone,
        as in their first attempt; returns how many. A letter leaves only when the bus has custody of what it became.

        Raises `UnknownQueue`, or `Uncertain` where some may have been settled and others not; again is safe.
        """
        ...

    async def hurry(self) -> int:
        """Bring back at once what waits for another attempt; returns how many bus messages. Again is safe. Raises `BusError`."""
        ...

    async def restart(self, queue: str) -> bool:
        """Let every consumer of the subscription of that name, in whatever process, finish what it has in hand, let go of the queue
        and take it anew; False where there is none at this moment. Raises `Uncertain`.
        """
        ...


class StopSignal(Protocol):
    """The part of `asyncio.Event` that a component needs."""

    def is_set(self) -> bool: ...

    async def wait(self) -> bool: ...
