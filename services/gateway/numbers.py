"""Business numbers: connect, change, choose; their secrets are sealed on the way in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import structlog
from pydantic import HttpUrl

from services.gateway.domain.origins import Origins
from services.gateway.payloads import ChangeNumber, ConnectNumber
from services.gateway.store import numbers as store
from shared.auth.seal import Sealer, SealError
from shared.bus.outbox import Unit
from shared.clock import Clock
from shared.db.pool import Pool
from shared.errors import FieldError, Rejected
from shared.events.catalogue import NumberConnected
from shared.ids import NumberId, TenantId, new_id

log = structlog.get_logger(__name__)

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

    def forget(self, tenant_id: TenantId, phone_number_id: str) -> None:
        """Read these anew when they are next asked for."""
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
        return NumberId(wanted) if wanted in ids else FieldError("/from", "number.unknown", "is not a number of yours")
    if len(ids) == 1:
        return NumberId(ids[0])
    if ids:
        return FieldError("/from", "number.ambiguous", "you have several numbers; name the one to send from")
    return FieldError("/from", "number.none", "you have no number yet; connect one with POST /api/numbers")


@dataclass(frozen=True, slots=True, repr=False)
class Connections:
    """Connects and changes numbers: `sealer` closes their secrets, `origins` are the places that a token may be sent to."""

    sealer: Sealer
    origins: Origins

    async def connect(self, unit: Unit, tenant_id: TenantId, body: ConnectNumber) -> asyncpg.Record:
        """Connect a number and tell the others.

        Raises `Rejected`: 422 where its token must not be sent to the provider_url, 409 where the phone number id is connected.
        """
        self._check_place(body.provider_url)
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
            self.sealer.seal(tenant_id, "numbers.access_token", number_id, body.access_token.get_secret_value()),
            self.sealer.seal(tenant_id, "numbers.app_secret", number_id, body.app_secret.get_secret_value()),
            token_digest(body.verify_token.get_secret_value()),
        )
        if row is None:
            raise Rejected("number.exists", "A number with this phone_number_id is connected already.", 409)
        unit.emit(_connected(row))
        return row

    async def change(self, unit: Unit, tenant_id: TenantId, number_id: str, body: ChangeNumber) -> asyncpg.Record:
        """Change a number and tell the others.

        Raises `Rejected`: 404, and 422 where a token would be sent to a place that is not allowed or that it was not given for.
        """
        token, secret, verify = body.access_token, body.app_secret, body.verify_token
        if body.provider_url is not None:
            self._check_place(body.provider_url)
            if token is None:
                raise _invalid(
                    "/access_token", "field.missing", "must come with provider_url: a stored token is sent to no new place"
                )
        row = await store.update(
            unit.connection,
            tenant_id,
            number_id,
            body.display_number,
            None if body.provider_url is None else _url(body.provider_url),
            body.messages_per_second,
            None if token is None else self.sealer.seal(tenant_id, "numbers.access_token", number_id, token.get_secret_value()),
            None if secret is None else self.sealer.seal(tenant_id, "numbers.app_secret", number_id, secret.get_secret_value()),
            None if verify is None else token_digest(verify.get_secret_value()),
        )
        if row is None:
            raise Rejected("number.unknown", "There is no such number.", 404)
        unit.emit(_connected(row))
        return row

    def _check_place(self, url: HttpUrl) -> None:
        if not self.origins.allow(url):
            raise _invalid(
                "/provider_url",
                "provider.origin_not_allowed",
                "has an origin that is not allowed here; CHASQUI_GATEWAY__PROVIDER_ORIGINS lists those that are",
            )


def token_digest(verify_token: str) -> bytes:
    """What is kept of a verify token."""
    return hashlib.sha256(verify_token.encode()).digest()


def _invalid(pointer: str, code: str, detail: str) -> Rejected:
    return Rejected("request.invalid", f"{pointer} {detail}.", errors=[FieldError(pointer, code, detail)])


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
