"""What a service has told, read from its outbox; for tests of one service without a bus."""

from __future__ import annotations

from collections.abc import Sequence

from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.events.codec import decode
from shared.events.event import Event
from shared.telemetry.metrics import Metrics


async def told(pool: Pool) -> Sequence[Event]:
    """Take the events that the service has told since the last look, in their order."""
    rows = await pool.fetch("DELETE FROM outbox RETURNING id, subject, body")
    return [event for row in sorted(rows, key=lambda row: row["id"]) for event in decode(row["subject"], row["body"])]


def silent_outbox(pool: Pool, service: str) -> Outbox:
    """An outbox that nobody runs: what is emitted stays in the table for `told`."""
    return Outbox(pool, None, Metrics(service))  # type: ignore[arg-type]  # the bus is used by `run` only
