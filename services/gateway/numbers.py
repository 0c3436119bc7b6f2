"""Business numbers as others use them: the one a message goes out from, and the ones that a webhook speaks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import structlog

from services.gateway.store import numbers as store
from shared.auth.seal import Sealer, SealError
from shared.clock import Clock
from shared.db.pool import Pool
from shared.errors import FieldError
from shared.events.values import Provider
from shared.ids import NumberId, TenantId, is_id

log = structlog.get_logger(__name__)

FRESH_SECONDS: Final = 5.0
CHOICE_LIMIT: Final = 1_000


@dataclass(frozen=True, slots=True, repr=False)
class WebhookSource:
    """A number as a sender of webhooks: whose it is and which secret signs for it (with Twilio the account's auth token)."""

    number_id: NumberId
    tenant_id: TenantId
    phone_number_id: str
    app_secret: str


class NumberDirectory:
    """The numbers, read at most every five seconds per tenant and per provider id."""

    def __init__(self, pool: Pool, sealer: Sealer, clock: Clock) -> None:
        self._pool = pool
        self._sealer = sealer
        self._clock = clock
        self._of_tenant: dict[TenantId, tuple[float, list[str]]] = {}
        self._sources: dict[str, tuple[float, WebhookSource]] = {}
        self._called_back: dict[str, tuple[float, WebhookSource]] = {}

    async def choose(self, tenant_id: TenantId, wanted: Iterable[str | None]) -> dict[str | None, NumberId | FieldError]:
        """For each wish the number a message goes out from: the wanted one, or for None the tenant's only one."""
        wishes = set(wanted)
        ids = await self._ids(tenant_id, wishes - {None})
        return {wish: _choice(wish, ids) for wish in wishes}

    async def sources(self, phone_number_ids: set[str]) -> dict[str, WebhookSource]:
        """Who the provider's numbers belong to; those that are unknown or whose secret does not open are left out."""
        now = self._clock.monotonic()
        stale = [i for i in phone_number_ids if i not in self._sources or now - self._sources[i][0] > FRESH_SECONDS]
        if stale:
            for source in self._opened(await store.by_provider_ids(self._pool, stale)):
                self._sources[source.phone_number_id] = (now, source)
        return {i: self._sources[i][1] for i in phone_number_ids if i in self._sources}

    async def account_sources(self, account_ids: set[str]) -> list[WebhookSource]:
        """The numbers of these accounts, for account events, which are rare."""
        return list(self._opened(await store.by_accounts(self._pool, account_ids)))

    async def called_back(self, number_id: str, provider: Provider) -> WebhookSource | None:
        """The number that a callback's path names, where it is one of that provider's."""
        now = self._clock.monotonic()
        known = self._called_back.get(number_id)
        if known is not None and now - known[0] <= FRESH_SECONDS:
            return known[1]
        for source in self._opened(await store.of_callback(self._pool, number_id, provider)):
            self._called_back[number_id] = (now, source)
            return source
        return None

    def forget(self, tenant_id: TenantId, phone_number_id: str) -> None:
        """Read these anew when they are next asked for."""
        self._called_back = {i: k for i, k in self._called_back.items() if k[1].phone_number_id != phone_number_id}
        self._of_tenant.pop(tenant_id, None)
        self._sources.pop(phone_number_id, None)

    def _opened(self, rows: Iterable[asyncpg.Record]) -> Iterator[WebhookSource]:
        """A secret that was sealed with another master key costs its own number only."""
        for row in rows:
            tenant_id = TenantId(row["tenant_id"])
            try:
                secret = self._sealer.open(tenant_id, "numbers.app_secret", row["id"], row["sealed_app_secret"])
            except SealError as error:
                log.error("number.secret_unreadable", number_id=row["id"], reason=str(error))
                continue
            yield WebhookSource(NumberId(row["id"]), tenant_id, row["phone_number_id"], secret)

    async def _ids(self, tenant_id: TenantId, wanted: set[str | None]) -> list[str]:
        now = self._clock.monotonic()
        read_at, ids = self._of_tenant.get(tenant_id, (0.0, []))
        if not ids or now - read_at > FRESH_SECONDS or not wanted.issubset(ids):
            rows = await store.page(self._pool, tenant_id, after=None, limit=CHOICE_LIMIT)
            ids = [row["id"] for row in rows]
            self._of_tenant[tenant_id] = (now, ids)
        return ids


def _choice(wanted: str | None, ids: Sequence[str]) -> NumberId | FieldError:
    if wanted is not None:
        if wanted in ids:
            return NumberId(wanted)
        is_one = is_id(wanted, "num")
        detail = "is not a number of yours" if is_one else "must be the id of a number (`num_…`), as GET /api/numbers has it"
        return FieldError("/from", "number.unknown", detail)
    if len(ids) == 1:
        return NumberId(ids[0])
    if ids:
        return FieldError("/from", "number.ambiguous", "you have several numbers; name the one to send from")
    return FieldError("/from", "number.none", "you have no number yet; connect one with POST /api/numbers")
