"""Business numbers: connect, change, choose; their secrets are sealed on the way in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import asyncpg

from services.gateway.payloads import ChangeNumber, ConnectNumber
from services.gateway.store import numbers as store
from shared.auth.seal import Sealer
from shared.bus.outbox import Unit
from shared.clock import Clock
from shared.db.pool import Pool
from shared.errors import FieldError, Rejected
from shared.events.catalogue import NumberConnected
from shared.ids import NumberId, TenantId, new_id

FRESH_SECONDS: Final = 5.0
CHOICE_LIMIT: Final = 1_000


@dataclass(frozen=True, slots=True, repr=False)
class WebhookSource:
    """A number as a sender of webhooks: whose it is and which secret signs for it."""

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

    async def choose(self, tenant_id: TenantId, wanted: str | None) -> str | FieldError:
        """The number a message goes out from: the wanted one, or the tenant's only one."""
        ids = await self._ids(tenant_id, wanted)
        if wanted is not None:
            return wanted if wanted in ids else FieldError("/from", "number.unknown", "is not a number of yours")
        if len(ids) == 1:
            return ids[0]
        if ids:
            return FieldError("/from", "number.ambiguous", "you have several numbers; name the one to send from")
        return FieldError("/from", "number.none", "you have no number yet; connect one with POST /api/numbers")

    async def sources(self, phone_number_ids: set[str]) -> dict[str, WebhookSource]:
        """Who the provider's numbers belong to; unknown ones are left out."""
        now = self._clock.monotonic()
        stale = [i for i in phone_number_ids if i not in self._sources or now - self._sources[i][0] > FRESH_SECONDS]
        if stale:
            for row in await store.by_provider_ids(self._pool, stale):
                self._sources[row["phone_number_id"]] = (now, self._source(row))
        return {i: self._sources[i][1] for i in phone_number_ids if i in self._sources}

    async def account_sources(self, account_ids: set[str]) -> list[WebhookSource]:
        """The numbers of these accounts, for account events, which are rare."""
        return [self._source(row) for row in await store.by_accounts(self._pool, account_ids)]

    def forget(self, tenant_id: TenantId, phone_number_id: str) -> None:
        """Read these anew when they are next asked for."""
        self._of_tenant.pop(tenant_id, None)
        self._sources.pop(phone_number_id, None)

    def _source(self, row: asyncpg.Record) -> WebhookSource:
        tenant_id = TenantId(row["tenant_id"])
        secret = self._sealer.open(tenant_id, "numbers.app_secret", row["id"], row["sealed_app_secret"])
        return WebhookSource(NumberId(row["id"]), tenant_id, row["phone_number_id"], secret)

    async def _ids(self, tenant_id: TenantId, wanted: str | None) -> list[str]:
        now = self._clock.monotonic()
        read_at, ids = self._of_tenant.get(tenant_id, (0.0, []))
        if not ids or now - read_at > FRESH_SECONDS or (wanted is not None and wanted not in ids):
            rows = await store.page(self._pool, tenant_id, after=None, limit=CHOICE_LIMIT)
            ids = [row["id"] for row in rows]
            self._of_tenant[tenant_id] = (now, ids)
        return ids


async def connect(unit: Unit, sealer: Sealer, tenant_id: TenantId, body: ConnectNumber) -> asyncpg.Record:
    """Connect a number and tell the others. Raises `Rejected` 409 where the phone number id is connected already."""
    number_id = NumberId(new_id("num"))
    row = await store.insert(
        unit.connection,
        number_id,
        tenant_id,
        body.phone_number_id,
        body.waba_id,
        body.display_number,
        _url(body.provider_url),
        body.messages_per_second,
        sealer.seal(tenant_id, "numbers.access_token", number_id, body.access_token.get_secret_value()),
        sealer.seal(tenant_id, "numbers.app_secret", number_id, body.app_secret.get_secret_value()),
        token_digest(body.verify_token.get_secret_value()),
    )
    if row is None:
        raise Rejected("number.exists", "A number with this phone_number_id is connected already.", 409)
    unit.emit(_connected(row))
    return row


async def change(unit: Unit, sealer: Sealer, tenant_id: TenantId, number_id: str, body: ChangeNumber) -> asyncpg.Record:
    """Change a number and tell the others. Raises `Rejected` 404."""
    token, secret, verify = body.access_token, body.app_secret, body.verify_token
    row = await store.update(
        unit.connection,
        tenant_id,
        number_id,
        body.display_number,
        None if body.provider_url is None else _url(body.provider_url),
        body.messages_per_second,
        None if token is None else sealer.seal(tenant_id, "numbers.access_token", number_id, token.get_secret_value()),
        None if secret is None else sealer.seal(tenant_id, "numbers.app_secret", number_id, secret.get_secret_value()),
        None if verify is None else token_digest(verify.get_secret_value()),
    )
    if row is None:
        raise Rejected("number.unknown", "There is no such number.", 404)
    unit.emit(_connected(row))
    return row


def token_digest(verify_token: str) -> bytes:
    """What is kept of a verify token."""
    return hashlib.sha256(verify_token.encode()).digest()


def _url(value: object) -> str:
    return str(value).rstrip("/")


def _connected(row: asyncpg.Record) -> NumberConnected:
    return NumberConnected(
        tenant_id=TenantId(row["tenant_id"]),
        number_id=NumberId(row["id"]),
        revision=row["revision"],
        phone_number_id=row["phone_number_id"],
        provider_url=row["provider_url"],
        sealed_access_token=row["sealed_access_token"],
        messages_per_second=row["messages_per_second"],
    )
