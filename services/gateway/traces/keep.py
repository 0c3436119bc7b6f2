"""Writes spans down, a little at a time, and forgets the oldest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Final

import asyncpg
import structlog

from services.gateway.store import traces as store
from services.gateway.traces.buffer import SpanBuffer
from services.gateway.traces.span import Span
from shared.db.pool import Pool
from shared.every import Every
from shared.telemetry.catalogue import SPANS_TOTAL
from shared.telemetry.metrics import Metrics
from shared.unavailable import is_unavailable

log = structlog.get_logger(__name__)

WRITE_SECONDS: Final = 0.5
BATCH: Final = 1_000
"""At each write; so at most 2,000 spans a second, some 300 messages whole, cost anything."""
SLICE: Final = 50
"""Spans that are prepared before others have their turn on the loop: about a millisecond."""
KEPT: Final = timedelta(days=7)
IDLE_SECONDS: Final = 60.0
"""Where nothing is written, what is too old is looked for no more often."""
FLUSH_SECONDS: Final = 1.0


class SpanKeeper:
    """Between the buffer and the store. `keep` spans stay, none longer than a week."""

    def __init__(self, buffer: SpanBuffer, pool: Pool, keep: int, metrics: Metrics) -> None:
        self._buffer = buffer
        self._pool = pool
        self._keep = keep
        self._metrics = metrics
        self._prune_at = 0.0
        for outcome in ("kept", "dropped"):
            metrics.count(SPANS_TOTAL, outcome, by=0)

    def job(self) -> Every:
        return Every("gateway.keep_spans", WRITE_SECONDS, self.work)

    async def work(self) -> None:
        """Write what waits, a batch at most, and prune as much. What the database does not take is lost."""
        spans = await self._take()
        lost = self._buffer.adjust()
        if lost:
            self._metrics.count(SPANS_TOTAL, "dropped", by=lost)
            log.info("spans.lost", count=lost, share=self._buffer.share)
        if spans:
            await self._write(spans)
        if spans or time.monotonic() >= self._prune_at:
            await self._prune()

    async def flush(self) -> None:
        """Write what the end of the process left, for a moment at most; never raises."""
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                while spans := await self._take():
                    await self._write(spans)
        except Exception as error:  # noqa: BLE001  # a process that ends has nothing to lose but spans
            log.warning("spans.unwritten", count=len(self._buffer), error=type(error).__name__)

    async def _write(self, spans: Sequence[Span]) -> None:
        """Raises where the database is away; what it refuses is our bug, and no reason to end."""
        is_kept = False
        try:
            await store.insert(self._pool, spans)
            is_kept = True
        except (asyncpg.PostgresError, asyncpg.DataError, OverflowError) as error:
            if is_unavailable(error):
                raise
            log.warning("spans.unwritten", count=len(spans), error=type(error).__name__)
        finally:
            self._metrics.count(SPANS_TOTAL, "kept" if is_kept else "dropped", by=len(spans))

    async def _take(self) -> list[Span]:
        spans: list[Span] = []
        while len(spans) < BATCH and (found := self._buffer.take(SLICE)):
            spans += found
            await asyncio.sleep(0)
        return spans

    async def _prune(self) -> None:
        if await store.prune(self._pool, keep=self._keep, age=KEPT, limit=2 * BATCH):
            await store.prune_traces(self._pool, limit=2 * BATCH)
        else:
            self._prune_at = time.monotonic() + IDLE_SECONDS


def kept_spans(
    stack: AsyncExitStack, pool: Pool, keep: int, buffer: SpanBuffer | None, metrics: Metrics
) -> tuple[SpanBuffer | None, list[Every]]:
    """Where spans go, and the jobs that keep them; nowhere and none where `keep` is 0."""
    if keep == 0:
        return None, []
    buffer = SpanBuffer() if buffer is None else buffer
    keeper = SpanKeeper(buffer, pool, keep, metrics)
    stack.push_async_callback(keeper.flush)
    return buffer, [keeper.job()]
