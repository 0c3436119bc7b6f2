"""Settle attempts that nobody is working on any more: left by a process that is gone, or proven by a report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from services.sender.deliver import LEASE_SECONDS
from services.sender.domain.attempt import AttemptId
from services.sender.domain.outcome import Retry, Unknown
from services.sender.journal import abandoned
from services.sender.store import attempts, restored
from services.sender.store.attempts import Head, Settled
from services.sender.tell import event_of
from shared.bus.outbox import Outbox, Unit
from shared.events.catalogue import MessageConfirmed

log = structlog.get_logger(__name__)

LIMIT: Final = 500
PRUNE_DAYS: Final = 8
PRUNE_LIMIT: Final = 5_000


async def confirm(outbox: Outbox, confirmed: Sequence[MessageConfirmed]) -> None:
    """The provider has these: attempts whose outcome was unknown are sent. After a restore the report may be on a later
    attempt than the one that is known here."""
    named = {AttemptId(event.message_id, event.attempt): event.wamid for event in confirmed}
    async with outbox.transaction() as unit:
        settled = await attempts.settle_by_report(unit.connection, sorted(named.items()))
        found = {one.head.attempt.message_id for one in settled}
        if others := sorted({one.message_id: wamid for one, wamid in named.items() if one.message_id not in found}.items()):
            settled += await restored.settle(unit.connection, others)
        unit.emit(*map(event_of, settled))


async def recover_abandoned(outbox: Outbox, folder: Path) -> None:
    """Deal with what processes that are gone have left: departed attempts become unknown, the others go back to be sent.

    Their files are kept for a lease, because a claim of theirs may still be committing on the server.
    """
    for instance, departed, files in await asyncio.to_thread(lambda: list(abandoned(folder))):
        async with outbox.transaction() as unit:
            left = await attempts.open_of(unit.connection, instance)
            ended = [_end(one, departed) for one in left]
            await _settle(unit, ended)
        if left:
            unknown = sum(isinstance(one.outcome, Unknown) for one in ended)
            log.info("sender.recovered", instance=instance, unknown=unknown, not_sent=len(ended) - unknown)
        elif all(_is_old(path) for path in files):
            for path in files:
                path.unlink(missing_ok=True)


def _is_old(path: Path) -> bool:
    """True where nothing was written within a lease; a file that another replica has deleted meanwhile is old enough."""
    try:
        return time.time() - path.stat().st_mtime > LEASE_SECONDS
    except FileNotFoundError:
        return True


async def expire_leases(outbox: Outbox) -> bool:
    """Attempts of a process whose journal is lost too: whether they left cannot be told, so they are unknown."""
    async with outbox.transaction() as unit:
        left = await attempts.expired(unit.connection, limit=LIMIT)
        await _settle(unit, [Settled(head, Unknown("sender.lost")) for head in left])
    return len(left) == LIMIT


async def end_grace(outbox: Outbox, grace_seconds: float) -> bool:
    """Decide about attempts on which nobody has reported in the grace time: as the message's policy says they are made again, once,
    or it is told that nobody knows. A report that comes later still settles the latter."""
    async with outbox.transaction() as unit:
        again = await attempts.resend_unknown(unit.connection, grace_seconds=grace_seconds, limit=LIMIT)
        told = await attempts.tell_unconfirmed(unit.connection, grace_seconds=grace_seconds, limit=LIMIT)
        unit.emit(*(event_of(one) for one in (*again, *told)))
    if again or told:
        log.info("sender.grace_over", resent=len(again), unconfirmed=len(told))
    return LIMIT in (len(again), len(told))


async def prune(outbox: Outbox) -> bool:
    """Forget attempts that no report can concern any more."""
    async with outbox.transaction() as unit:
        return await attempts.prune(unit.connection, days=PRUNE_DAYS, limit=PRUNE_LIMIT) == PRUNE_LIMIT


def _end(head: Head, departed: set[AttemptId]) -> Settled:
    if head.attempt in departed:
        return Settled(head, Unknown("sender.crashed"))
    return Settled(head, Retry("sender.crashed_before_call", counted=False), retry_at=datetime.now(UTC))


async def _settle(unit: Unit, ended: Sequence[Settled]) -> None:
    if ended:
        new = await attempts.record(unit.connection, ended)
        unit.emit(*(event_of(one) for one in ended if one.head.attempt in new))
