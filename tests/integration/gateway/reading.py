"""The reader of webhooks by itself, a step at a time, with one number connected."""

from __future__ import annotations

from typing import Any

import orjson

from services.gateway import tenants
from services.gateway.ingest import read_waiting
from services.gateway.numbers import NumberDirectory
from services.gateway.store import numbers, webhooks
from shared.auth.seal import Sealer
from shared.clock import SystemClock
from shared.config import TelemetrySettings
from shared.db.pool import Pool
from shared.ids import TenantId, new_id
from shared.telemetry.tracing import Tracing
from tests.integration.gateway.serving import MASTER_KEY
from tests.support.told import silent_outbox


class Reader:
    """Its number is 1001."""

    def __init__(self, pool: Pool, tenant_id: TenantId) -> None:
        self._pool = pool
        self._tenant_id = tenant_id
        self._outbox = silent_outbox(pool, "gateway")
        self._numbers = NumberDirectory(pool, Sealer(MASTER_KEY), SystemClock())
        self._tracing = Tracing("gateway", TelemetrySettings())

    @classmethod
    async def connected(cls, pool: Pool) -> Reader:
        async with pool.acquire() as connection:
            tenant_id = await tenants.create(connection, "Acme")
            number_id = new_id("num")
            secret = Sealer(MASTER_KEY).seal(tenant_id, "numbers.app_secret", number_id, "secret-1001")
            account = (number_id, tenant_id, "cloud_api", "1001", "1", "+1", "https://graph.facebook.com")
            limits = (80, "cloud", None, None, None, "enforce")
            assert await numbers.insert(connection, *account, *limits, "-", secret, b"-")
        return cls(pool, tenant_id)

    async def store(self, *payloads: Any) -> None:
        rows = [(self._tenant_id, orjson.dumps(one), self.traceparent(index)) for index, one in enumerate(payloads)]
        await webhooks.insert(self._pool, rows)

    async def read(self) -> bool:
        return await read_waiting(self._outbox, self._numbers, self._tracing)

    @staticmethod
    def traceparent(index: int) -> str:
        """Of the payload stored as that one."""
        return f"00-{index + 1:032x}-{index + 1:016x}-01"
