"""Loops on the clock."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from services.sender import reconcile
from services.sender.store import media, numbers
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.every import Every

RECOVER_SECONDS: Final = 5.0
LEASES_SECONDS: Final = 5.0
GRACE_SECONDS: Final = 5.0
PRUNE_SECONDS: Final = 600.0
PRUNE_LIMIT: Final = 5_000


def jobs(outbox: Outbox, pool: Pool, journal_folder: Path, grace_seconds: float) -> list[Every]:
    """Recovery of what crashed processes left, leases, the end of the grace time, and forgetting."""
    return [
        Every("sender.recover", RECOVER_SECONDS, lambda: reconcile.recover_abandoned(outbox, journal_folder)),
        Every("sender.expire_leases", LEASES_SECONDS, lambda: reconcile.expire_leases(outbox)),
        Every("sender.end_grace", GRACE_SECONDS, lambda: reconcile.end_grace(outbox, grace_seconds)),
        Every("sender.prune", PRUNE_SECONDS, lambda: reconcile.prune(outbox)),
        Every("sender.prune_templates", PRUNE_SECONDS, lambda: numbers.prune_templates(pool)),
        Every("sender.prune_uploads", PRUNE_SECONDS, lambda: media.prune(pool, limit=PRUNE_LIMIT)),
    ]
