"""Loops on the clock."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from services.sender import reconcile
from shared.bus.outbox import Outbox
from shared.every import Every

RECOVER_SECONDS: Final = 5.0
LEASES_SECONDS: Final = 5.0
PRUNE_SECONDS: Final = 600.0


def jobs(outbox: Outbox, journal_folder: Path) -> list[Every]:
    """Recovery of what crashed processes left, leases, and forgetting."""
    return [
        Every("sender.recover", RECOVER_SECONDS, lambda: reconcile.recover_abandoned(outbox, journal_folder)),
        Every("sender.expire_leases", LEASES_SECONDS, lambda: reconcile.expire_leases(outbox)),
        Every("sender.prune", PRUNE_SECONDS, lambda: reconcile.prune(outbox)),
    ]
