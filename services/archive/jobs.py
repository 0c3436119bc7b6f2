"""Loops on the clock."""

from __future__ import annotations

from typing import Final

from services.archive.record import Recorder, amend, forget_without_entry, prepare_months
from shared.clock import Clock
from shared.db.pool import Pool
from shared.every import Every

MONTHS_SECONDS: Final = 6 * 3_600.0
FORGET_SECONDS: Final = 3_600.0
AMEND_SECONDS: Final = 5.0
"""Amendments are put in as they come; this is for those that came before their entries."""


def jobs(pool: Pool, recorder: Recorder, clock: Clock) -> list[Every]:
    """Months ahead of their first entry; amendments whose entry has come since; facts whose message never came."""
    return [
        Every("archive.prepare_months", MONTHS_SECONDS, lambda: prepare_months(recorder, clock)),
        Every("archive.amend", AMEND_SECONDS, lambda: amend(pool)),
        Every("archive.forget_without_entry", FORGET_SECONDS, lambda: forget_without_entry(pool)),
    ]
