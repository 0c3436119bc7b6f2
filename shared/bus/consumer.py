"""The one place that settles a delivery, for every bus: handlers never touch an acknowledgement.

What a handler raises becomes a verdict on each event, and then each delivery goes where its events' verdicts say. What goes
back or is dead is handed to the bus first, and only when the bus has custody the original is acknowledged: a crash in between
makes a duplicate, never a gap. What is cancelled gets no verdict at all: it stays unacknowledged and comes back.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from shared.bus import routing
from shared.bus.interface import BusError, Handler, OnSettled, Settled, StopSignal, Subscription
from shared.errors import BatchFailed, Permanent, Retry
from shared.events.codec import decode, packed, unpacked
from shared.events.event import Event
from shared.unavailable import is_unavailable

log = structlog.get_logger(__name__)

OUR_BUG: Final = "handler.failed"
AWAY: Final = "dependency.unavailable"
CUSTODY_PAUSE_SECONDS: Final = 1.0

Verdict = Retry | Permanent | None
"""On one event: again, never, or (None) done."""


class Delivery(Protocol):
    """A bus message in hand, and what can be done with it. Only this module calls these."""

    @property
    def subject(self) -> str: ...

    @property
    def body(self) -> bytes: ...

    @property
    def attempt(self) -> int:
        """1 the first time; what came back uncounted keeps its number."""
        ...

    @property
    def is_lost(self) -> bool:
        """True once the bus has taken it back (the connection went): it comes again, and settling it here has no effect."""
        ...

    async def ack(self) -> None:
        """Done with. No effect on a lost one."""
        ...

    async def send_back(self, body: bytes, *, attempt: int, wait_seconds: int) -> None:
        """Give the bus custody of these events until they come to this subscription again. Raises `BusError`."""
        ...

    async def bury(self, body: bytes, code: str) -> None:
        """Give the bus custody of these dead events. Raises `BusError`."""
        ...

    def give_back(self) -> None:
        """Not settled after all: it comes again, before what came after it."""
        ...


@dataclass(slots=True, eq=False)
class Entry:
    """A delivery that waits or is in hand. One that cannot be read has a `fault` and no events."""

    delivery: Delivery
    fault: Permanent | None = None
    settled: bool = False
    _events: Sequence[Event] | None = None

    @property
    def events(self) -> Sequence[Event]:
        """Decoded once, and not before somebody is there to handle them."""
        if self._events is None:
            try:
                self._events = decode(self.delivery.subject, self.delivery.body)
            except Permanent as fault:
                self.fault, self._events = fault, ()
        return self._events


class Inflow:
    """Deliveries that wait for a handler, in order. Who puts them bounds them: the broker's prefetch, memory's limit."""

    def __init__(self) -> None:
        self._waiting: deque[Entry] = deque()
        self._takers: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, delivery: Delivery) -> None:
        self._waiting.append(Entry(delivery))
        self._wake_one()

    def put_first(self, delivery: Delivery) -> None:
        self._waiting.appendleft(Entry(delivery))
        self._wake_one()

    def wake_all(self) -> None:
        """Let every taker look whether it is to stop."""
        while self._takers:
            self._wake_one()

    async def take(self, subscription: Subscription, stop: StopSignal) -> list[Entry]:
        """What waits now, at least one delivery and at most the subscription's limits; nothing once `stop` is set."""
        while not stop.is_set():
            entries = self._take_waiting(subscription.max_events, subscription.prefetch)
            if entries:
                self._wake_if_waiting()
                return entries
            taker = asyncio.get_running_loop().create_future()
            self._takers.append(taker)
            try:
                await taker
            except asyncio.CancelledError:
                self._wake_if_waiting()  # it may have been woken for what another can take
                raise
        self._wake_if_waiting()
        return []

    def _take_waiting(self, max_events: int, max_deliveries: int) -> list[Entry]:
        entries: list[Entry] = []
        events = 0
        while self._waiting and len(entries) < max_deliveries:
            entry = self._waiting[0]
            if not entry.delivery.is_lost:
                events += len(entry.events)
                if entries and events > max_events:
                    break
                entries.append(entry)
            self._waiting.popleft()
        return entries

    def _wake_if_waiting(self) -> None:
        if self._waiting:
            self._wake_one()

    def _wake_one(self) -> None:
        while self._takers:
            taker = self._takers.popleft()
            if not taker.done():
                taker.set_result(None)
                return


async def work(
    subscription: Subscription, handler: Handler, inflow: Inflow, stop: StopSignal, on_settled: OnSettled | None = None
) -> None:
    """Feed `handler` from `inflow`, `concurrency` calls at once, until `stop` is set; handlers in hand end first."""

    async def worker() -> None:
        while entries := await inflow.take(subscription, stop):
            await _Call(subscription, handler, entries, on_settled).settle()

    async def wake_on_stop() -> None:
        await stop.wait()
        inflow.wake_all()

    async with asyncio.TaskGroup() as group:
        group.create_task(wake_on_stop(), name=f"{subscription.name}.stop")
        for number in range(subscription.concurrency):
            group.create_task(worker(), name=f"{subscription.name}.{number}")


@dataclass(slots=True)
class _Call:
    """One call of the handler with what was waiting, and what becomes of it."""

    subscription: Subscription
    handler: Handler
    entries: list[Entry]
    on_settled: OnSettled | None
    done: int = 0
    retried: int = 0
    dead: int = 0
    started: float = field(default_factory=time.monotonic)

    async def settle(self) -> None:
        try:
            events = [event for entry in self.entries for event in entry.events]
            verdicts = deque(await self._judge(events)) if events else deque[Verdict]()
            for entry in self.entries:
                await self._settle(entry, [verdicts.popleft() for _ in entry.events])
                entry.settled = True
        finally:
            for entry in reversed(self.entries):
                if not entry.settled:
                    entry.delivery.give_back()
        self._tell(len(events))

    async def _judge(self, events: Sequence[Event]) -> Sequence[Verdict]:
        """Call the handler; where it fails for a reason of its own, find out for which events."""
        try:
            return await self._try(events)
        except Exception:
            log.exception("delivery.failed", subscription=self.subscription.name, events=len(events))
            if len(events) == 1:
                return [Retry(OUR_BUG)]
        verdicts: list[Verdict] = []
        for event in events:
            try:
                verdicts.extend(await self._try([event]))
            except Exception as error:  # noqa: BLE001  # said above; the others are not to suffer for it
                log.warning("event.failed", subscription=self.subscription.name, event_id=event.event_id, error=_name(error))
                verdicts.append(Retry(OUR_BUG))
            if (last := verdicts[-1]) is not None and last.code == AWAY:
                # The rest would only wait for the same dependency, one after the other.
                return verdicts + [last] * (len(events) - len(verdicts))
        return verdicts

    async def _try(self, events: Sequence[Event]) -> Sequence[Verdict]:
        """Raises only what is a bug."""
        try:
            await self.handler(events)
        except (Retry, Permanent) as failure:
            return [failure] * len(events)
        except BatchFailed as failed:
            if not failed.failures.keys() <= {event.event_id for event in events}:
                raise  # it names others than it was given: then it cannot be believed about these
            return [failed.failures.get(event.event_id) for event in events]
        except Exception as error:
            if not (is_unavailable(error) or isinstance(error, BusError)):
                raise
            log.warning("delivery.unavailable", subscription=self.subscription.name, error=_name(error))
            return [Retry(AWAY, counted=False)] * len(events)
        return [None] * len(events)

    async def _settle(self, entry: Entry, verdicts: Sequence[Verdict]) -> None:
        delivery = entry.delivery
        if entry.fault is not None:
            self.dead += 1
            log.error("delivery.unreadable", subscription=self.subscription.name, code=entry.fault.code)
            await _hand_over(delivery, [_Departure(delivery.body, dead_code=entry.fault.code)])
        elif any(verdicts):
            self.done += verdicts.count(None)
            await _hand_over(delivery, self._departures(delivery, verdicts))
        else:
            self.done += len(verdicts)
        await delivery.ack()

    def _departures(self, delivery: Delivery, verdicts: Sequence[Verdict]) -> list[_Departure]:
        """What leaves a delivery: one bus message for all that wait equally, one for each dead event."""
        again: dict[tuple[int, int], list[int]] = defaultdict(list)
        dead: list[tuple[int, str]] = []
        for index, verdict in enumerate(verdicts):
            if verdict is None:
                continue
            wait = None
            if isinstance(verdict, Retry):
                wait = routing.wait_before_next(self.subscription.retry, delivery.attempt, verdict)
                if wait is not None:
                    again[wait, delivery.attempt + verdict.counted].append(index)
            if wait is None:
                dead.append((index, verdict.code))
        self.dead += len(dead)
        self.retried += sum(len(indexes) for indexes in again.values())
        return [
            *(_Departure(_part(delivery.body, indexes, verdicts), wait, attempt) for (wait, attempt), indexes in again.items()),
            *(_Departure(_part(delivery.body, [index], verdicts), dead_code=code) for index, code in dead),
        ]

    def _tell(self, events: int) -> None:
        seconds = time.monotonic() - self.started
        if self.on_settled is not None:
            self.on_settled(Settled(self.done, self.retried, self.dead, seconds))
        log.info(
            "delivery.settled",
            subscription=self.subscription.name,
            events=events,
            outcome="dead" if self.dead else "retried" if self.retried else "done",
            retried=self.retried,
            dead=self.dead,
            duration_ms=round(seconds * 1000, 3),
        )


@dataclass(frozen=True, slots=True)
class _Departure:
    """Events that leave a delivery: to come again as `attempt` in `wait_seconds`, or dead under `dead_code`."""

    body: bytes
    wait_seconds: int = 0
    attempt: int = 1
    dead_code: str | None = None


def _part(body: bytes, indexes: Sequence[int], verdicts: Sequence[Verdict]) -> bytes:
    """The events at `indexes`, as they came: what a newer publisher told and this process does not know must not get lost."""
    if len(indexes) == len(verdicts):
        return body
    events = json.loads(unpacked(body))
    return packed(json.dumps([events[index] for index in indexes], ensure_ascii=False, separators=(",", ":")).encode())


async def _hand_over(delivery: Delivery, departures: Sequence[_Departure]) -> None:
    """Return when the bus has custody of them all, or has taken the delivery itself back."""

    async def hand_over(departure: _Departure) -> None:
        while not delivery.is_lost:
            try:
                if departure.dead_code is not None:
                    await delivery.bury(departure.body, departure.dead_code)
                else:
                    await delivery.send_back(departure.body, attempt=departure.attempt, wait_seconds=departure.wait_seconds)
            except BusError as error:
                # Nowhere to put it but here: holding the slot is what slows the consumer down until the broker takes it.
                log.warning("delivery.no_custody", error=_name(error))
                await asyncio.sleep(CUSTODY_PAUSE_SECONDS)
            else:
                return

    async with asyncio.TaskGroup() as group:
        for departure in departures:
            group.create_task(hand_over(departure), name="hand_over")


def _name(error: BaseException) -> str:
    """A foreign exception's class: its text may quote what must not be logged."""
    return type(error).__name__
