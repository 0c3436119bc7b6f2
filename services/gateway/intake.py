"""The first step of a webhook: whose payload is it, and is it durable before the 200. Between the steps it is a row, so a crash
costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from services.gateway.domain import webhook
from services.gateway.domain.payload import parsed
from services.gateway.numbers import NumberDirectory
from services.gateway.store import webhooks
from shared.auth.signatures import verify
from shared.batching import Batcher, Full
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.ids import TenantId

NAMED_LIMIT: Final = 1_000
"""Numbers, or accounts, that a payload may name; more are not looked up for somebody who has not proved who they are."""

Payload = tuple[TenantId, bytes, str | None]


class Intake:
    """The first step: whose payload is it, and is it stored. `writes` is the component that carries the shared transactions."""

    def __init__(self, pool: Pool, numbers: NumberDirectory, wake_reader: Callable[[], None]) -> None:
        self._pool = pool
        self._numbers = numbers
        self._wake_reader = wake_reader
        self.writes: Batcher[Payload, None] = Batcher("gateway.intake", self._store, concurrency=2)

    async def take(self, body: bytes, signature: str | None, traceparent: str | None) -> None:
        """Make a signed payload durable. Raises `Rejected` 401 for one that is not signed as it must be, 503 when too many wait."""
        tenant_id = await self._signer(body, signature)
        if tenant_id is None:
            raise Rejected("webhook.signature_invalid", "The signature does not fit the body.", 401)
        await self.keep(tenant_id, body, traceparent)

    async def keep(self, tenant_id: TenantId, payload: bytes, traceparent: str | None) -> None:
        """Make a payload in the Cloud API's form durable; who may speak for the tenant is the caller's question. Raises `Rejected`
        503 when too many wait."""
        try:
            await self.writes.submit((tenant_id, payload, traceparent))
        except Full:
            raise Rejected("gateway.overloaded", "Too many payloads wait to be stored.", 503, retry_after_seconds=1) from None

    async def _signer(self, body: bytes, signature: str | None) -> TenantId | None:
        """Whose secret signed the body, if it may speak of what it speaks of.

        The numbers named choose the secret, and the signature must fit for every one of them that is known: a tenant's secret is no
        authority over another's number. What is said of unknown ones is kept and told to nobody. Account events name none; a number
        of the account must have signed them.
        """
        payload = parsed(body)
        named, accounts = webhook.phone_number_ids(payload), webhook.account_ids(payload)
        if max(len(named), len(accounts)) > NAMED_LIMIT:
            return None
        if not named:
            for source in await self._numbers.account_sources(accounts):
                if verify(source.app_secret, signature, body):
                    return source.tenant_id
            return None
        sources = await self._numbers.sources(named)
        tenants = {source.tenant_id for source in sources.values()}
        if len(tenants) != 1:
            return None
        return (
            tenants.pop()
            if all(verify(secret, signature, body) for secret in {s.app_secret for s in sources.values()})
            else None
        )

    async def _store(self, payloads: Sequence[Payload]) -> Sequence[None]:
        await webhooks.insert(self._pool, payloads)
        self._wake_reader()
        return [None] * len(payloads)
