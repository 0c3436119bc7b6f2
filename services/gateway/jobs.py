"""Loops on the clock."""

from __future__ import annotations

from typing import Final

from services.gateway import ingest
from services.gateway.idempotency import KEPT_HOURS
from services.gateway.numbers import NumberDirectory
from services.gateway.store import idempotency, webhooks
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.every import Every
from shared.telemetry.tracing import Tracing

READ_SECONDS: Final = 1.0
"""Longest wait before a payload that another replica left behind is read; our own intake wakes the reader at once."""
PRUNE_SECONDS: Final = 3_600.0
INBOUND_DAYS: Final = 8
"""The provider repeats itself for up to seven."""


def reader_job(outbox: Outbox, numbers: NumberDirectory, tracing: Tracing) -> Every:
    """The reader of webhooks, to be woken when one was stored."""
    return Every("gateway.read_webhooks", READ_SECONDS, lambda: ingest.read_waiting(outbox, numbers, tracing))


def jobs(pool: Pool) -> list[Every]:
    """The others."""
    return [
        Every("gateway.prune_keys", PRUNE_SECONDS, lambda: idempotency.prune(pool, hours=KEPT_HOURS)),
        Every("gateway.prune_inbound", PRUNE_SECONDS, lambda: webhooks.prune_inbound(pool, days=INBOUND_DAYS)),
    ]
