"""The crew: claims what is due, posts it, writes down what became of it.

Beside the sending and apart from it: its own client, its own slots. A claim is a lease: what a process that died had claimed comes
again when that ends, so everything is posted at least once, and mostly once.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import asyncpg
import structlog

from services.sender.callbacks.circuits import Circuits
from services.sender.callbacks.endpoints import turn_off
from services.sender.callbacks.keys import Keys
from services.sender.callbacks.post import Poster
from services.sender.domain.callback import CallbackFormat, DeliveryState, Reply, headers_of, judge
from services.sender.domain.callback_rooms import Rooms
from services.sender.store import callback_deliveries, callbacks
from services.sender.store.callback_deliveries import Claimed, Ended, Try
from shared.auth.seal import SealError
from shared.bus.interface import StopSignal
from shared.bus.outbox import Outbox
from shared.clock import Clock
from shared.db.pool import Pool
from shared.ids import TenantId
from shared.run import Stage
from shared.telemetry.catalogue import CALLBACKS_TOTAL
from shared.telemetry.metrics import Metrics
from shared.unavailable import is_unavailable

log = structlog.get_logger(__name__)

GONE: Final = "callback.gone"
LEASE_SECONDS: Final = 60.0
"""Longer than a post takes with both of its signatures, and than its outcome takes to be written."""
POLL_SECONDS: Final = 1.0
"""Longest wait before what another process was told, or what comes again, is looked for."""
GATHER_SECONDS: Final = 0.01
"""Between two rounds while posts are under way, and between two writes, so that both are done in batches."""
UNWRITTEN: Final = 1_000
"""Outcomes that may wait to be written; beyond that nothing more is claimed."""
LOOK_REST: Final = 9.0
"""After all callbacks were looked at, so many times as long they are not, but no longer than the poll: where thousands wait for
their next attempt it takes tens of milliseconds of the database."""
UNAVAILABLE_SECONDS: Final = 1.0
LAST_POSTS_SECONDS: Final = 5.0
"""At the end, longest wait for posts that are under way; the others' leases end."""
CANDIDATES: Final = 500
UNREADABLE: Final = "secret.unreadable"
ASKED: Final = 1_000
"""Deliveries that may wait to go before the others; beyond that they go in their turn."""


@dataclass(frozen=True, slots=True, repr=False)
class Target:
    """A callback that something is due for. `secrets` are the valid ones, the present one first; none where they do not open."""

    callback_id: str
    tenant_id: TenantId
    revision: int
    url: str
    form: CallbackFormat
    secrets: tuple[str, ...]
    previous_until: datetime | None


class Crew:
    """One per process. `wake` says for whom something is due."""

    name = "sender.callbacks.crew"
    stage = Stage.WORK

    def __init__(
        self,
        outbox: Outbox,
        pool: Pool,
        poster: Poster,
        keys: Keys,
        circuits: Circuits,
        metrics: Metrics,
        clock: Clock,
        *,
        concurrency: int,
    ) -> None:
        self._outbox = outbox
        self._pool = pool
        self._poster = poster
        self._keys = keys
        self._circuits = circuits
        self._metrics = metrics
        self._clock = clock
        self._rooms = Rooms(concurrency)
        self._targets: dict[str, Target] = {}
        self._asked: dict[str, str] = {}
        self._ended: deque[tuple[Target, Ended, Reply]] = deque()
        self._due: set[str] = set()
        self._look_at = 0.0
        self._wake = asyncio.Event()
        self._news = asyncio.Event()

    def wake(self, callback_ids: Iterable[str] = ()) -> None:
        self._due.update(callback_ids)
        self._wake.set()

    def post_now(self, callback_id: str, delivery_id: str) -> None:
        """A delivery that is due goes before all others, as soon as its callback has room, whether or not that rests."""
        if len(self._asked) < ASKED:
            self._asked[delivery_id] = callback_id
        self.wake([callback_id])

    async def release(self, callback_id: str) -> None:
        """It has answered what was asked for by hand: it rests no longer, and what is due for it goes as soon as its probes are
        answered."""
        try:
            await callbacks.relieve(self._pool, callback_id)
        except Exception as error:
            if not is_unavailable(error):
                raise
            log.warning("callbacks.unavailable", error=type(error).__name__)  # it rests until its time is over
        await self._circuits.release(callback_id)
        self.wake([callback_id])

    async def run(self, stop: StopSignal) -> None:
        async with asyncio.TaskGroup() as group:
            waker = group.create_task(self._wake_on(stop), name=f"{self.name}.stop")
            writer = group.create_task(self._write(), name=f"{self.name}.write")
            posts: set[asyncio.Task[None]] = set()
            while not stop.is_set():
                self._wake.clear()
                await self._round(group, posts)
            waker.cancel()
            if posts:
                _, late = await asyncio.wait(posts, timeout=LAST_POSTS_SECONDS)
                for post in late:
                    post.cancel()
            writer.cancel()
        if self._ended:
            try:
                await self._record()
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning("callbacks.not_recorded", posts=len(self._ended), error=type(error).__name__)

    async def _wake_on(self, stop: StopSignal) -> None:
        await stop.wait()
        self._wake.set()

    async def _write(self) -> None:
        """What has ended, in batches, while others are claimed. Cut short, it is written again at the end."""
        while True:
            await self._news.wait()  # as long as nothing ends
            self._news.clear()
            try:
                await self._record()
            except Exception as error:
                if not is_unavailable(error):
                    raise
                self._news.set()
                await self._wait_for_what_is_away(error)
            await self._clock.sleep(GATHER_SECONDS)

    async def _round(self, group: asyncio.TaskGroup, posts: set[asyncio.Task[None]]) -> None:
        """Claim what is due, and wait until there is room or something more may be."""
        try:
            if self._rooms.free > 0 and len(self._ended) < UNWRITTEN:
                for claim, is_asked in ((self._claim_asked, True), (self._claim, False)):
                    for target, delivery in await claim():
                        post = self._deliver(target, delivery, is_asked=is_asked)
                        task = group.create_task(post, name=f"{self.name}.post")
                        posts.add(task)
                        task.add_done_callback(posts.discard)
        except Exception as error:
            if not is_unavailable(error):
                raise
            await self._wait_for_what_is_away(error)
            return
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return
        if posts:
            await self._clock.sleep(GATHER_SECONDS)

    async def _wait_for_what_is_away(self, error: Exception) -> None:
        log.warning("callbacks.unavailable", error=type(error).__name__)
        await self._clock.sleep(UNAVAILABLE_SECONDS)

    async def _claim_asked(self) -> list[tuple[Target, Claimed]]:
        """What was asked for by hand, past the circuits, within its callbacks' rooms."""
        rooms = self._rooms.share_out(dict.fromkeys(self._asked.values()))
        chosen: dict[str, str] = {}
        for delivery_id, callback_id in self._asked.items():
            if rooms.get(callback_id, 0) > 0:
                rooms[callback_id] -= 1
                chosen[delivery_id] = callback_id
        if not chosen:
            return []
        targets = {row["id"]: self._target(row) for row in await callbacks.named(self._pool, set(chosen.values()))}
        ids = [one for one, callback_id in chosen.items() if callback_id in targets]
        claimed = await callback_deliveries.claim_named(self._pool, ids, lease_seconds=LEASE_SECONDS)
        for one in chosen:
            self._asked.pop(one, None)
        for delivery in claimed:
            self._rooms.begin(delivery.callback_id)
        return [(targets[delivery.callback_id], delivery) for delivery in claimed]

    async def _claim(self) -> list[tuple[Target, Claimed]]:
        """As many as there is room for, of callbacks whose circuits let them through."""
        self._circuits.forget_idle()
        left_out = self._rooms.full().union(self._shut(), self._about_to_rest())
        rows = await self._look(left_out)
        targets = {row["id"]: self._target(row) for row in rows}
        self._targets = {one: known for one, known in self._targets.items() if one in left_out} | targets
        for row in rows:
            if row["is_failing"]:
                self._rooms.suspect(row["id"])
                self._circuits.watch(row["id"])
        rooms = self._rooms.share_out(one for one in targets if not self._circuits.wait(one))
        probes = await self._circuits.take_probes(rooms)
        try:
            claimed = await callback_deliveries.claim(self._pool, rooms, lease_seconds=LEASE_SECONDS) if rooms else []
        except BaseException:
            self._circuits.give_up(probes)
            raise
        for delivery in claimed:
            self._rooms.begin(delivery.callback_id)
        self._circuits.give_up(probes - {delivery.callback_id for delivery in claimed})
        return [(targets[delivery.callback_id], delivery) for delivery in claimed]

    async def _look(self, left_out: set[str]) -> list[asyncpg.Record]:
        """The callbacks that something is due for. All are looked at for a part of the time only; in between those that were found
        to have something due, and those that this process was told of since."""
        began = self._clock.monotonic()
        if began < self._look_at:
            return await callbacks.waiting(self._pool, left_out, CANDIDATES, among=self._due)
        before, self._due = self._due, set()
        try:
            rows = await callbacks.waiting(self._pool, left_out, CANDIDATES)
        except BaseException:
            self._due |= before
            raise
        self._due |= {row["id"] for row in rows} | (before & left_out)
        now = self._clock.monotonic()
        self._look_at = now + min(POLL_SECONDS, LOOK_REST * (now - began))
        return rows

    def _shut(self) -> list[str]:
        """Callbacks known here whose circuits are open."""
        return [one for one in self._targets if self._circuits.wait(one)]

    def _about_to_rest(self) -> list[str]:
        """Callbacks that want quiet, or nothing any more, which is still to be written."""
        return [target.callback_id for target, ended, reply in self._ended if ended.verdict.rest or reply.is_gone]

    def _target(self, row: asyncpg.Record) -> Target:
        known = self._targets.get(row["id"])
        if known is not None and known.revision == row["revision"]:
            return known
        tenant_id, callback_id = TenantId(row["tenant_id"]), row["id"]
        sealed = [text for text in (row["sealed_secret"], row["sealed_previous_secret"]) if text is not None]
        try:
            secrets = tuple(self._keys.open(tenant_id, callback_id, text) for text in sealed)
        except SealError:
            log.error("callback.secret_unreadable", tenant_id=tenant_id, callback_id=callback_id)
            secrets = ()
        form = CallbackFormat(row["format"])
        return Target(callback_id, tenant_id, row["revision"], row["url"], form, secrets, row["previous_until"])

    async def _deliver(self, target: Target, delivery: Claimed, *, is_asked: bool = False) -> None:
        """One attempt. While two secrets are valid, who knows only the former one is heard at once."""
        is_sick, seconds = True, 0.0
        try:
            try:
                reply = await self._post(target, delivery)
            except Exception:
                # Our bug, said here once; it must not end the process, in which messages are sent, and the delivery comes again.
                log.exception("callback.post_failed", tenant_id=target.tenant_id, callback_id=target.callback_id)
                reply = Reply(None, 0.0, error="internal")
            is_sick, seconds = reply.is_sick, reply.seconds
            now = self._clock.now()
            verdict = judge(reply, delivery.failures, now, random.random())  # noqa: S311  # spreads load, guards nothing
            self._ended.append((target, Ended(delivery, verdict, tried(reply, now)), reply))
            self._circuits.note(target.callback_id, is_sick=is_sick, is_asked=is_asked)
            if is_asked and reply.is_success:
                await self.release(target.callback_id)
        finally:
            self._rooms.end(delivery.callback_id, is_sick=is_sick, seconds=seconds)
            self._news.set()
            self._wake.set()

    async def _post(self, target: Target, delivery: Claimed) -> Reply:
        now = self._clock.now()
        secrets = target.secrets
        if target.previous_until is None or target.previous_until <= now:
            secrets = secrets[:1]
        if not secrets:
            return Reply(None, 0.0, error=UNREADABLE)
        update_id, body = delivery.update_id, delivery.body
        reply = await self._poster.post(target.url, headers_of(target.form, secrets, update_id, body, now), body)
        if reply.doubts_signature and target.form is CallbackFormat.META and len(secrets) > 1:
            former = headers_of(target.form, secrets[1:], update_id, body, now)
            return await self._poster.post(target.url, former, body)
        return reply

    async def _record(self) -> None:
        """What has ended, and what it means for its callbacks. What could not be written is kept and written later."""
        taken = list(self._ended)
        await callback_deliveries.record(self._pool, [ended for _, ended, _ in taken])
        await callbacks.note(self._pool, _news(taken))
        for target in {target.callback_id: target for target, _, reply in taken if reply.is_gone}.values():
            await turn_off(self._outbox, target.tenant_id, target.callback_id, GONE, url=target.url)
        for _ in taken:
            self._ended.popleft()
        for state, times in Counter(ended.verdict.state for _, ended, _ in taken).items():
            self._metrics.count(CALLBACKS_TOTAL, "retried" if state is DeliveryState.WAITING else state, by=times)


def tried(reply: Reply, now: datetime) -> Try:
    """An attempt as its log has it."""
    facts = {
        "at": now.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "status": reply.status,
        "error": reply.fault,
        "milliseconds": round(reply.seconds * 1_000),
        "answer": None if reply.is_success else reply.excerpt or None,
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def _news(taken: list[tuple[Target, Ended, Reply]]) -> dict[str, tuple[bool, float]]:
    """By callback: whether any post has succeeded, and the longest rest that was asked for."""
    news: dict[str, tuple[bool, float]] = {}
    for target, ended, reply in taken:
        ok, rest = news.get(target.callback_id, (False, 0.0))
        news[target.callback_id] = ok or reply.is_success, max(rest, ended.verdict.rest)
    return news
