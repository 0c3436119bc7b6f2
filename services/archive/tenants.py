"""The numbers of tenants, remembered in the process: they never change."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from services.archive.store import tenants as store
from shared.db.pool import Pool
from shared.ids import TenantId


class Tenants:
    """Knows the number of every tenant that it was asked for once: an integer each."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._numbers: dict[TenantId, int] = {}

    async def known(self, tenant: TenantId) -> int | None:
        """The tenant's number; None where nothing of the tenant was ever kept, so that there is nothing to read either."""
        if tenant not in self._numbers:
            self._numbers |= await store.numbers(self._pool, {tenant})
        return self._numbers.get(tenant)

    async def numbered(self, tenants: Collection[TenantId]) -> Mapping[TenantId, int]:
        """The numbers of all that are known, with one for each of these."""
        missing = {tenant for tenant in tenants if tenant not in self._numbers}
        if missing:
            self._numbers |= await store.numbers(self._pool, missing)
            if new := missing - self._numbers.keys():
                await store.number(self._pool, new)
                self._numbers |= await store.numbers(self._pool, new)
        return self._numbers
