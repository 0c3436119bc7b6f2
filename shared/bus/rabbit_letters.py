"""Dead letters and waiting retries on RabbitMQ: taken in hand without a word, moved with a confirm, acknowledged last.

A process that dies in between gives everything back by its connection's end: what was moved already is there twice, which consumers
bear, and nothing is lost. Being given back too often would lose a letter, though (see `_WORN_OUT`).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity

from shared.bus import routing
from shared.bus.dead_letters import BROKER_GAVE_UP, LOOKED_AT, DeadLetter, DeadLetters, Wanted
from shared.bus.interface import BusError, Refused, Uncertain, UnknownQueue
from shared.bus.link import Link
from shared.bus.publisher import Publisher

log = structlog.get_logger(__name__)

ATTEMPT_HEADER: Final = "x-attempt"
CODE_HEADER: Final = "x-code"
DIED_HEADER: Final = "x-died-at"
"""When it was buried, in milliseconds since 1970."""

_CODE: Final = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_DELIVERIES_HEADER: Final = "x-delivery-count"
_WORN_OUT: Final = 10
"""RabbitMQ 4 drops a quorum queue's message that was given back 20 times, and each look gives back: a letter that was looked at so
often is replaced by a copy, whose count begins anew, before anything else is done. The copy stands at the end of the queue."""
_ROUND: Final = 50
_IN_HAND_SECONDS: Final = 30.0
_TAKE_SECONDS: Final = 8.0
"""Then what has come so far must do: the rest of the time is for what is done with them."""
_MOST_BYTES: Final = 64 * 1_048_576
_ROUND_SECONDS: Final = 1.0
_BACK_SECONDS: Final = 5.0
_ASK_SECONDS: Final = 0.01
_AT_ONCE: Final = 50


class RabbitLetters:
    """Looks through queues that nobody consumes."""

    def __init__(self, link: Link, publisher: Publisher) -> None:
        self._link = link
        self._publisher = publisher

    async def dead(self, queue: str) -> DeadLetters:
        """See `Bus.dead_letters`."""
        async with self._letters_in_hand(queue) as (messages, total):
            letters = [await _named(queue, message) for message in messages]
            await self._renew(queue, messages)
        return DeadLetters.among(letters, total)

    async def settle(self, queue: str, wanted: Wanted, *, replay: bool) -> int:
        """See `Bus.settle_dead_letters`."""
        settled: dict[str, list[AbstractIncomingMessage]] = {}
        kept = []
        async with self._letters_in_hand(queue) as (messages, _):
            for message in messages:
                letter = await _named(queue, message)
                if wanted(letter):
                    settled.setdefault(letter.letter_id, []).append(message)
                else:
                    kept.append(message)

            async def settle_one(same: Sequence[AbstractIncomingMessage]) -> None:
                if replay:
                    await self._send(same[0], queue, {ATTEMPT_HEADER: 1})
                for message in same:
                    await message.ack()

            await self._renew(queue, kept)
            await _all_of([settle_one(same) for same in settled.values()])
        return len(settled)

    async def hurry(self) -> int:
        """See `Bus.hurry`."""
        moved = 0
        for seconds in routing.RETRY_LADDER_SECONDS:
            async with self._in_hand(routing.retry_name(seconds)) as (messages, _):
                await _all_of([self._bring_back(message) for message in messages])
                moved += len(messages)
        return moved

    async def _bring_back(self, message: AbstractIncomingMessage) -> None:
        attempt = message.headers.get(ATTEMPT_HEADER)
        try:
            await self._send(message, message.routing_key or "", {ATTEMPT_HEADER: attempt if isinstance(attempt, int) else 1})
        except Refused:
            return  # its queue is gone, or the broker takes nothing: it stays where it is
        await message.ack()

    @asynccontextmanager
    async def _letters_in_hand(self, queue: str) -> AsyncIterator[tuple[Sequence[AbstractIncomingMessage], int]]:
        """Only where copies could be made of them. Raises `Refused` where the broker takes nothing."""
        await self._publisher.ready()
        async with self._in_hand(routing.dead_queue(queue)) as in_hand:
            yield in_hand

    async def _renew(self, queue: str, messages: Sequence[AbstractIncomingMessage]) -> None:
        """Those that are worn out."""
        await _all_of([self._renew_one(queue, message) for message in messages if _deliveries(message) >= _WORN_OUT])

    async def _renew_one(self, queue: str, message: AbstractIncomingMessage) -> None:
        letter = _letter(queue, message)
        died = letter.died_at or datetime.now(UTC)
        headers: dict[str, str | int] = {
            ATTEMPT_HEADER: letter.attempts,
            CODE_HEADER: letter.code,
            DIED_HEADER: int(died.timestamp() * 1000),
        }
        left = routing.RETENTION_SECONDS - (time.time() - died.timestamp())
        if left > 0:
            await self._send(message, routing.dead_queue(queue), headers, expires_seconds=left)
        await message.ack()

    async def _send(
        self,
        message: AbstractIncomingMessage,
        key: str,
        headers: dict[str, str | int],
        *,
        expires_seconds: float | None = None,
    ) -> None:
        subject = message.type or ""
        await self._publisher.publish(
            message.body, exchange="", key=key, subject=subject, headers=headers, expires_seconds=expires_seconds
        )

    @asynccontextmanager
    async def _in_hand(self, name: str) -> AsyncIterator[tuple[Sequence[AbstractIncomingMessage], int]]:
        """The oldest messages of a queue, unacknowledged, and how many are ready there in all. At the end what is not acknowledged
        goes back to its place. Raises `UnknownQueue`, or `Uncertain` where the connection goes."""
        try:
            async with self._link.channel(_IN_HAND_SECONDS) as channel:
                queue = await channel.declare_queue(name, passive=True)
                total = queue.declaration_result.message_count or 0
                messages = await _taken(channel, queue, min(total, LOOKED_AT))
                yield messages, total
                if any(message.processed for message in messages):
                    messages += await _heard(queue)
                if kept := [message for message in messages if not message.processed]:
                    ready = await _ready(channel, name)
                    await kept[-1].nack(multiple=True)
                    await _until_back(channel, name, ready + len(kept))
        except Uncertain as error:
            if isinstance(error.__cause__, ChannelNotFoundEntity):
                raise UnknownQueue(name) from error
            raise


async def _taken(channel: AbstractChannel, queue: AbstractQueue, expected: int) -> list[AbstractIncomingMessage]:
    """In rounds, so that what comes is bounded in bytes too: each consumer has its own prefetch."""
    messages: list[AbstractIncomingMessage] = []
    until = time.monotonic() + _TAKE_SECONDS
    await channel.set_qos(prefetch_count=_ROUND)
    while (
        len(messages) < expected and time.monotonic() < until and sum(len(message.body) for message in messages) < _MOST_BYTES
    ):
        goal, came = min(len(messages) + _ROUND, expected), asyncio.Event()

        async def take(message: AbstractIncomingMessage, goal: int = goal, came: asyncio.Event = came) -> None:
            messages.append(message)
            if len(messages) >= goal:
                came.set()

        tag = await queue.consume(take)
        try:
            async with asyncio.timeout(_ROUND_SECONDS):
                await came.wait()
        except TimeoutError:
            expected = 0  # somebody else holds the rest
        await queue.cancel(tag)
    return messages


async def _heard(queue: AbstractQueue) -> Sequence[AbstractIncomingMessage]:
    """Return when the broker has taken in all acknowledgements so far, with what it gave to say so. They are not answered: a
    channel holds back all but 32 while the queue is busy, and forgets those when it is closed. What is got comes after them."""
    message = await queue.get(fail=False)
    return () if message is None else (message,)


async def _until_back(channel: AbstractChannel, name: str, ready: int) -> None:
    """So that who looks next sees them, and how many there are. Giving back is not answered either."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_BACK_SECONDS):
            while (await _ready(channel, name)) < ready:  # noqa: ASYNC110  # it is the broker's
                await asyncio.sleep(_ASK_SECONDS)


async def _ready(channel: AbstractChannel, name: str) -> int:
    return (await channel.declare_queue(name, passive=True)).declaration_result.message_count or 0


async def _all_of(moves: Sequence[Awaitable[None]]) -> None:
    """Some at a time. Raises `Uncertain` where one failed, after all were tried: what failed is still there."""
    failed = 0
    for start in range(0, len(moves), _AT_ONCE):
        for answer in await asyncio.gather(*moves[start : start + _AT_ONCE], return_exceptions=True):
            if isinstance(answer, BusError):
                failed += 1
            elif isinstance(answer, BaseException):
                raise answer
    if failed:
        raise Uncertain(f"{failed} of {len(moves)} were not moved")


async def _named(queue: str, message: AbstractIncomingMessage) -> DeadLetter:
    """With its id, for which all its bytes are read: others have their turn in between."""
    letter = _letter(queue, message)
    _ = letter.letter_id
    await asyncio.sleep(0)
    return letter


def _letter(queue: str, message: AbstractIncomingMessage) -> DeadLetter:
    headers = message.headers
    code, attempt, died = headers.get(CODE_HEADER), headers.get(ATTEMPT_HEADER), headers.get(DIED_HEADER)
    buried = _buried_by_broker(headers.get("x-death"))
    return DeadLetter(
        queue=queue,
        subject=message.type or "",
        body=message.body,
        code=code if isinstance(code, str) and _CODE.fullmatch(code) else BROKER_GAVE_UP,
        attempts=attempt if isinstance(attempt, int) else 1,
        died_at=_moment(died) if isinstance(died, int) else buried,
    )


def _moment(milliseconds: int) -> datetime | None:
    """None where there is no such time."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _buried_by_broker(deaths: Any) -> datetime | None:
    if not isinstance(deaths, list) or not deaths or not isinstance(deaths[0], dict):
        return None
    at = deaths[0].get("time")
    return (
        at.replace(tzinfo=UTC) if isinstance(at, datetime) and at.tzinfo is None else at if isinstance(at, datetime) else None
    )


def _deliveries(message: AbstractIncomingMessage) -> int:
    count = message.headers.get(_DELIVERIES_HEADER)
    return count if isinstance(count, int) else 0
