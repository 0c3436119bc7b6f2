"""Webhooks out: batched, signed, and tried again until they are answered with 200, as Meta does.

A receiver that is away holds back its own updates only, within `backlog`; with several POSTs in flight order is not promised,
and a batch may come twice when its answer is lost. Source: Meta, webhooks, delivery rules, read 2026-09.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import structlog

from services.sandbox.domain.updates import MAX_BYTES, MAX_UPDATES, Update, payload, size_bound
from services.sandbox.domain.wire import sign
from services.sandbox.numbers import Number
from shared.bus.interface import StopSignal
from shared.clock import Clock
from shared.run import Stage

log = structlog.get_logger(__name__)

POST_SECONDS: Final = 10.0
BACKOFF_FIRST_SECONDS: Final = 0.2
BACKOFF_LONGEST_SECONDS: Final = 10.0
STOP_SECONDS: Final = 1.0
"""What POSTs in flight get to end in when the sandbox stops."""


@dataclass(eq=False, slots=True)
class _Receiver:
    """One callback URL with its secret, and the updates that wait for it."""

    url: str
    app_secret: bytes
    waiting: deque[Update] = field(default_factory=deque)
    in_flight: int = 0
    is_failing: bool = False

    def take_batch(self) -> list[Update]:
        batch: list[Update] = []
        size = 0
        while self.waiting and len(batch) < MAX_UPDATES:
            size += size_bound(self.waiting[0])
            if batch and size > MAX_BYTES:
                break
            batch.append(self.waiting.popleft())
        return batch


@dataclass(slots=True)
class WebhookCounts:
    """Since the start: `posts` counts every try, `retries` those after the first, `repeats` those after a success; the rest are
    updates."""

    posts: int = 0
    retries: int = 0
    repeats: int = 0
    delivered: int = 0
    dropped: int = 0


class WebhookSender:
    """A component: updates given to `send` leave at once while it runs, and wait while it does not."""

    name = "sandbox.webhooks"
    stage = Stage.RELAY

    def __init__(
        self, session: aiohttp.ClientSession, clock: Clock, *, concurrency: int, retry_seconds: float, backlog: int
    ) -> None:
        self._session = session
        self._clock = clock
        self._concurrency = concurrency
        self._retry_seconds = retry_seconds
        self._backlog = backlog
        self._receivers: dict[tuple[str, bytes], _Receiver] = {}
        self._group: asyncio.TaskGroup | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._stop: StopSignal = asyncio.Event()
        self._repeat_share = 0.0
        self._chance = random.Random()  # noqa: S311  # repeats are drawn, not secrets
        self.pending = 0
        """Updates that wait or are in flight."""
        self.counts = WebhookCounts()

    def repeat(self, share: float, chance: random.Random) -> None:
        """Post again this share of what was answered with 200 already."""
        self._repeat_share = share
        self._chance = chance

    def send(self, number: Number, update: Update) -> None:
        """Send `update` to the number's callback URL. Beyond the backlog it is dropped and counted."""
        if self.pending >= self._backlog:
            if self.counts.dropped == 0:
                log.warning("webhooks.backlog_full", updates=self.pending)
            self.counts.dropped += 1
            return
        key = (number.spec.webhook_url, number.app_secret)
        receiver = self._receivers.get(key)
        if receiver is None:
            receiver = self._receivers[key] = _Receiver(*key)
        receiver.waiting.append(update)
        self.pending += 1
        if self._group is not None and receiver.in_flight < self._concurrency:
            self._start_pump(receiver)

    async def run(self, stop: StopSignal) -> None:
        """Send until `stop`; POSTs in flight then have a moment to end, what waits is lost: the sandbox keeps nothing."""
        self._stop = stop
        async with asyncio.TaskGroup() as group:
            self._group = group
            for receiver in list(self._receivers.values()):
                self._start_pump(receiver)
            await stop.wait()
            self._group = None
            if self._pumps:
                _, late = await asyncio.wait(self._pumps, timeout=STOP_SECONDS)
                for pump in late:
                    pump.cancel()
        if self.pending:
            log.warning("webhooks.abandoned", updates=self.pending)

    def _start_pump(self, receiver: _Receiver) -> None:
        if self._group is None:
            return
        receiver.in_flight += 1
        pump = self._group.create_task(self._pump(receiver), name="sandbox.webhooks.pump")
        self._pumps.add(pump)
        pump.add_done_callback(self._pumps.discard)

    async def _pump(self, receiver: _Receiver) -> None:
        """Batches of what waits, one after the other, until nothing does."""
        try:
            while receiver.waiting and not self._stop.is_set():
                await self._deliver(receiver, receiver.take_batch())
        finally:
            receiver.in_flight -= 1
            if not receiver.waiting and receiver.in_flight == 0:
                self._receivers.pop((receiver.url, receiver.app_secret), None)

    async def _deliver(self, receiver: _Receiver, batch: list[Update]) -> None:
        body = payload(batch)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "facebookexternalua",
            "X-Hub-Signature-256": sign(receiver.app_secret, body),
        }
        give_up_at = self._clock.monotonic() + self._retry_seconds
        wait = BACKOFF_FIRST_SECONDS
        while True:
            self.counts.posts += 1
            status = await self._post(receiver.url, body, headers)
            if status == 200:
                if receiver.is_failing:
                    receiver.is_failing = False
                    log.info("webhooks.receiver_back", pending=self.pending)
                self.counts.delivered += len(batch)
                self.pending -= len(batch)
                if self._repeat_share and self._chance.random() < self._repeat_share:
                    self.counts.posts += 1
                    self.counts.repeats += 1
                    await self._post(receiver.url, body, headers)
                return
            if not receiver.is_failing:
                receiver.is_failing = True
                log.warning("webhooks.receiver_failing", status=status, updates=len(batch))
            if self._clock.monotonic() + wait > give_up_at:
                log.warning("webhooks.given_up", status=status, updates=len(batch))
                self.counts.dropped += len(batch)
                self.pending -= len(batch)
                return
            if await self._stopped_within(wait):
                return
            wait = min(2 * wait, BACKOFF_LONGEST_SECONDS)
            self.counts.retries += 1

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> int | None:
        """The HTTP status of the answer; None where none came."""
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return False
        return True


async def verify(session: aiohttp.ClientSession, number: Number, challenge: str) -> bool:
    """Meta's handshake: the callback must answer 200 with exactly the challenge when the verify token is its own."""
    query = {
        "hub.mode": "subscribe",
        "hub.challenge": challenge,
        "hub.verify_token": number.spec.verify_token.get_secret_value(),
    }
    try:
        async with session.get(number.spec.webhook_url, params=query, allow_redirects=False) as response:
            return response.status == 200 and await response.text() == challenge
    except (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError):
        return False
