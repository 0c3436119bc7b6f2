"""Business numbers as others use them: the one a message goes out from, and the ones that a webhook speaks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

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
SIGNING_SECONDS: Final = 30.0
"""How long the list of all that sign is believed: it is read for payloads that name nobody, and anybody can send those."""
SIGNING_LIMIT: Final = 1_000
REMEMBERED: Final = 20_000
"""Numbers kept in memory however old, for as long as the database is away."""
CHOICE_LIMIT: Final = 1_000

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True, repr=False)
class WebhookSource:
    """A number as a sender of webhooks: whose it is and which secret signs for it (with Twilio the account's auth token)."""

    number_id: NumberId
    tenant_id: TenantId
    phone_number_id: str
    app_secret: str
    account_id: str
    former: tuple[str, datetime] | None = None
    """The app secret before it, and until when that is valid too."""

    def secrets(self, now: datetime) -> tuple[str, ...]:
        """Those that may sign at this moment."""
        return (self.app_secret, self.former[0]) if self.former is not None and now < self.former[1] else (self.app_secret,)


class NumberDirectory:
    """The numbers, read at most every five seconds per tenant and per provider id."""

    def __init__(self, pool: Pool, sealer: Sealer, clock: Clock) -> None:
        self._pool = pool
        self._sealer = sealer
        self._clock = clock
        self._of_tenant: dict[TenantId, tuple[float, list[str]]] = {}
        self._sources: dict[str, tuple[float, WebhookSource]] = {}
        self._called_back: dict[tuple[str, Provider], tuple[float, WebhookSource]] = {}
        self._signing: tuple[float, list[WebhookSource]] | None = None

    async def choose(self, tenant_id: TenantId, wanted: Iterable[str | None]) -> dict[str | None, NumberId | FieldError]:
        """For each wish the number a message goes out from: the wanted one, or for None the tenant's only one."""
        wishes = set(wanted)
        ids = await self._ids(tenant_id, wishes - {None})
        return {wish: _choice(wish, ids) for wish in wishes}

    async def sources(self, phone_number_ids: set[str]) -> dict[str, WebhookSource]:
        """Who the provider's numbers belong to; those that are unknown or whose secret does not open are left out."""
        now = self._clock.monotonic()
        stale = [i for i in phone_number_ids if not self._is_fresh(self._sources.get(i), now)]
        if stale:
            read = {source.phone_number_id: source for source in self._opened(await store.by_provider_ids(self._pool, stale))}
            for phone_number_id in stale:
                self._sources.pop(phone_number_id, None)
                if (source := read.get(phone_number_id)) is not None:
                    self._remember(source, now)
        return self.remembered(phone_number_ids)

    def fresh(self, phone_number_ids: set[str]) -> dict[str, WebhookSource] | None:
        """The same without a look into the database; None where one is due."""
        now = self._clock.monotonic()
        if all(self._is_fresh(self._sources.get(i), now) for i in phone_number_ids):
            return self.remembered(phone_number_ids)
        return None

    def remembered(self, phone_number_ids: set[str]) -> dict[str, WebhookSource]:
        """The same as they were when they were last read, however long ago; for as long as the database is away."""
        return {i: self._sources[i][1] for i in phone_number_ids if i in self._sources}

    async def account_sources(self, account_ids: set[str]) -> list[WebhookSource]:
        """The numbers of these accounts, for account events, which are rare."""
        return list(self._opened(await store.by_accounts(self._pool, account_ids)))

    def remembered_of(self, account_ids: set[str]) -> list[WebhookSource]:
        """Those of them that are remembered."""
        return [source for _, source in self._sources.values() if source.account_id in account_ids]

    async def signing(self) -> list[WebhookSource]:
        """The numbers that sign webhooks, a thousand at most, for payloads that name nobody."""
        now = self._clock.monotonic()
        if self._signing is None or now - self._signing[0] > SIGNING_SECONDS:
            self._signing = now, list(self._opened(await store.that_sign(self._pool, limit=SIGNING_LIMIT)))
        return self._signing[1]

    def remembered_signing(self) -> list[WebhookSource]:
        """Those of them that are remembered."""
        return self._signing[1] if self._signing is not None else [source for _, source in self._sources.values()]

    async def called_back(self, number_id: str, provider: Provider) -> WebhookSource | None:
        """The number that a callback's path names, where it is one of that provider's."""
        now = self._clock.monotonic()
        known = self._called_back.get((number_id, provider))
        if known is not None and self._is_fresh(known, now):
            return known[1]
        found = next(self._opened(await store.of_callback(self._pool, number_id, provider)), None)
        self._called_back.pop((number_id, provider), None)
        if found is not None:
            self._called_back[number_id, provider] = (now, found)
            _bound(self._called_back)
        return found

    def remembered_called_back(self, number_id: str, provider: Provider) -> WebhookSource | None:
        """The same as it was when it was last read."""
        known = self._called_back.get((number_id, provider))
        return None if known is None else known[1]

    def forget(self, tenant_id: TenantId, phone_number_id: str) -> None:
        """Read these anew when they are next asked for."""
        self._called_back = {i: k for i, k in self._called_back.items() if k[1].phone_number_id != phone_number_id}
        self._of_tenant.pop(tenant_id, None)
        self._sources.pop(phone_number_id, None)
        self._signing = None

    def _remember(self, source: WebhookSource, now: float) -> None:
        self._sources[source.phone_number_id] = (now, source)
        _bound(self._sources)

    @staticmethod
    def _is_fresh(known: tuple[float, WebhookSource] | None, now: float) -> bool:
        return known is not None and now - known[0] <= FRESH_SECONDS

    def _opened(self, rows: Iterable[asyncpg.Record]) -> Iterator[WebhookSource]:
        """A secret that was sealed with another master key costs its own number only."""
        for row in rows:
            tenant_id = TenantId(row["tenant_id"])
            try:
                secret = self._open(row, "sealed_app_secret")
            except SealError as error:
                log.error("number.secret_unreadable", number_id=row["id"], reason=str(error))
                continue
            former = self._former(row)
            yield WebhookSource(NumberId(row["id"]), tenant_id, row["phone_number_id"], secret, row["waba_id"], former)

    def _former(self, row: asyncpg.Record) -> tuple[str, datetime] | None:
        if row["sealed_previous_app_secret"] is None:
            return None
        try:
            return self._open(row, "sealed_previous_app_secret"), row["previous_app_secret_until"]
        except SealError:
            return None  # the present one opens, and counts

    def _open(self, row: asyncpg.Record, column: str) -> str:
        """Both secrets are sealed for the place of the current one."""
        return self._sealer.open(TenantId(row["tenant_id"]), "numbers.app_secret", row["id"], row[column])

    async def _ids(self, tenant_id: TenantId, wanted: set[str | None]) -> list[str]:
        now = self._clock.monotonic()
        read_at, ids = self._of_tenant.get(tenant_id, (0.0, []))
        if not ids or now - read_at > FRESH_SECONDS or not wanted.issubset(ids):
            rows = await store.page(self._pool, tenant_id, after=None, limit=CHOICE_LIMIT)
            ids = [row["id"] for row in rows]
            self._of_tenant[tenant_id] = (now, ids)
        return ids


def _bound(remembered: dict[Key, tuple[float, WebhookSource]]) -> None:
    """Forget what was read longest ago where there is too much."""
    while len(remembered) > REMEMBERED:
        del remembered[next(iter(remembered))]


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
        return FieldError("/from", "number.ambiguous", "must name one of your numbers: there are several")
    return FieldError("/from", "number.none", "needs a number, and there is none yet: connect one with POST /api/numbers")
