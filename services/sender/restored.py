"""After a restore: what was due before it may have been sent by the platform that the backup was taken from. It is not sent again;
it is of unknown outcome until a report settles it or an operator decides.

    python -m services.sender.restored      notes that the database was restored: before any service is started on it
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg
import structlog
from pydantic import Field

from services.sender.domain.attempt import AttemptId
from services.sender.store import attempts
from services.sender.store import restored as store
from services.sender.tell import event_of
from shared.bus.outbox import Outbox
from shared.clock import Clock
from shared.config import DatabaseSettings, ServiceSettings, SettingsError, load
from shared.db.pool import open_pool
from shared.events.catalogue import MessageReleased
from shared.operations.payloads import Decide, Decided, Decision
from shared.telemetry.catalogue import ATTEMPTS_UNMADE_TOTAL
from shared.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

DECIDE_LIMIT: Final = 1_000
DECIDE_ROUNDS: Final = 10
"""Together they bound a decision, so that it ends within a request."""


class MarkSettings(ServiceSettings):
    """What it takes to make the mark."""

    db: DatabaseSettings = Field(default_factory=DatabaseSettings)


class Fence:
    """Stands before everything that is to be sent. `restored_at` is read once: the mark is made before the services start."""

    def __init__(self, outbox: Outbox, restored_at: datetime | None, metrics: Metrics, clock: Clock) -> None:
        self._outbox = outbox
        self._restored_at = restored_at
        self._metrics = metrics
        self._clock = clock

    async def pass_through(self, released: Sequence[MessageReleased]) -> Sequence[MessageReleased]:
        """Those that may be sent. The others are written down as of unknown outcome; where their outcome is known, it is told
        again."""
        moment = self._restored_at
        if moment is None:
            return released
        doubted = [event for event in released if (event.first_due_at or event.occurred_at) <= moment]
        if not doubted:
            return released
        async with self._outbox.transaction() as unit:
            wanted = await store.wanted(unit.connection, [event.message_id for event in doubted])
            held = [event for event in doubted if event.message_id not in wanted]
            new = await store.hold_back(unit.connection, held, self._clock.now())
            unit.emit(*map(event_of, new))
            known = {one.head.attempt for one in new}
            others = {AttemptId(event.message_id, event.attempt) for event in held} - known
            if others:
                unit.emit(*map(event_of, await attempts.outcomes(unit.connection, sorted(others))))
        if new:
            self._metrics.count(ATTEMPTS_UNMADE_TOTAL, store.RESTORED, by=len(new))
            log.info("sender.held_back", messages=len(new))
        stopped = {event.event_id for event in held}
        return [event for event in released if event.event_id not in stopped]


async def decide(outbox: Outbox, wish: Decide) -> Decided:
    """Send or give up what waits, as much as fits into a request. Again is safe, and goes on."""
    change = store.resend if wish.decision is Decision.SEND else store.discard
    decided = 0
    for _ in range(DECIDE_ROUNDS):
        async with outbox.transaction() as unit:
            settled = await change(unit.connection, wish.tenant_id, wish.number_id, wish.message_ids, DECIDE_LIMIT)
            unit.emit(*map(event_of, settled))
        decided += len(settled)
        if len(settled) < DECIDE_LIMIT:
            return Decided(decided=decided, is_complete=True)
    return Decided(decided=decided, is_complete=False)


async def _mark(settings: MarkSettings) -> datetime:
    async with open_pool(settings.db, "sender") as pool, pool.acquire() as connection:
        return await store.mark(connection)


def main() -> int:
    """The command line."""
    try:
        moment = asyncio.run(_mark(load(MarkSettings)))
    except (SettingsError, OSError, asyncpg.PostgresError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(
        f"What was due before {moment:%Y-%m-%d %H:%M:%S} UTC is not sent before an operator wants it. A sender that runs already "
        "does not know: start it anew.\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
