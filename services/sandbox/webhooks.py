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
from services.sandbox.timers import Timers
from shared.bus.interface import StopSignal
from shared.clock import Clock
from shared.run import Stage

log = structlog.get_logger(__name__)

POST_SECONDS: Final = 10.0
BACKOFF_FIRST_SECONDS: Final = 0.2
BACKOFF_LONGEST_SECONDS: Final = 10.0
META_WAITS_SECONDS: Final = (0.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 21_600.0)
"""Meta says "immediately, then with decreasing frequency": the last wait comes again until `META_SECONDS` are over."""
META_SECONDS: Final = 7 * 86_400.0
STOP_SECONDS: Final = 1.0
"""What POSTs in flight get to end in when the sandbox stops."""


@dataclass(eq=False, slots=True)
class _Post:
    """A POST with `count` updates, first tried at `began` (monotonic seconds)."""

    key: tuple[str, bytes]
    body: bytes
    headers: dict[str, str]
    count: int
    began: float
    failures: int = 0


@dataclass(eq=False, slots=True)
class _Receiver:
    """One callback URL with its secret, and the updates that wait for it."""

    url: str
    app_secret: bytes
    waiting: deque[Update] = field(default_factory=deque)
    again: deque[_Post] = field(default_factory=deque)
    """POSTs that failed and are due."""
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
        self._time_scale: float | None = None
        self._later: Timers[_Post] = Timers(self._bring_back)
        self._repeat_share = 0.0
        self._chance = random.Random()  # noqa: S311  # repeats are drawn, not secrets
        self.pending = 0
        """Updates that wait or are in flight."""
        self.counts = WebhookCounts()

    def repeat(self, share: float, chance: random.Random) -> None:
        """Post again this share of what was answered with 200 already."""
        self._repeat_share = share
        self._chance = chance

    def slow_down(self, time_scale: float | None) -> None:
        """Try again as Meta does, so many times faster; None: quickly. What waits for its next try already goes on waiting."""
        self._time_scale = time_scale

    def send(self, number: Number, update: Update) -> None:
        """Send `update` to the number's callback URL, if it has one. Beyond the backlog it is dropped and counted."""
        url = number.callback_url
        if url is None:
            return
        if self.pending >= self._backlog:
            if self.counts.dropped == 0:
                log.warning("webhooks.backlog_full", updates=self.pending)
            self.counts.dropped += 1
            return
        key = (url, number.app_secret)
        receiver = self._receivers.get(key)
        if receiver is None:
            receiver = self._receivers[key] = _Receiver(*key)
        receiver.waiting.append(update)
        self.pending += 1
        if self._group is not None and receiver.in_flight < self._concurrency:
            self._start_pump(receiver)

    def _bring_back(self, posts: list[_Post]) -> None:
        """Their next try is due."""
        for post in posts:
            receiver = self._receivers.get(post.key)
            if receiver is None:
                receiver = self._receivers[post.key] = _Receiver(*post.key)
            receiver.again.append(post)
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
        self._later.close()
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
            while (receiver.again or receiver.waiting) and not self._stop.is_set():
                await self._deliver(receiver, receiver.again.popleft() if receiver.again else self._written(receiver))
        finally:
            receiver.in_flight -= 1
            if not (receiver.waiting or receiver.again) and receiver.in_flight == 0:
                self._receivers.pop((receiver.url, receiver.app_secret), None)

    def _written(self, receiver: _Receiver) -> _Post:
        """The next batch."""
        batch = receiver.take_batch()
        body = payload(batch)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "facebookexternalua",
            "X-Hub-Signature-256": sign(receiver.app_secret, body),
        }
        return _Post((receiver.url, receiver.app_secret), body, headers, len(batch), self._clock.monotonic())

    async def _deliver(self, receiver: _Receiver, post: _Post) -> None:
        """Try until it is answered with 200; where tries come as Meta's do, once, and the next one is put on the wheel."""
        while True:
            self.counts.posts += 1
            if post.failures:
                self.counts.retries += 1
            status = await self._post(receiver.url, post.body, post.headers)
            if status == 200:
                await self._settle(receiver, post)
                return
            if not receiver.is_failing:
                receiver.is_failing = True
                log.warning("webhooks.receiver_failing", status=status, updates=post.count)
            wait, longest = self._wait(post)
            if self._clock.monotonic() + wait > post.began + longest:
                log.warning("webhooks.given_up", status=status, updates=post.count)
                self.counts.dropped += post.count
                self.pending -= post.count
                return
            post.failures += 1
            if self._time_scale is not None:
                self._later.after([(wait, post)])
                return
            if await self._stopped_within(wait):
                return

    def _wait(self, post: _Post) -> tuple[float, float]:
        """Seconds to the next try, and from the first to the last."""
        if self._time_scale is None:
            wait = min(BACKOFF_FIRST_SECONDS * 2.0 ** min(post.failures, 30), BACKOFF_LONGEST_SECONDS)
            return wait, self._retry_seconds
        place = min(post.failures, len(META_WAITS_SECONDS) - 1)
        return META_WAITS_SECONDS[place] / self._time_scale, META_SECONDS / self._time_scale

    async def _settle(self, receiver: _Receiver, post: _Post) -> None:
        if receiver.is_failing:
            receiver.is_failing = False
            log.info("webhooks.receiver_back", pending=self.pending)
        self.counts.delivered += post.count
        self.pending -= post.count
        if self._repeat_share and self._chance.random() < self._repeat_share:
            self.counts.posts += 1
            self.counts.repeats += 1
            await self._post(receiver.url, post.body, post.headers)

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


async def verify(session: aiohttp.ClientSession, url: str, token: str, challenge: str) -> bool:
    """Meta's handshake: the callback must answer 200 with exactly the challenge when the verify token is its own."""
    query = {"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": token}
    try:
        async with session.get(url, params=query, allow_redirects=False) as response:
            return response.status == 200 and await response.text() == challenge
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return False
