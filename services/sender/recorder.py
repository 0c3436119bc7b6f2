"""Write outcomes down and tell them, in bulk: while one transaction runs, the next one's gather."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import structlog

from services.sender.domain.outcome import PauseNumber, Sent
from services.sender.numbers import Number
from services.sender.store import attempts, numbers
from services.sender.store.attempts import Settled
from services.sender.store.numbers import Template
from services.sender.tell import events_of
from shared.bus.outbox import Outbox, Unit
from shared.clock import Clock
from shared.events.catalogue import NumberPaused
from shared.telemetry.catalogue import ATTEMPTS_TOTAL, ATTEMPTS_UNMADE_TOTAL
from shared.telemetry.metrics import Metrics
from shared.unavailable import is_unavailable

log = structlog.get_logger(__name__)

RECORD_LIMIT: Final = 256
RECORDERS: Final = 2
RETRY_SECONDS: Final = 0.5
BUSY: Final = 8
GATHER_SECONDS: Final = 0.01
"""After a batch of so many at least, the outcomes of the next gather for so long: one transaction for sixty costs little more than
one for ten. A message alone is written down at once."""
VERY_BUSY: Final = 64
BUSY_GATHER_SECONDS: Final = 0.03
"""The same where the provider answers thousands a second."""


class Ended(NamedTuple):
    """An attempt of this process that has ended, and what its outcome means for others: `pause` its number, `rest` its template.
    `was_called`, of one that was not sent: its provider was, or would have been, had it been there."""

    settled: Settled
    number: Number
    pause: PauseNumber | None = None
    rest: tuple[Template, str, float] | None = None
    was_called: bool = False


class Recorder:
    """Takes outcomes as they come; `on_recorded` hears of those that are committed.

    `run` ends only by cancellation: whoever has begun attempts waits for `on_recorded` of all of them first.
    """

    def __init__(self, outbox: Outbox, clock: Clock, metrics: Metrics, on_recorded: Callable[[Sequence[Ended]], None]) -> None:
        self._outbox = outbox
        self._clock = clock
        self._metrics = metrics
        self._on_recorded = on_recorded
        self._ended: deque[Ended] = deque()
        self._some_ended = asyncio.Event()

    def put(self, ended: Ended) -> None:
        """This is to be written down."""
        self._ended.append(ended)
        self._some_ended.set()

    async def run(self) -> None:
        """Write, without end; several may run at once."""
        while True:
            if not self._ended:
                self._some_ended.clear()
                await self._some_ended.wait()
                continue
            taken = [self._ended.popleft() for _ in range(min(RECORD_LIMIT, len(self._ended)))]
            await self._record(taken)
            self._on_recorded(taken)
            if BUSY <= len(taken) < RECORD_LIMIT:
                await self._clock.sleep(GATHER_SECONDS if len(taken) < VERY_BUSY else BUSY_GATHER_SECONDS)

    async def _record(self, ended: Sequence[Ended]) -> None:
        """One transaction. While the database is away outcomes are kept and tried again: a call that was made is not forgotten
        because a table could not be reached."""
        while True:
            try:
                async with self._outbox.transaction() as unit:
                    new = await attempts.record(unit.connection, [one.settled for one in ended])
                    told = [one for one in ended if one.settled.head.attempt in new]
                    unit.emit(*events_of(one.settled for one in told))
                    await _pause(unit, ended)
                _count(self._metrics, told)
                return
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning("sender.outcomes_kept", attempts=len(ended), error=type(error).__name__)
                await self._clock.sleep(RETRY_SECONDS)


def _count(metrics: Metrics, ended: Sequence[Ended]) -> None:
    """Each kind of outcome once a batch; most are the same."""
    others = [one for one in ended if type(one.settled.outcome) is not Sent]
    metrics.count(ATTEMPTS_TOTAL, "sent", "", by=len(ended) - len(others))
    for (was_called, state, code), times in Counter(_kind(one) for one in others).items():
        if was_called:
            metrics.count(ATTEMPTS_TOTAL, state, code, by=times)
        else:
            metrics.count(ATTEMPTS_UNMADE_TOTAL, code, by=times)


def _kind(ended: Ended) -> tuple[bool, str, str]:
    return (ended.was_called, *attempts.told_as(ended.settled.outcome))


async def _pause(unit: Unit, ended: Sequence[Ended]) -> None:
    """Tell of numbers that can send nothing, each once a batch, and let templates rest."""
    paused = {one.number.number_id: (one.number, one.pause) for one in ended if one.pause is not None}
    for number, pause in paused.values():
        unit.emit(
            NumberPaused(
                tenant_id=number.tenant_id,
                number_id=number.number_id,
                revision=number.revision,
                code=pause.code,
                detail=pause.detail,
            )
        )
    resting = {template: (code, seconds) for template, code, seconds in (one.rest for one in ended if one.rest is not None)}
    if resting:
        await numbers.pause_templates(unit.connection, resting)
