"""The reader of webhooks by itself, a step at a time, with one number connected."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import orjson

from services.gateway import tenants
from services.gateway.connections import Connections
from services.gateway.domain.origins import Origins
from services.gateway.numbers import NumberDirectory
from services.gateway.store import numbers, webhooks
from services.gateway.updates import Updates, Watch
from services.gateway.webhooks.inbound_rate import InboundRate
from services.gateway.webhooks.ingest import WebhookReader
from shared.auth.seal import Sealer
from shared.clock import SystemClock
from shared.config import TelemetrySettings
from shared.db.pool import Pool
from shared.ids import TenantId, new_id
from shared.telemetry.tracing import Tracing
from tests.integration.gateway.serving import MASTER_KEY
from tests.support.told import silent_outbox


class NoRate(InboundRate):
    """Marks nothing, without Redis."""

    def __init__(self) -> None:
        pass

    async def over(self, keys: Sequence[tuple[str, str]]) -> list[bool]:
        return [False] * len(keys)


class Reader:
    """Its number is 1001."""

    def __init__(self, pool: Pool, tenant_id: TenantId) -> None:
        self._pool = pool
        self._tenant_id = tenant_id
        clock, sealer = SystemClock(), Sealer(MASTER_KEY)
        self._reader = WebhookReader(
            silent_outbox(pool, "gateway"),
            NumberDirectory(pool, sealer, clock),
            Connections(sealer, Origins.parse("https://graph.facebook.com"), clock, "https://chasqui.example"),
            Updates(Watch(clock)),
            NoRate(),
            Tracing("gateway", TelemetrySettings()),
        )

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

    @classmethod
    async def watching(cls, pool: Pool) -> Reader:
        """Another reader of the number that is connected, which does not remember who watches."""
        return cls(pool, TenantId(await pool.fetchval("SELECT tenant_id FROM numbers")))

    async def store_json(self, *payloads: Any) -> None:
        """Also those that hold what only the tolerant reader of JSON takes."""
        await webhooks.insert(self._pool, [(self._tenant_id, json.dumps(one).encode(), None) for one in payloads])

    async def store(self, *payloads: Any) -> None:
        rows = [(self._tenant_id, orjson.dumps(one), self.traceparent(index)) for index, one in enumerate(payloads)]
        await webhooks.insert(self._pool, rows)

    async def read(self) -> bool:
        return await self._reader.read_waiting()

    @staticmethod
    def traceparent(index: int) -> str:
        """Of the payload stored as that one."""
        return f"00-{index + 1:032x}-{index + 1:016x}-01"
