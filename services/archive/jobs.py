"""Loops on the clock."""

from __future__ import annotations

from typing import Final

from services.archive.cache import Changes
from services.archive.imports.leftovers import end_abandoned, remove_leftovers
from services.archive.participants import turn
from services.archive.record import Recorder, forget_without_entry, prepare_months
from services.archive.retain import Retention
from services.archive.warm import Warmer
from shared.clock import Clock
from shared.db.pool import Pool
from shared.every import Every
from shared.idempotency import prune
from shared.objects.store import ObjectStore

MONTHS_SECONDS: Final = 6 * 3_600.0
FORGET_SECONDS: Final = 3_600.0
AMEND_SECONDS: Final = 5.0
"""Amendments are put in as they come; this is for those that came before their entries."""
RETAIN_SECONDS: Final = 900.0
PRUNE_SECONDS: Final = 3_600.0
PRUNE_LIMIT: Final = 5_000
WARM_SECONDS: Final = 10.0
CATCH_UP_SECONDS: Final = 1.0
TURN_SECONDS: Final = 5.0
LEFTOVER_SECONDS: Final = 30.0


def warm_job(warmer: Warmer) -> Every:
    """Keeps ready what is read most."""
    return Every("archive.warm", WARM_SECONDS, warmer.warm)


def catch_up_job(changes: Changes) -> Every:
    """Tells others what has changed while they could not be told."""
    return Every("archive.catch_up", CATCH_UP_SECONDS, changes.catch_up)


def import_jobs(pool: Pool, objects: ObjectStore) -> list[Every]:
    """What imports leave behind."""
    return [
        Every("archive.remove_leftovers", LEFTOVER_SECONDS, lambda: remove_leftovers(pool, objects)),
        Every("archive.end_abandoned_imports", FORGET_SECONDS, lambda: end_abandoned(pool)),
    ]


def turn_job(pool: Pool, changes: Changes) -> Every:
    """Turns the entries of participants that were changed; woken by the change."""
    return Every("archive.turn", TURN_SECONDS, lambda: turn(pool, changes))


def jobs(pool: Pool, recorder: Recorder, clock: Clock) -> list[Every]:
    """Months ahead of their first entry; amendments whose entry has come since; facts whose message never came; answers kept for
    requests that come again."""
    return [
        Every("archive.prepare_months", MONTHS_SECONDS, lambda: prepare_months(recorder, clock)),
        Every("archive.amend", AMEND_SECONDS, recorder.amend),
        Every("archive.forget_without_entry", FORGET_SECONDS, lambda: forget_without_entry(pool)),
        Every("archive.prune_keys", PRUNE_SECONDS, lambda: prune(pool, limit=PRUNE_LIMIT)),
    ]


def retention_jobs(retention: Retention) -> list[Every]:
    """Removes what is too old, and what is empty then."""
    return [
        Every("archive.retain", RETAIN_SECONDS, retention.remove),
        Every("archive.tidy", RETAIN_SECONDS, retention.tidy),
    ]
