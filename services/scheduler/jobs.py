"""Loops on the clock."""

from __future__ import annotations

from typing import Final

from services.scheduler import release
from shared.bus.outbox import Outbox
from shared.every import Every

RELEASE_SECONDS: Final = 0.05
"""Longest wait before a due message is seen; acceptance and freed room wake the release at once."""
EXPIRE_SECONDS: Final = 1.0
REPEAT_SECONDS: Final = 10.0
FORGET_SECONDS: Final = 3_600.0


def release_job(outbox: Outbox) -> Every:
    """The release, to be woken when something may have become due."""
    return Every("scheduler.release", RELEASE_SECONDS, lambda: release.release_due(outbox))


def jobs(outbox: Outbox) -> list[Every]:
    """The others."""
    return [
        Every("scheduler.expire", EXPIRE_SECONDS, lambda: release.expire(outbox)),
        Every("scheduler.repeat_silent", REPEAT_SECONDS, lambda: release.repeat_silent(outbox)),
        Every("scheduler.forget_unsettled", FORGET_SECONDS, lambda: release.forget_unsettled(outbox)),
    ]
