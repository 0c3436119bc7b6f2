"""The first step of a webhook: whose payload is it, and is it durable before the 200. Between the steps it is a row, so a crash
costs nothing.

    signed by whom? (signers) ──► the database, soon ──► 200
                                    └ away (reach) ──► the bus (spool), where it outlives this process ──► 200
                                                        └ away too ──► 503: the provider comes again
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from services.gateway.store import webhooks
from services.gateway.store.webhooks import Payload
from services.gateway.webhooks.reach import Away, Reach
from services.gateway.webhooks.signers import Share, Signers
from services.gateway.webhooks.spool import Spool
from shared.batching import Batcher, Full
from shared.bus.interface import StopSignal
from shared.db.pool import Pool, check
from shared.errors import Rejected
from shared.http.codes import Code
from shared.ids import TenantId
from shared.run import Stage
from shared.telemetry.catalogue import WEBHOOKS_RECEIVED_TOTAL
from shared.telemetry.metrics import Metrics

HELD_BYTES: Final = 64 * 1024 * 1024
"""Of payloads that wait to be stored: while the database and the bus are both away, and where each has three megabytes."""


class Intake:
    """The first step, and the component that carries its shared transactions. Without a `spool` the database is the only place."""

    name = "gateway.intake"
    stage = Stage.WORK

    def __init__(
        self,
        pool: Pool,
        signers: Signers,
        reach: Reach,
        spool: Spool | None,
        wake_reader: Callable[[], None],
        metrics: Metrics,
    ) -> None:
        self._pool = pool
        self._signers = signers
        self._reach = reach
        self._spool = spool
        self._wake_reader = wake_reader
        self._metrics = metrics
        self._writes: Batcher[Payload, None] = Batcher("gateway.intake.writes", self._store, concurrency=2)
        self._held_bytes = 0

    async def take(self, body: bytes, signature: str | None, traceparent: str | None, number_id: str | None = None) -> None:
        """Make a signed payload durable; `number_id` is the one whose way it came.

        Raises `Rejected`: 401 for one that is not signed as it must be; 503 when too many wait, when nothing takes it, and when it
        cannot be known who signed.
        """
        if number_id is None:
            shares = await self._signers.of(body, signature)
        else:
            shares = await self._signers.of_number(number_id, body, signature)
        if not shares:
            if self._reach.is_away:  # the secret may be one that is not remembered
                self._metrics.count(WEBHOOKS_RECEIVED_TOTAL, "failed")
                raise _unavailable()
            raise self.unsigned()
        await self._keep_all(shares, traceparent)

    async def keep(self, tenant_id: TenantId, payload: bytes, traceparent: str | None) -> None:
        """Make a payload in the Cloud API's form durable; who may speak for the tenant is the caller's question. Raises `Rejected`
        503 as `take` does."""
        if self._held_bytes + len(payload) > HELD_BYTES:
            raise self._overloaded()
        self._held_bytes += len(payload)
        try:
            await self._writes.submit((tenant_id, payload, traceparent))
        except Full:
            raise self._overloaded() from None
        finally:
            self._held_bytes -= len(payload)

    async def check(self) -> None:
        """Readiness: a webhook would be kept. Without the database most other requests fail, with a 503 that says so; were this
        process taken out of service for it, the provider could not bring anything, although the bus takes it. Raises where neither
        answers."""
        try:
            await self._reach.soon(lambda: check(self._pool))
        except Away:
            if self._spool is None:
                raise
            await self._spool.check()

    async def run(self, stop: StopSignal) -> None:
        async with self._reach.watching():
            await self._writes.run(stop)

    async def _keep_all(self, shares: Sequence[Share], traceparent: str | None) -> None:
        """One after the other: a payload of several tenants' is rare, and what is kept twice because a later share was not, and the
        provider comes again, is told once."""
        for tenant_id, body in shares:
            await self.keep(tenant_id, body, traceparent)

    async def _store(self, payloads: Sequence[Payload]) -> Sequence[None]:
        try:
            await self._reach.soon(lambda: webhooks.insert(self._pool, payloads))
        except Away:
            is_spooled = self._spool is not None and await self._spool.take(payloads)
            self._metrics.count(WEBHOOKS_RECEIVED_TOTAL, "spooled" if is_spooled else "failed", by=len(payloads))
            if not is_spooled:
                raise _unavailable() from None
        except Exception:
            self._metrics.count(WEBHOOKS_RECEIVED_TOTAL, "failed", by=len(payloads))
            raise
        else:
            self._metrics.count(WEBHOOKS_RECEIVED_TOTAL, "stored", by=len(payloads))
            self._wake_reader()
        return [None] * len(payloads)

    def unsigned(self, what: str = "the body") -> Rejected:
        """For what is not signed as it must be; counts it."""
        self._metrics.count(WEBHOOKS_RECEIVED_TOTAL, "refused")
        return Rejected("webhook.signature_invalid", f"The signature does not fit {what}.", 401)

    def _overloaded(self) -> Rejected:
        self._metrics.count(WEBHOOKS_RECEIVED_TOTAL, "failed")
        return Rejected("gateway.overloaded", "Too many payloads wait to be stored.", 503, retry_after_seconds=1)


def _unavailable() -> Rejected:
    return Rejected(Code.UNAVAILABLE, Code.UNAVAILABLE.sentence, 503, retry_after_seconds=1)
