"""Connect, change, pause and resume business numbers, and tell the others; secrets are sealed on the way in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
from pydantic import HttpUrl, SecretStr

from services.gateway.domain import number as rules
from services.gateway.domain import twilio
from services.gateway.domain.admission import normalized_phone
from services.gateway.domain.origins import Origins
from services.gateway.payloads.numbers import ChangeNumber, ConnectNumber
from services.gateway.store import numbers as store
from shared.auth.seal import Sealer
from shared.bus.outbox import Unit
from shared.clock import Clock
from shared.errors import FieldError, Rejected
from shared.events.catalogue import NumberConnected, NumberPaused
from shared.events.values import Profile, Provider, WindowPolicy
from shared.ids import NumberId, TenantId, new_id

PAUSED_BY_TENANT: Final = "number.paused"
_ACTIVE: Final = {"status": "active", "paused_code": None, "paused_detail": None, "paused_at": None}
_LONGEST_DETAIL: Final = 500


@dataclass(frozen=True, slots=True, repr=False)
class Connections:
    """The numbers' records. `sealer` closes their secrets, `origins` are the places that a token may be sent to, `public_url` is
    where the providers reach this gateway."""

    sealer: Sealer
    origins: Origins
    clock: Clock
    public_url: str

    async def connect(self, unit: Unit, tenant_id: TenantId, body: ConnectNumber) -> asyncpg.Record:
        """Connect a number and tell the others.

        Raises `Rejected`: 422 where the provider needs other fields or the token must not be sent to the provider_url, 409 where
        the phone number id is connected.
        """
        record = rules.identity(body.provider, body)
        if isinstance(record, list):
            raise _invalid(*record)
        url = body.provider_url or HttpUrl(rules.USUAL_PLACE[body.provider])
        self._check_place(url)
        number_id = NumberId(new_id("num"))
        secret = body.access_token if body.app_secret is None else body.app_secret
        row = await store.insert(
            unit.connection,
            number_id,
            tenant_id,
            body.provider,
            record.phone_number_id,
            record.account_id,
            record.display_number,
            _url(url),
            body.messages_per_second,
            body.profile,
            body.calls_per_hour,
            body.portfolio_id,
            body.unique_users_per_day,
            body.window_policy,
            self._seal(tenant_id, number_id, "access_token", body.access_token),
            self._seal(tenant_id, number_id, "app_secret", secret),
            None if body.verify_token is None else token_digest(body.verify_token.get_secret_value()),
        )
        if row is None:
            raise Rejected("number.exists", "A number with this phone_number_id is connected already.", 409)
        self._tell(unit, row)
        return row

    async def change(self, unit: Unit, tenant_id: TenantId, number_id: str, body: ChangeNumber) -> asyncpg.Record:
        """Change a number and tell the others. A new access token ends a pause that the provider has caused.

        Raises `Rejected`: 404, and 422 where a field means nothing to the provider or a token would be sent to a place that is not
        allowed or that it was not given for.
        """
        row = await self._locked(unit, tenant_id, number_id)
        faults = rules.change_faults(Provider(row["provider"]), body)
        if faults:
            raise _invalid(*faults)
        if body.provider_url is not None:
            self._check_place(body.provider_url)
        row = await store.update(unit.connection, row, self._changes(row, body))
        self._tell(unit, row)
        return row

    def _changes(self, row: asyncpg.Record, body: ChangeNumber) -> dict[str, Any]:
        tenant_id, number_id = TenantId(row["tenant_id"]), row["id"]
        changes = body.model_dump(include=body.model_fields_set & rules.PLAIN_FIELDS)
        for name in rules.NEVER_NULL & changes.keys():
            if changes[name] is None:
                del changes[name]
        if body.provider_url is not None:
            changes["provider_url"] = _url(body.provider_url)
        if body.access_token is not None:
            changes["sealed_access_token"] = self._seal(tenant_id, number_id, "access_token", body.access_token)
            if row["provider"] == Provider.TWILIO:  # it signs the callbacks too
                changes["sealed_app_secret"] = self._seal(tenant_id, number_id, "app_secret", body.access_token)
            if row["status"] == "paused" and row["paused_code"] != PAUSED_BY_TENANT:
                changes |= _ACTIVE
        if body.app_secret is not None:
            changes["sealed_app_secret"] = self._seal(tenant_id, number_id, "app_secret", body.app_secret)
        if body.verify_token is not None:
            changes["verify_token_digest"] = token_digest(body.verify_token.get_secret_value())
        return changes

    async def pause(self, unit: Unit, tenant_id: TenantId, number_id: str, reason: str | None) -> asyncpg.Record:
        """Send nothing from the number until it is resumed; takes the place of a pause that the provider has caused. Twice changes
        nothing. Raises `Rejected` 404."""
        row = await self._locked(unit, tenant_id, number_id)
        if row["paused_code"] == PAUSED_BY_TENANT:
            return row
        return await self._paused(unit, row, PAUSED_BY_TENANT, reason)

    async def resume(self, unit: Unit, tenant_id: TenantId, number_id: str) -> asyncpg.Record:
        """Send again, whoever paused the number. Where it is not paused nothing changes. Raises `Rejected` 404."""
        row = await self._locked(unit, tenant_id, number_id)
        if row["status"] == "active":
            return row
        row = await store.update(unit.connection, row, _ACTIVE)
        self._tell(unit, row)
        return row

    async def pause_by_provider(self, unit: Unit, event: NumberPaused) -> None:
        """Pause the number whose record the sender used, unless there is a later record: what was wrong may be mended by it."""
        row = await store.lock(unit.connection, event.tenant_id, event.number_id)
        if row is not None and row["revision"] == event.revision and row["status"] == "active":
            await self._paused(unit, row, event.code, event.detail[:_LONGEST_DETAIL])

    async def _paused(self, unit: Unit, row: asyncpg.Record, code: str, detail: str | None) -> asyncpg.Record:
        pause = {"status": "paused", "paused_code": code, "paused_detail": detail, "paused_at": self.clock.now()}
        row = await store.update(unit.connection, row, pause)
        self._tell(unit, row)
        return row

    async def _locked(self, unit: Unit, tenant_id: TenantId, number_id: str) -> asyncpg.Record:
        row = await store.lock(unit.connection, tenant_id, number_id)
        if row is None:
            raise Rejected("number.unknown", "There is no such number.", 404)
        return row

    def callback_url(self, row: asyncpg.Record) -> str | None:
        """Where the provider shall report on the number's messages, where it is told so with each of them."""
        return _callback_url(row, self.public_url)

    def _tell(self, unit: Unit, row: asyncpg.Record) -> None:
        unit.emit(connected(row, self.public_url))

    def _seal(self, tenant_id: TenantId, number_id: str, name: str, secret: SecretStr) -> str:
        return self.sealer.seal(tenant_id, f"numbers.{name}", number_id, secret.get_secret_value())

    def _check_place(self, url: HttpUrl) -> None:
        if not self.origins.allow(url):
            raise _invalid(
                FieldError(
                    "/provider_url",
                    "provider.origin_not_allowed",
                    "has an origin that is not allowed here; CHASQUI_GATEWAY__PROVIDER_ORIGINS lists those that are",
                )
            )


def token_digest(verify_token: str) -> bytes:
    """What is kept of a verify token."""
    return hashlib.sha256(verify_token.encode()).digest()


def _invalid(*faults: FieldError) -> Rejected:
    first = f"{faults[0].pointer} {faults[0].detail}"
    detail = f"{first}." if len(faults) == 1 else f"{first}; {len(faults) - 1} more in errors."
    return Rejected("request.invalid", detail, errors=faults)


def _url(value: HttpUrl) -> str:
    return str(value).rstrip("/")


def connected(row: asyncpg.Record, public_url: str) -> NumberConnected:
    """What the others are told of a number's record."""
    return NumberConnected(
        tenant_id=TenantId(row["tenant_id"]),
        number_id=NumberId(row["id"]),
        revision=row["revision"],
        phone_number_id=row["phone_number_id"],
        provider_url=row["provider_url"],
        sealed_access_token=row["sealed_access_token"],
        messages_per_second=row["messages_per_second"],
        provider=Provider(row["provider"]),
        account_id=row["waba_id"],
        display_number=normalized_phone(row["display_number"]),
        callback_url=_callback_url(row, public_url),
        profile=Profile(row["profile"]),
        calls_per_hour=row["calls_per_hour"],
        portfolio_id=row["portfolio_id"],
        unique_users_per_day=row["unique_users_per_day"],
        paused=row["paused_code"],
        window_policy=WindowPolicy(row["window_policy"]),
        connected_at=row["created_at"],
    )


def _callback_url(row: asyncpg.Record, public_url: str) -> str | None:
    return twilio.callback_url(public_url, NumberId(row["id"])) if row["provider"] == Provider.TWILIO else None
