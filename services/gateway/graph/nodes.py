"""Whose an object of the provider's graph is, and in whose name it is asked about."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

from services.gateway.store import graph_nodes as store
from shared.clock import Clock
from shared.db.pool import Pool
from shared.ids import NumberId, TenantId

FRESH_SECONDS: Final = 5.0
CACHED: Final = 10_000
NUMBERS_LIMIT: Final = 1_000
ACCOUNTS_TRIED: Final = 5
"""Accounts of a tenant that are asked, one after the other, about an object that could be any's."""


class Node(NamedTuple):
    """A number of the tenant's."""

    number_id: NumberId
    phone_number_id: str
    account_id: str


class Nodes:
    """The tenants' numbers by their provider's ids, read at most every five seconds."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._known: OrderedDict[TenantId, tuple[float, list[Node]]] = OrderedDict()

    async def number(self, tenant_id: TenantId, phone_number_id: str) -> Node | None:
        """The tenant's number of that phone number id."""
        for is_fresh in (False, True):
            for node in await self._of(tenant_id, anew=is_fresh):
                if node.phone_number_id == phone_number_id:
                    return node
        return None

    async def all(self, tenant_id: TenantId) -> Sequence[Node]:
        """The tenant's numbers, oldest first."""
        return await self._of(tenant_id)

    async def speakers(self, tenant_id: TenantId, node_id: str, phone_number_id: str | None = None) -> list[str]:
        """The tenant's numbers or accounts in whose names an object may be asked about, the likeliest first: itself, where it is a
        number or an account; else the named number, else any account. None of them where the object is somebody else's."""
        nodes = await self._of(tenant_id)
        if any(node_id in (node.phone_number_id, node.account_id) for node in nodes):
            return [node_id]
        if await store.is_foreign(self._pool, tenant_id, node_id):
            return []
        if phone_number_id is not None and any(node.phone_number_id == phone_number_id for node in nodes):
            return [phone_number_id]
        return list(dict.fromkeys(node.account_id for node in nodes))[:ACCOUNTS_TRIED]

    async def _of(self, tenant_id: TenantId, *, anew: bool = False) -> list[Node]:
        now = self._clock.monotonic()
        known = self._known.get(tenant_id)
        if known is not None and known[1] and not anew and now - known[0] <= FRESH_SECONDS:
            return known[1]
        rows = await store.all_of(self._pool, tenant_id, limit=NUMBERS_LIMIT)
        nodes = [Node(NumberId(row["id"]), row["phone_number_id"], row["waba_id"]) for row in rows]
        self._known[tenant_id] = (now, nodes)
        self._known.move_to_end(tenant_id)
        while len(self._known) > CACHED:
            self._known.popitem(last=False)
        return nodes
