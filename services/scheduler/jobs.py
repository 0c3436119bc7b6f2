"""Loops on the clock."""

from __future__ import annotations

from typing import Final

from services.scheduler import dispatch, expand, planner, release
from services.scheduler.store import gates, projections, runs, schedules
from shared import idempotency
from shared.bus import inbox
from shared.bus.outbox import Outbox
from shared.clock import Clock
from shared.db.pool import Pool
from shared.every import Every
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing

RELEASE_SECONDS: Final = 0.05
"""Longest wait before a due message is seen; acceptance and freed room wake the release at once."""
GATHER_SECONDS: Final = 0.01
"""Between two rounds that found something, so that room which comes free one by one is used in batches."""
BUSY: Final = 64
BUSY_GATHER_SECONDS: Final = 0.03
"""After a round of so many: a round's price hardly depends on what it finds, and what it costs is missing for sending."""
PLAN_SECONDS: Final = 1.0
"""Schedules are opened ahead of their time, so this is late only for one that was just made, and that wakes the planner."""
SCHEDULE_RUN_DAYS: Final = 90
SCHEDULE_RUN_LIMIT: Final = 10_000
DISPATCH_SECONDS: Final = 0.1
"""Longest wait before a run is looked at that wants it; messages are asked for ahead of their time."""
ASK_SECONDS: Final = 5.0
PREFLIGHT_SECONDS: Final = 60.0
PREFLIGHT_DAYS: Final = 1
RUN_DAYS: Final = 90
"""After its end a run's recipients are kept for so long: who got what, and when it was read."""
RUN_LIMIT: Final = 10
RECIPIENT_LIMIT: Final = 10_000
"""Each bounds a round of forgetting runs."""
EXPIRE_SECONDS: Final = 1.0
REPEAT_SECONDS: Final = 10.0
GATES_SECONDS: Final = 10.0
FORGET_SECONDS: Final = 3_600.0
KEYS_LIMIT: Final = 5_000
INBOX_DAYS: Final = 3
"""Far longer than an acceptance can be told again: its outbox row goes when the bus is back, and its retries take minutes."""
INBOX_LIMIT: Final = 10_000
WINDOWS_SECONDS: Final = 60.0
OPT_IN_DAYS: Final = 3
"""As long as an opt-out from before it can be told again."""
PROJECTION_LIMIT: Final = 10_000


def release_job(outbox: Outbox, tracing: Tracing, metrics: Metrics, clock: Clock) -> Every:
    """The release, to be woken when something may have become due."""

    async def release_a_round() -> bool:
        found = await release.release_due(outbox, tracing, metrics)
        if found:
            await clock.sleep(GATHER_SECONDS if found < BUSY else BUSY_GATHER_SECONDS)
        return found > 0

    return Every("scheduler.release", RELEASE_SECONDS, release_a_round)


def plan_job(outbox: Outbox, clock: Clock) -> Every:
    """The planner, to be woken when a schedule may have become due."""
    return Every("scheduler.plan", PLAN_SECONDS, lambda: planner.plan(outbox, clock.now()))


def jobs(outbox: Outbox, pool: Pool) -> list[Every]:
    """The others."""
    return [
        Every("scheduler.dispatch", DISPATCH_SECONDS, lambda: dispatch.dispatch(outbox)),
        Every("scheduler.fold_counts", DISPATCH_SECONDS, lambda: dispatch.fold(outbox)),
        Every("scheduler.ask_again", ASK_SECONDS, lambda: expand.ask_again(outbox)),
        Every("scheduler.prune_keys", FORGET_SECONDS, lambda: idempotency.prune(pool, limit=KEYS_LIMIT)),
        Every(
            "scheduler.prune_preflights",
            PREFLIGHT_SECONDS,
            lambda: runs.prune_preflights(pool, days=PREFLIGHT_DAYS, limit=RUN_LIMIT, limit_recipients=RECIPIENT_LIMIT),
        ),
        Every(
            "scheduler.prune_runs",
            FORGET_SECONDS,
            lambda: runs.prune(pool, days=RUN_DAYS, limit=RUN_LIMIT, limit_recipients=RECIPIENT_LIMIT),
        ),
        Every("scheduler.expire", EXPIRE_SECONDS, lambda: release.expire(outbox)),
        Every("scheduler.repeat_silent", REPEAT_SECONDS, lambda: release.repeat_silent(outbox)),
        Every("scheduler.prune_gates", GATES_SECONDS, lambda: gates.prune(pool)),
        Every("scheduler.forget_unsettled", FORGET_SECONDS, lambda: release.forget_unsettled(outbox)),
        Every("scheduler.prune_windows", WINDOWS_SECONDS, lambda: projections.prune_windows(pool, limit=PROJECTION_LIMIT)),
        Every(
            "scheduler.prune_lifted",
            FORGET_SECONDS,
            lambda: projections.prune_lifted(pool, days=OPT_IN_DAYS, limit=PROJECTION_LIMIT),
        ),
        Every(
            "scheduler.prune_schedule_runs",
            FORGET_SECONDS,
            lambda: schedules.prune_runs(pool, days=SCHEDULE_RUN_DAYS, limit=SCHEDULE_RUN_LIMIT),
        ),
        Every("scheduler.prune_inbox", FORGET_SECONDS, lambda: inbox.prune(pool, days=INBOX_DAYS, limit=INBOX_LIMIT)),
    ]
