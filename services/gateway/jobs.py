"""Loops on the clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from services.gateway import ingest
from services.gateway.numbers import NumberDirectory
from services.gateway.store import pruning
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.every import Every
from shared.telemetry.tracing import Tracing

READ_SECONDS: Final = 1.0
"""Longest wait before a payload that another replica left behind is read; our own intake wakes the reader at once."""
PRUNE_SECONDS: Final = 3_600.0
PRUNE_LIMIT: Final = 5_000
"""Rows that one statement forgets; where there are more, the next follows at once."""
KEYS_KEPT: Final = timedelta(hours=48)
INBOUND_KEPT: Final = timedelta(days=8)
"""The provider repeats itself for up to seven."""
QUARANTINED_KEPT: Final = timedelta(days=14)
"""They hold what people wrote; a version that understands them must come sooner."""


def reader_job(outbox: Outbox, numbers: NumberDirectory, tracing: Tracing) -> Every:
    """The reader of webhooks, to be woken when one was stored."""
    return Every("gateway.read_webhooks", READ_SECONDS, lambda: ingest.read_waiting(outbox, numbers, tracing))


def jobs(pool: Pool) -> list[Every]:
    """The others."""

    def pruner(name: str, query: str, age: timedelta) -> Every:
        return Every(name, PRUNE_SECONDS, lambda: pruning.prune(pool, query, age=age, limit=PRUNE_LIMIT))

    return [
        pruner("gateway.prune_keys", pruning.PRUNE_KEYS, KEYS_KEPT),
        pruner("gateway.prune_inbound", pruning.PRUNE_INBOUND, INBOUND_KEPT),
        pruner("gateway.prune_quarantined", pruning.PRUNE_QUARANTINED, QUARANTINED_KEPT),
    ]
