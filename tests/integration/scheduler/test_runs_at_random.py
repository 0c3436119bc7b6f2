"""Runs through whatever can happen in whatever order: pages and answers twice, late and side by side, pauses, resumes and cancels,
handlers that die before their commit. Each recipient ends once, nobody is sent to twice, and the counts are those of the rows."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import pytest

from services.scheduler import conclude, dispatch, expand, hold, release
from services.scheduler.domain.run import FailureStop, Pacing
from shared.bus.outbox import Outbox, Unit
from shared.db.pool import Pool
from shared.events.catalogue import (
    AudienceFound,
    AudienceWanted,
    MessageAccepted,
    MessageCanceled,
    MessageReleased,
    MessageRequested,
    MessageRequestRefused,
    MessageSent,
    MessageUnsettled,
    RunReported,
)
from shared.events.event import Event
from shared.events.values import DeliveryStatus, Recipient
from shared.telemetry.metrics import Metrics
from tests.integration.scheduler.runs_scene import (
    accept,
    cancel,
    counted,
    opened,
    page,
    pause,
    recipient,
    refuse,
    resume,
    state_of,
)
from tests.integration.scheduler.telling import connect, nothing, now, outcome
from tests.support.told import told

PEOPLE: Final = 60
PAGE: Final = 12
STEPS: Final = 120
STOP: Final = FailureStop(rate=0.3, after=10)
FINAL: Final = ("sent", "failed", "rejected", "canceled", "expired", "suppressed", "unknown")


class DiedError(Exception):
    """A process ended before its transaction did."""


class World:
    """The gateway and the sender, who answer what they are told: sometimes twice, sometimes late, in any order."""

    def __init__(self, outbox: Outbox, pool: Pool, chance: random.Random) -> None:
        self.outbox, self.pool, self.chance = outbox, pool, chance
        self.waiting: list[Event] = []
        """Events that are on their way to the scheduler."""
        self.requested: dict[str, MessageRequested] = {}
        self.stored: set[str] = set()
        self.sent: Counter[tuple[str, str]] = Counter()
        """By run and phone number: what the provider took."""
        self.attempts: dict[tuple[str, int], Event] = {}
        self.canceled: set[str] = set()
        self.ends: dict[tuple[str, int], tuple[str, str | None]] = {}
        self.audiences: dict[str, list[Recipient]] = {}

    async def answer(self) -> None:
        """Hear what was told, each once or twice, and answer some time."""
        events = list(await told(self.pool))
        for event in events:
            if isinstance(event, MessageRequested):
                assert event.message_id not in self.requested, "no message is asked for twice"
                self.requested[event.message_id] = event
            if isinstance(event, MessageCanceled):
                self.canceled.add(event.message_id)
            for _ in range(self.chance.choice((1, 1, 1, 2))):
                self.waiting += self._answers(event)

    def _answers(self, event: Event) -> Sequence[Event]:
        match event:
            case AudienceWanted():
                return [self._found(event)]
            case MessageRequested():
                return self._stored(event)
            case MessageReleased():
                return self._tried(event)
        return []

    def _found(self, event: AudienceWanted) -> AudienceFound:
        people = self.audiences[event.run_id]
        start = int(event.cursor or 0)
        end = start + PAGE
        return page(event.run_id, event.page, people[start:end], str(end) if end < len(people) else None)

    def _stored(self, event: MessageRequested) -> Sequence[Event]:
        if event.message_id in self.stored:
            return []
        if self.chance.random() < 0.05:
            return [refuse(event)]
        self.stored.add(event.message_id)
        return [accept(event)]

    def _tried(self, event: MessageReleased) -> Sequence[Event]:
        assert event.message_id not in self.canceled, "what was told as canceled does not leave"
        key = (event.message_id, event.attempt)
        if key in self.attempts:  # told again: answered again, and sent no more
            return [self.attempts[key]]
        kind = self.chance.choice(("sent", "sent", "sent", "failed", "deferred", "unsettled"))
        answer = outcome(kind, event)
        request = self.requested[event.message_id]
        told: list[Event] = [answer]
        if isinstance(answer, MessageUnsettled):
            answer = outcome("sent", event)
            told.append(answer)
        if isinstance(answer, MessageSent):
            self.sent[request.run_id, request.to] += 1
            told.append(
                RunReported(
                    tenant_id=event.tenant_id,
                    run_id=request.run_id,
                    message_id=event.message_id,
                    status=self.chance.choice(list(DeliveryStatus)),
                    status_at=now(),
                )
            )
        self.attempts[key] = answer
        return told

    async def deliver(self, *, most: int) -> None:
        """Some of what is on its way arrives, and some of that arrives again later."""
        self.chance.shuffle(self.waiting)
        arriving = [self.waiting.pop() for _ in range(min(most, len(self.waiting)))]
        self.waiting += [event for event in arriving if self.chance.random() < 0.1]
        by_kind: defaultdict[type, list[Event]] = defaultdict(list)
        for event in arriving:
            by_kind[type(event)].append(event)
        await asyncio.gather(*(self._handle(kind, events) for kind, events in by_kind.items()))

    async def _handle(self, kind: type, events: Sequence[Event]) -> None:
        handlers: dict[type, Callable[[Sequence[Event]], Awaitable[None]]] = {
            AudienceFound: lambda e: expand.expand(self.outbox, e, now()),  # type: ignore[arg-type]  # all of the one kind
            MessageAccepted: lambda e: hold.hold(self.outbox, e, nothing),  # type: ignore[arg-type]  # of the one kind
            MessageRequestRefused: lambda e: conclude.refuse(self.outbox, e),  # type: ignore[arg-type]  # of the one kind
            RunReported: lambda e: conclude.report(self.outbox, e),  # type: ignore[arg-type]  # of the one kind
        }
        await handlers.get(kind, lambda e: hold.settle(self.outbox, e, nothing))(events)

    async def check(self) -> None:
        """What holds at every moment."""
        rows = await self.pool.fetch("SELECT run_id, position, phone, state, message_id FROM recipients")
        for row in rows:
            key = (row["run_id"], row["position"])
            if row["state"] in FINAL:
                end = (row["state"], row["message_id"])
                assert self.ends.setdefault(key, end) == end, "who has ended stays so"
            else:
                assert key not in self.ends
        for run_id in self.audiences:
            await counted(self.pool, run_id)
        assert not self.sent or max(self.sent.values()) == 1, "nobody is sent to twice"


class Dying(Outbox):
    """Of a process that dies before any of its transactions is committed."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Unit]:
        async with super().transaction() as unit:
            yield unit
            raise DiedError


async def dying(outbox: Outbox, work: Callable[[Outbox], Awaitable[object]]) -> None:
    with suppress(DiedError):
        await work(Dying(outbox._pool, outbox._bus, Metrics("scheduler")))


async def tick(outbox: Outbox) -> None:
    """The clockwork, two replicas of it side by side."""
    for work in (dispatch.dispatch, dispatch.fold, release.release_due, release.expire):
        await asyncio.gather(work(outbox), work(outbox))


async def open_runs(world: World, outbox: Outbox) -> None:
    """Three, of sixty people of whom ten are found twice, and some with a fault."""
    for number, terms in enumerate(({}, {"pacing": Pacing(messages_per_minute=60_000)}, {"failure_stop": STOP})):
        people = [
            recipient(n % 50, **({"fault": "variable.missing", "content": None} if n % 17 == 3 else {})) for n in range(PEOPLE)
        ]
        world.audiences[await opened(outbox, owner=f"cmp_{number}", **terms)] = people


async def disturb(world: World, run_id: str) -> None:
    """Something happens."""
    outbox, chance = world.outbox, world.chance
    match chance.randrange(16):
        case 0:
            await pause(outbox, run_id)
        case 1 | 2 | 3:
            await asyncio.gather(resume(outbox, run_id), world.deliver(most=20))
        case 5:
            await dying(outbox, chance.choice([dispatch.dispatch, dispatch.fold, release.release_due]))
        case 6:
            await world.pool.execute("UPDATE runs SET ask_at = now()")
            await expand.ask_again(outbox)
        case 7:
            await asyncio.gather(pause(outbox, run_id), world.deliver(most=20), release.release_due(outbox))
        case 8 | 9 | 10:
            await tick(outbox)
        case _:
            await world.deliver(most=30)


async def let_end(world: World) -> None:
    """Nothing happens any more but what must."""
    async with asyncio.timeout(90):
        while world.waiting or not await world.pool.fetchval("SELECT bool_and(state IN ('ended', 'canceled')) FROM runs"):
            await resume(world.outbox, *world.audiences)
            await world.pool.execute("UPDATE runs SET tend_at = now() WHERE tend_at < 'infinity'")  # a minute later
            await tick(world.outbox)
            await world.answer()
            await world.deliver(most=1_000)


@pytest.mark.parametrize("seed", range(6))
async def test_each_recipient_ends_once_whatever_happens(seed: int, outbox: Outbox, pool: Pool) -> None:
    chance = random.Random(seed)  # noqa: S311  # the same mixture every time
    world = World(outbox, pool, chance)
    await connect(outbox, rate=1_000)
    await open_runs(world, outbox)
    first, *others = world.audiences
    for step in range(STEPS):
        await world.answer()
        await disturb(world, chance.choice([first, *others]))
        if step > STEPS // 2 and chance.random() < 0.03:
            run_id = chance.choice(others)
            await asyncio.gather(cancel(outbox, run_id), world.deliver(most=20), dispatch.dispatch(outbox), tick(outbox))
        if step % 4 == 0:
            await world.check()
    await let_end(world)
    await world.check()
    for run_id in world.audiences:
        found = await counted(pool, run_id)
        assert (found.pending, found.requested) == (0, 0)
        assert (found.total, found.duplicates) in {(50, 10), (0, 0)} or await state_of(pool, run_id) == "canceled"
        rows = await pool.fetch("SELECT phone FROM recipients WHERE run_id = $1 AND state = 'sent'", run_id)
        taken = {phone for run, phone in world.sent if run == run_id}
        assert {row["phone"] for row in rows} == taken, "the ledger says what the provider took"
    assert await pool.fetchval("SELECT count(*) FROM holds") == 0
