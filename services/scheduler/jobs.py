"""Loops on the clock."""

from __future__ import annotations

from typing import Final

from services.scheduler import release
from services.scheduler.store import gates
from shared.bus import inbox
from shared.bus.outbox import Outbox
from shared.clock import Clock
from shared.db.pool import Pool
from shared.every import Every

RELEASE_SECONDS: Final = 0.05
"""Longest wait before a due message is seen; acceptance and freed room wake the release at once."""
GATHER_SECONDS: Final = 0.01
"""Between two rounds that found something, so that room which comes free one by one is used in batches."""
EXPIRE_SECONDS: Final = 1.0
REPEAT_SECONDS: Final = 10.0
GATES_SECONDS: Final = 10.0
FORGET_SECONDS: Final = 3_600.0
INBOX_DAYS: Final = 3
"""Far longer than an acceptance can be told again: its outbox row goes when the bus is back, and its retries take minutes."""
INBOX_LIMIT: Final = 10_000


def release_job(outbox: Outbox, clock: Clock) -> Every:
    """The release, to be woken when something may have become due."""

    async def release_a_round() -> bool:
        found = await release.release_due(outbox)
        if found:
            await clock.sleep(GATHER_SECONDS)
        return found

    return Every("scheduler.release", RELEASE_SECONDS, release_a_round)


def jobs(outbox: Outbox, pool: Pool) -> list[Every]:
    """The others."""
    return [
        Every("scheduler.expire", EXPIRE_SECONDS, lambda: release.expire(outbox)),
        Every("scheduler.repeat_silent", REPEAT_SECONDS, lambda: release.repeat_silent(outbox)),
        Every("scheduler.prune_gates", GATES_SECONDS, lambda: gates.prune(pool)),
        Every("scheduler.forget_unsettled", FORGET_SECONDS, lambda: release.forget_unsettled(outbox)),
        Every("scheduler.prune_inbox", FORGET_SECONDS, lambda: inbox.prune(pool, days=INBOX_DAYS, limit=INBOX_LIMIT)),
    ]
