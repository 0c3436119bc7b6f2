"""Callbacks made, changed, turned on and off; whoever listens is told when a tenant begins or ceases to watch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import structlog
from yarl import URL

from services.sender.callbacks.keys import Keys, new_secret
from services.sender.callbacks.post import Poster
from services.sender.domain.callback import CallbackFormat, CallbackState
from services.sender.payloads.callbacks import CALLBACKS_OF_A_TENANT, ChangeCallback, CreateCallback, RotateSecret, secret_fault
from services.sender.store import callbacks as store
from services.sender.store.callbacks import Definition, Sealed
from shared.addresses import Networks
from shared.auth.seal import SealError
from shared.bus.outbox import Outbox, Unit
from shared.errors import FieldError, Rejected
from shared.events.catalogue import CallbacksWatched
from shared.http.codes import Code
from shared.http.outside import Forbidden, Hosts, check_url
from shared.ids import TenantId, new_id

log = structlog.get_logger(__name__)

BY_TENANT: Final = "tenant"
_SCHEMES: Final = frozenset({"https"})
_TRUSTED_SCHEMES: Final = frozenset({"https", "http"})


@dataclass(frozen=True, slots=True)
class Asker:
    """In whose name something is asked, and when."""

    tenant_id: TenantId
    now: datetime


@dataclass(frozen=True, slots=True, repr=False)
class Met:
    """An address that has answered the challenge with this token."""

    url: str
    verify_token: str


class Endpoints:
    """The use cases. What asks an address (`meet_new`, `meet_changed`) is done before the transaction that the others are in."""

    def __init__(self, keys: Keys, poster: Poster, networks: Networks, hosts: Hosts) -> None:
        self._keys = keys
        self._poster = poster
        self._networks = networks
        self._hosts = hosts

    async def meet_new(self, body: CreateCallback) -> None:
        """Raises `Rejected` where its address is none to post to, or does not answer the challenge."""
        await self._admit(body.url)
        if body.verify_token is not None:
            await self._meet(Met(body.url, body.verify_token.get_secret_value()))

    async def create(self, unit: Unit, asker: Asker, body: CreateCallback) -> dict[str, Any]:
        """A new callback, with its secret as it is sealed. Raises `Rejected`."""
        await store.lock_tenant(unit.connection, asker.tenant_id)
        if await store.count(unit.connection, asker.tenant_id) >= CALLBACKS_OF_A_TENANT:
            raise Rejected("callbacks.too_many", f"You have {CALLBACKS_OF_A_TENANT} callbacks, which is the most.", 409)
        await _check_numbers(unit, asker, body.number_ids)
        callback_id = new_id("cbk")
        state = CallbackState.ENABLED if body.enabled else CallbackState.DISABLED
        definition = Definition(body.name, body.url, body.events, body.number_ids, state, None if body.enabled else BY_TENANT)
        secret = new_secret(body.format) if body.secret is None else body.secret.get_secret_value()
        sealed = self._keys.seal(asker.tenant_id, callback_id, secret)
        token = (
            None
            if body.verify_token is None
            else self._keys.seal_verify_token(asker.tenant_id, callback_id, body.verify_token.get_secret_value())
        )
        await store.insert(
            unit.connection, callback_id, asker.tenant_id, body.format, definition, Sealed(sealed, token), asker.now
        )
        await settle(unit, asker.tenant_id)
        return {**await _read(unit, asker, callback_id), "secret": sealed}

    async def meet_changed(self, row: asyncpg.Record, body: ChangeCallback) -> Met | None:
        """The address as it will be, where it has to answer again. Raises as `meet_new`."""
        if body.url is not None:
            await self._admit(body.url)
        met = self._to_meet(row, body)
        if met is not None:
            await self._meet(met)
        return met

    async def change(self, unit: Unit, asker: Asker, callback_id: str, body: ChangeCallback, met: Met | None) -> dict[str, Any]:
        """`met` is what `meet_changed` gave. Raises `Rejected`."""
        await store.lock_tenant(unit.connection, asker.tenant_id)
        row = await self._locked(unit, asker, callback_id)
        if body.verify_token is not None and row["format"] != CallbackFormat.META:
            raise _wrong("/verify_token", "verify_token.surplus", "belongs to Meta's format only")
        if self._to_meet(row, body) not in {None, met}:
            raise Rejected("callback.changed", "Somebody else has changed it meanwhile; look at it and try again.", 409)
        given = body.model_fields_set
        await _check_numbers(unit, asker, body.number_ids)
        is_enabled = row["state"] == CallbackState.ENABLED if body.enabled is None else body.enabled
        definition = Definition(
            body.name if "name" in given else row["name"],
            body.url or row["url"],
            body.events or row["events"],
            body.number_ids if "number_ids" in given else row["number_ids"],
            CallbackState.ENABLED if is_enabled else CallbackState.DISABLED,
            None if is_enabled else row["reason"] or BY_TENANT,
        )
        token = row["sealed_verify_token"]
        if body.verify_token is not None:
            token = self._keys.seal_verify_token(asker.tenant_id, callback_id, body.verify_token.get_secret_value())
        await store.change(unit.connection, callback_id, definition, token, asker.now)
        await settle(unit, asker.tenant_id)
        return await _read(unit, asker, callback_id)

    async def rotate(self, unit: Unit, asker: Asker, callback_id: str, body: RotateSecret) -> dict[str, Any]:
        """With the new secret, as it is sealed."""
        row = await self._locked(unit, asker, callback_id)
        form = CallbackFormat(row["format"])
        if secret_fault(form, body.secret):
            raise _wrong("/secret", "secret.format", "must be `whsec_` and 24 to 64 bytes in base64")
        secret = new_secret(form) if body.secret is None else body.secret.get_secret_value()
        sealed = self._keys.seal(asker.tenant_id, callback_id, secret)
        await store.rotate(unit.connection, callback_id, sealed, body.previous_secret_for, asker.now)
        return {**await _read(unit, asker, callback_id), "secret": sealed}

    async def delete(self, unit: Unit, asker: Asker, callback_id: str) -> None:
        """Nothing more is told, its log goes within minutes."""
        await store.lock_tenant(unit.connection, asker.tenant_id)
        if not await store.delete(unit.connection, asker.tenant_id, callback_id, asker.now):
            raise unknown()
        await settle(unit, asker.tenant_id)

    async def _admit(self, url: str) -> None:
        """Plain http is for receivers in networks that the operator trusts: for all others it is refused."""
        try:
            check_url(url, self._networks, schemes=_TRUSTED_SCHEMES if self._networks.allowed else _SCHEMES)
        except Forbidden:
            raise _wrong("/url", "address.forbidden", "must be an https URL of a public address") from None
        parsed = URL(url)
        if parsed.scheme == "http" and not await self._hosts.are_trusted(parsed.host or ""):
            raise _wrong("/url", "address.forbidden", "must be https: plain http is for hosts in allowed networks only")

    def _to_meet(self, row: asyncpg.Record, body: ChangeCallback) -> Met | None:
        if row["format"] != CallbackFormat.META or (body.url in {None, row["url"]} and body.verify_token is None):
            return None
        if body.verify_token is not None:
            return Met(body.url or row["url"], body.verify_token.get_secret_value())
        try:
            token = self._keys.open_verify_token(row["tenant_id"], row["id"], row["sealed_verify_token"])
        except SealError:
            raise _wrong("/verify_token", Code.FIELD_MISSING, "cannot be read any more; give it again") from None
        return Met(body.url or row["url"], token)

    async def _meet(self, met: Met) -> None:
        fault = await self._poster.shake_hands(met.url, met.verify_token)
        if fault is not None:
            raise _wrong("/url", "callback.not_verified", f"does not answer the challenge as it must ({fault})")

    async def _locked(self, unit: Unit, asker: Asker, callback_id: str) -> asyncpg.Record:
        row = await store.lock(unit.connection, asker.tenant_id, callback_id)
        if row is None:
            raise unknown()
        return row


async def turn_off(outbox: Outbox, tenant_id: TenantId, callback_id: str, reason: str, *, url: str | None = None) -> None:
    """What its receiver at that URL, or five days of failures, have decided. Twice is safe."""
    async with outbox.transaction() as unit:
        await store.lock_tenant(unit.connection, tenant_id)
        if not await store.disable(unit.connection, callback_id, reason, url):
            return
        await settle(unit, tenant_id)
    log.warning("callback.disabled", tenant_id=tenant_id, callback_id=callback_id, code=reason)


async def settle(unit: Unit, tenant_id: TenantId) -> None:
    """Tell whether the tenant watches, where that has changed."""
    changed = await store.settle_tenant(unit.connection, tenant_id)
    if changed is not None:
        revision, is_watched = changed
        unit.emit(CallbacksWatched(tenant_id=tenant_id, revision=revision, is_watched=is_watched))


def unknown() -> Rejected:
    return Rejected("callback.unknown", "There is no such callback.", 404)


def resting_until(row: asyncpg.Record, now: datetime, wait: float = 0.0) -> datetime | None:
    """Before then nothing of what is told goes to the callback: it has asked for quiet, or its circuit is open for `wait` seconds.
    None where it does not rest."""
    if row["state"] != CallbackState.ENABLED:
        return None
    asked: datetime | None = row["rests_until"]
    ends = [asked] if asked is not None and asked > now else []
    return max([*ends, now + timedelta(seconds=wait)] if wait > 0 else ends, default=None)


def view(row: asyncpg.Record, rest: datetime | None) -> dict[str, Any]:
    """A `CallbackView`. `rest` is what `resting_until` says."""
    shown = {
        name: row[name]
        for name in (
            "id",
            "url",
            "format",
            "name",
            "events",
            "number_ids",
            "state",
            "reason",
            "disabled_at",
            "failing_since",
            "created_at",
            "updated_at",
        )
        if row[name] is not None
    }
    ends = {"rests_until": rest, "previous_secret_until": row["previous_until"]}
    return shown | {name: moment for name, moment in ends.items() if moment is not None}


async def _check_numbers(unit: Unit, asker: Asker, number_ids: list[str] | None) -> None:
    if not number_ids:
        return
    foreign = await store.foreign_numbers(unit.connection, asker.tenant_id, number_ids)
    faults = [
        FieldError(f"/number_ids/{place}", "number.unknown", "is not a number of yours")
        for place, number_id in enumerate(number_ids)
        if number_id in foreign
    ]
    if faults:
        raise Rejected(Code.REQUEST_INVALID, f"{faults[0].pointer} {faults[0].detail}.", errors=faults)


async def _read(unit: Unit, asker: Asker, callback_id: str) -> dict[str, Any]:
    row = await store.find(unit.connection, asker.tenant_id, callback_id)
    assert row is not None
    return view(row, resting_until(row, asker.now))


def _wrong(pointer: str, code: str, detail: str) -> Rejected:
    return Rejected(Code.REQUEST_INVALID, f"{pointer} {detail}.", errors=[FieldError(pointer, code, detail)])
