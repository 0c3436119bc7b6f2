"""Connect, change, pause and resume business numbers, and tell the others; secrets are sealed on the way in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
from pydantic import HttpUrl, SecretStr

from services.gateway.domain import number as rules
from services.gateway.domain import twilio
from services.gateway.domain.admission import normalized_phone
from services.gateway.domain.number_news import PAUSES, Aspect, changes_of
from services.gateway.domain.origins import Origins
from services.gateway.payloads.numbers import ChangeNumber, ConnectNumber
from services.gateway.store import numbers as store
from shared.auth.seal import Sealer, SealError
from shared.bus.outbox import Unit
from shared.clock import Clock
from shared.errors import FieldError, Rejected
from shared.events.catalogue import NumberConnected, NumberPaused
from shared.events.values import Profile, Provider, WindowPolicy
from shared.ids import NumberId, TenantId, new_id

PAUSED_BY_TENANT: Final = "number.paused"
PAUSED_BY_OPERATOR: Final = "operator.paused"
_ACTIVE: Final = {"status": "active", "paused_code": None, "paused_detail": None, "paused_at": None}
_LONGEST_DETAIL: Final = 500
FORMER_SECRET_SECONDS: Final = 86_400
"""How long a former app secret is valid where nobody says: for the webhooks that are on their way, and for who sets the new one."""


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
            if row["status"] == "paused" and row["paused_code"] not in {PAUSED_BY_TENANT, PAUSED_BY_OPERATOR}:
                changes |= _ACTIVE
        changes |= self._changed_secret(row, body)
        if body.verify_token is not None:
            changes["verify_token_digest"] = token_digest(body.verify_token.get_secret_value())
        return changes

    def _changed_secret(self, row: asyncpg.Record, body: ChangeNumber) -> dict[str, Any]:
        """The app secret that is given, and how long the one before it is valid too. The present one given again is no change, so
        that a request that comes twice does not drop the one before."""
        changes: dict[str, Any] = {}
        given = body.access_token if row["provider"] == Provider.TWILIO else body.app_secret  # Twilio's token signs as well
        seconds, former, present = body.previous_secret_for, row["sealed_previous_app_secret"], self._app_secret(row)
        if given is not None and given.get_secret_value() != present:
            changes["sealed_app_secret"] = self._seal(TenantId(row["tenant_id"]), row["id"], "app_secret", given)
            former = None if present is None else row["sealed_app_secret"]
            seconds = FORMER_SECRET_SECONDS if seconds is None else seconds
        if seconds is not None:
            until = self.clock.now() + timedelta(seconds=seconds)
            is_kept = seconds > 0 and former is not None
            changes["sealed_previous_app_secret"] = former if is_kept else None
            changes["previous_app_secret_until"] = until if is_kept else None
        return changes

    def _app_secret(self, row: asyncpg.Record) -> str | None:
        """None where it does not open, and so signs nothing."""
        try:
            return self.sealer.open(TenantId(row["tenant_id"]), "numbers.app_secret", row["id"], row["sealed_app_secret"])
        except SealError:
            return None

    async def pause(
        self, unit: Unit, tenant_id: TenantId, number_id: str, reason: str | None, *, by_operator: bool = False
    ) -> asyncpg.Record:
        """Send nothing from the number until it is resumed; takes the place of a pause that the provider has caused, and an
        operator's that of any. Twice changes nothing. Raises `Rejected` 404."""
        row = await self._locked(unit, tenant_id, number_id)
        code = PAUSED_BY_OPERATOR if by_operator else PAUSED_BY_TENANT
        if row["paused_code"] in {code, PAUSED_BY_OPERATOR}:
            return row
        return await self._paused(unit, row, code, reason)

    async def resume(self, unit: Unit, tenant_id: TenantId, number_id: str, *, by_operator: bool = False) -> asyncpg.Record:
        """Send again, whoever paused the number; what an operator paused only an operator resumes. Where it is not paused nothing
        changes. Raises `Rejected` 404 or 409."""
        row = await self._locked(unit, tenant_id, number_id)
        if row["status"] == "active":
            return row
        if row["paused_code"] == PAUSED_BY_OPERATOR and not by_operator:
            raise Rejected("number.paused_by_operator", "Who runs this platform has paused the number; ask there.", 409)
        row = await store.update(unit.connection, row, _ACTIVE)
        self._tell(unit, row)
        return row

    async def pause_by_provider(self, unit: Unit, event: NumberPaused) -> None:
        """Pause the number whose record the sender used, unless there is a later record: what was wrong may be mended by it."""
        row = await store.lock(unit.connection, event.tenant_id, event.number_id)
        if row is not None and row["revision"] == event.revision and row["status"] == "active":
            await self._paused(unit, row, event.code, event.detail[:_LONGEST_DETAIL])

    async def heed_standing(self, unit: Unit, tenant_id: TenantId, number_id: NumberId, standing: str | None) -> None:
        """Pause the number where its account cannot send any more, and end that pause where it can again; one that somebody else
        has caused stays."""
        row = await store.lock(unit.connection, tenant_id, number_id)
        if row is None:
            return
        pause = None if standing is None else PAUSES.get(standing)
        if pause is not None and row["status"] == "active":
            await self._paused(unit, row, *pause)
        elif pause is None and row["paused_code"] in {code for code, _ in PAUSES.values()}:
            self._tell(unit, await store.update(unit.connection, row, _ACTIVE))

    async def heed_limit(self, unit: Unit, tenant_id: TenantId, number_id: NumberId, aspect: Aspect, said: str | None) -> None:
        """Keep the limits that the provider has set from now on."""
        row = await store.lock(unit.connection, tenant_id, number_id)
        changes = {} if row is None else changes_of(aspect, said, row["messages_per_second"])
        if row is not None and any(row[name] != value for name, value in changes.items()):
            self._tell(unit, await store.update(unit.connection, row, changes))

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

    def previous_secret_until(self, row: asyncpg.Record) -> datetime | None:
        """Until when the app secret before the present one is valid too; None where it is not."""
        until: datetime | None = row["previous_app_secret_until"]
        return until if until is not None and until > self.clock.now() else None

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
