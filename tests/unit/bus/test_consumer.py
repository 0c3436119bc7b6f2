"""What a handler raised, as what is done to each delivery, on a bus that only notes it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import aiohttp
import asyncpg
import pytest
import redis.exceptions
from structlog.testing import capture_logs

from shared.bus import consumer
from shared.bus.consumer import Inflow, work
from shared.bus.interface import Refused, RetryPolicy, Subscription, Uncertain
from shared.errors import BatchFailed, Permanent, Retry
from shared.events.codec import encode, unpacked
from shared.events.event import Event
from shared.ids import EventId
from tests.contract.bus.events import Happened, happened, seq
from tests.contract.bus.harness import started

SUBSCRIPTION = Subscription("test.unit", (Happened,), RetryPolicy((1, 5)))


@dataclass
class NotedDelivery:
    """Notes what is done to it, in order. `faults` are raised first, one for each attempt to give the bus custody."""

    body: bytes
    attempt: int = 1
    subject: str = "test.happened.v1"
    is_lost: bool = False
    done: list[object] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)

    async def ack(self) -> None:
        self.done.append("ack")

    async def send_back(self, body: bytes, *, attempt: int, wait_seconds: int) -> None:
        self._fail()
        self.done.append(("back", seqs(body), attempt, wait_seconds))

    async def bury(self, body: bytes, code: str) -> None:
        self._fail()
        self.done.append(("dead", seqs(body), code))

    def give_back(self) -> None:
        self.done.append("given back")

    def _fail(self) -> None:
        if self.faults:
            raise self.faults.pop(0)


def seqs(body: bytes) -> list[int]:
    return [event["seq"] for event in json.loads(unpacked(body))]


def delivery(*numbers: int, attempt: int = 1) -> NotedDelivery:
    return NotedDelivery(encode(happened(numbers))[0].body, attempt)


async def handled(handler: Callable[[Sequence[Event]], Awaitable[None]], *deliveries: NotedDelivery) -> None:
    """Let a consumer settle them all."""
    inflow, stop = Inflow(), asyncio.Event()
    for item in deliveries:
        inflow.put(item)
    async with asyncio.TaskGroup() as group:
        group.create_task(work(SUBSCRIPTION, handler, inflow, stop))
        async with asyncio.timeout(60):
            while not all(item.done and item.done[-1] == "ack" for item in deliveries):
                await asyncio.sleep(0)
        stop.set()


def raising(error: Exception) -> Callable[[Sequence[Event]], Awaitable[None]]:
    async def handler(events: Sequence[Event]) -> None:
        raise error

    return handler


async def test_success_is_one_acknowledgement_each() -> None:
    one, two = delivery(1, 2), delivery(3)
    calls: list[list[int]] = []

    async def handler(events: Sequence[Event]) -> None:
        calls.append([seq(event) for event in events])

    await handled(handler, one, two)
    assert calls == [[1, 2, 3]]
    assert one.done == two.done == ["ack"]


async def test_deliveries_of_one_call_keep_their_own_attempt_count() -> None:
    first, second, third = delivery(1), delivery(2, attempt=2), delivery(3, 4, attempt=3)
    await handled(raising(Retry("test.later")), first, second, third)
    assert first.done == [("back", [1], 2, 1), "ack"]
    assert second.done == [("back", [2], 3, 5), "ack"]
    assert third.done == [("dead", [3], "test.later"), ("dead", [4], "test.later"), "ack"]


async def test_events_of_a_delivery_go_where_each_belongs_and_only_then_it_is_acknowledged() -> None:
    item = delivery(*range(6))

    async def handler(events: Sequence[Event]) -> None:
        ids = [event.event_id for event in events]
        raise BatchFailed(
            {
                ids[0]: Retry("test.later"),
                ids[2]: Retry("test.later", after=20),
                ids[3]: Permanent("test.never"),
                ids[4]: Retry("test.later"),
                ids[5]: Retry("test.away", counted=False),
            }
        )

    await handled(handler, item)
    assert item.done[-1] == "ack"
    expected = [("back", [0, 4], 2, 1), ("back", [2], 2, 30), ("back", [5], 1, 1), ("dead", [3], "test.never")]
    assert sorted(map(repr, item.done[:-1])) == sorted(map(repr, expected))


async def test_what_this_process_does_not_know_of_an_event_goes_back_with_it() -> None:
    events = json.loads(unpacked(encode(happened([1, 2]))[0].body))
    for event in events:
        event["news"] = {"big": 2**70, "text": "ñandú"}
    item = NotedDelivery(json.dumps(events).encode())
    kept: list[bytes] = []

    async def keep(body: bytes, *, attempt: int, wait_seconds: int) -> None:
        kept.append(body)

    item.send_back = keep  # type: ignore[method-assign]

    async def handler(events: Sequence[Event]) -> None:
        raise BatchFailed({events[1].event_id: Retry("test.later")})

    await handled(handler, item)
    assert json.loads(kept[0]) == events[1:]


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.CannotConnectNowError("starting"),
        asyncpg.TooManyConnectionsError("full"),
        asyncpg.ReadOnlySQLTransactionError("replica"),
        asyncpg.InterfaceError("connection is closed"),
        ConnectionRefusedError(),
        TimeoutError(),
        redis.exceptions.ConnectionError(),
        redis.exceptions.TimeoutError(),
        aiohttp.ClientConnectionError(),
        Uncertain("broker"),
        ExceptionGroup("both", [TimeoutError(), ConnectionResetError()]),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_who_is_away_is_waited_for_without_counting(error: Exception) -> None:
    item = delivery(1, 2, attempt=3)
    await handled(raising(error), item)
    assert item.done == [("back", [1, 2], 3, 1), "ack"]


async def test_a_bug_is_logged_once_and_each_event_tried_alone() -> None:
    item = delivery(*range(5))
    calls: list[list[int]] = []

    async def handler(events: Sequence[Event]) -> None:
        calls.append([seq(event) for event in events])
        if any(seq(event) in (1, 3) for event in events):
            raise KeyError("secret text")

    with capture_logs() as logs:
        await handled(handler, item)
    assert calls == [[0, 1, 2, 3, 4], [0], [1], [2], [3], [4]]
    assert item.done == [("back", [1, 3], 2, 1), "ack"]
    assert [line["event"] for line in logs].count("delivery.failed") == 1
    [settled] = [line for line in logs if line["event"] == "delivery.settled"]
    assert (settled["events"], settled["outcome"], settled["retried"], settled["dead"]) == (5, "retried", 2, 0)


async def test_a_bug_with_one_event_is_not_tried_twice_at_once() -> None:
    item, calls = delivery(1, attempt=3), list[int]()

    async def handler(events: Sequence[Event]) -> None:
        calls.append(1)
        raise KeyError

    await handled(handler, item)
    assert len(calls) == 1
    assert item.done == [("dead", [1], consumer.OUR_BUG), "ack"]


async def test_events_tried_alone_do_not_each_wait_for_who_is_away() -> None:
    item = delivery(*range(100))
    calls = 0

    async def handler(events: Sequence[Event]) -> None:
        nonlocal calls
        calls += 1
        if len(events) > 1:
            raise KeyError
        if seq(events[0]) >= 2:
            raise TimeoutError

    await handled(handler, item)
    assert calls == 4
    assert item.done == [("back", list(range(2, 100)), 1, 1), "ack"]


async def test_a_handler_that_blames_events_it_was_not_given_is_not_believed() -> None:
    item = delivery(1, 2)
    await handled(raising(BatchFailed({EventId("evt_other"): Permanent("test.never")})), item)
    assert item.done == [("back", [1, 2], 2, 1), "ack"]


async def test_without_custody_there_is_no_acknowledgement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "CUSTODY_PAUSE_SECONDS", 0)
    item = delivery(1)
    item.faults = [Refused("blocked"), Uncertain("lost")]
    await handled(raising(Retry("test.later")), item)
    assert item.done == [("back", [1], 2, 1), "ack"]


async def test_a_lost_delivery_is_left_to_the_bus() -> None:
    lost, item = delivery(1), delivery(2)
    lost.is_lost = True
    seen: list[int] = []

    async def handler(events: Sequence[Event]) -> None:
        seen.extend(seq(event) for event in events)

    inflow, stop = Inflow(), asyncio.Event()
    inflow.put(lost)
    inflow.put(item)
    async with asyncio.TaskGroup() as group:
        group.create_task(work(SUBSCRIPTION, handler, inflow, stop))
        while not item.done:
            await asyncio.sleep(0)
        stop.set()
    assert seen == [2]
    assert lost.done == []


async def test_cancelled_in_mid_handler_nothing_is_settled() -> None:
    item, begun, stop = delivery(1), asyncio.Event(), asyncio.Event()

    async def handler(events: Sequence[Event]) -> None:
        begun.set()
        await stop.wait()

    inflow = Inflow()
    inflow.put(item)
    task = started(work(SUBSCRIPTION, handler, inflow, stop))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert item.done == ["given back"]
