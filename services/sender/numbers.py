"""The numbers as the sender needs them: the route of their messages, their limits, whether they are paused. Secrets are opened
here, in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import asyncpg
import structlog
from yarl import URL

from services.sender.limits import LimitSettings, NumberLimits, limits_of
from services.sender.provider.interface import Address, Route
from services.sender.provider.routes import open_route
from services.sender.provider.upload import Place, place_of
from services.sender.store import numbers
from services.sender.store.numbers import Template
from shared.auth.seal import Sealer, SealError
from shared.bus.outbox import Outbox
from shared.clock import Clock
from shared.db.pool import Pool
from shared.events.catalogue import NumberConnected
from shared.events.values import Profile, Provider
from shared.ids import NumberId, TenantId

log = structlog.get_logger(__name__)

FRESH_SECONDS: Final = 5.0
TOKEN_UNREADABLE: Final = "number.token_unreadable"  # noqa: S105  # a code, no secret
"""It was sealed with another master key: as if paused, until that key or a new token is there."""


@dataclass(frozen=True, slots=True, repr=False)
class Number:
    """A number's record of one revision. `account` is whose templates it sends; `breakers` are the keys of the circuit breakers
    that its calls count for, its own and its provider's. `route` holds the token, so this has no `repr`."""

    number_id: NumberId
    tenant_id: TenantId
    account: str
    revision: int
    paused: str | None
    route: Route
    limits: NumberLimits
    breakers: tuple[str, str]
    provider: Provider
    files: Place | None = None
    """Where its files go up; None: its provider keeps none."""


class Numbers:
    """The numbers by id, read at most every five seconds; a change told to this process counts at once."""

    def __init__(self, pool: Pool, sealer: Sealer, clock: Clock, settings: LimitSettings) -> None:
        self._pool = pool
        self._sealer = sealer
        self._clock = clock
        self._settings = settings
        self._read_at: dict[str, float] = {}
        self._known: dict[str, Number] = {}
        self._resting: dict[Template, tuple[str, float]] = {}
        self.hits = self.misses = 0
        """Of those asked for, how many were fresh and how many were not."""

    async def of(self, number_ids: Iterable[str]) -> dict[str, Number]:
        """The numbers that are known; two queries for all that are not fresh. A record that is told while they run is not lost:
        what was read before is not kept as fresh."""
        now = self._clock.monotonic()
        wanted = set(number_ids)
        stale = [i for i in wanted if i not in self._known or now - self._read_at.get(i, -FRESH_SECONDS) >= FRESH_SECONDS]
        self.misses += len(stale)
        self.hits += len(wanted) - len(stale)
        if stale:
            for number_id in stale:
                self._read_at[number_id] = now
            opened = [self._open(row) for row in await numbers.select(self._pool, stale)]
            accounts = {number.account for number in opened}
            resting = await numbers.paused_templates(self._pool, sorted(accounts))
            found: dict[str, Number] = {number.number_id: number for number in opened}
            for number_id in stale:
                if number_id not in found:
                    self._known.pop(number_id, None)
                    self._read_at.pop(number_id, None)
                elif (known := self._known.get(number_id)) is None or known.revision <= found[number_id].revision:
                    self._known[number_id] = found[number_id]
            self._rest(accounts, resting, now)
        return {i: self._known[i] for i in wanted if i in self._known}

    def paused(self, number: Number) -> str | None:
        """Why nothing is to be sent from it now; asked again right before a call."""
        known = self._known.get(number.number_id, number)
        return known.paused if known.revision >= number.revision else number.paused

    def resting(self, number: Number, content: Mapping[str, Any]) -> tuple[str, float] | None:
        """Where the content is a template that rests: why, and for how many seconds still."""
        template = template_of(number.account, content)
        if template is None or template not in self._resting:
            return None
        code, until = self._resting[template]
        left = until - self._clock.monotonic()
        return (code, left) if left > 0 else None

    def pause(self, number: Number, code: str) -> bool:
        """The provider takes nothing from it: known here at once, by everybody when the gateway has told. False where a later
        revision of its record is known, which may have repaired it."""
        known = self._known.get(number.number_id)
        if known is None or known.revision != number.revision:
            return False
        self._known[number.number_id] = replace(known, paused=code)
        return True

    def rest(self, pauses: Mapping[Template, tuple[str, float]]) -> None:
        """These templates rest: known here at once, by the other processes when they read again."""
        now = self._clock.monotonic()
        self._resting.update({template: (code, now + seconds) for template, (code, seconds) in pauses.items()})

    def forget(self, number_ids: Iterable[str]) -> None:
        """Read these anew when they are next asked for."""
        for number_id in number_ids:
            self._read_at.pop(number_id, None)

    def known(self) -> Sequence[Number]:
        """Those in use by this process, for operators."""
        return list(self._known.values())

    def in_use(self, seconds: float) -> Sequence[Number]:
        """Those of them that were read within so many seconds, because something was to be sent from them."""
        since = self._clock.monotonic() - seconds
        return [number for number_id, number in self._known.items() if self._read_at.get(number_id, since) > since]

    def _rest(self, accounts: set[str], resting: Mapping[Template, tuple[str, float]], now: float) -> None:
        kept = {t: pause for t, pause in self._resting.items() if t.account not in accounts and pause[1] > now}
        self._resting = kept | {template: (code, now + seconds) for template, (code, seconds) in resting.items()}

    def _open(self, row: asyncpg.Record) -> Number:
        number_id, tenant_id = NumberId(row["number_id"]), TenantId(row["tenant_id"])
        token, paused = "", row["paused"]
        try:
            token = self._sealer.open(tenant_id, "numbers.access_token", number_id, row["sealed_access_token"])
        except SealError as error:
            log.error("number.token_unreadable", number_id=number_id, reason=str(error))
            paused = paused or TOKEN_UNREADABLE
        address = Address(
            Provider(row["provider"]),
            row["provider_url"],
            row["phone_number_id"],
            row["account_id"],
            row["display_number"],
            row["callback_url"],
        )
        return Number(
            number_id,
            tenant_id,
            row["account_id"] or number_id,
            row["revision"],
            paused,
            open_route(address, token),
            limits_of(
                self._settings,
                tenant_id=tenant_id,
                phone_number_id=row["phone_number_id"],
                per_second=row["messages_per_second"],
                profile=Profile(row["profile"]),
                calls_per_hour=row["calls_per_hour"],
                portfolio_id=row["portfolio_id"] or row["account_id"],
                unique_users_per_day=row["unique_users_per_day"],
            ),
            (f"pn:{row['phone_number_id']}", f"host:{URL(row['provider_url']).origin()}"),
            address.provider,
            place_of(address, token),
        )


def template_of(account: str, content: Mapping[str, Any]) -> Template | None:
    """The template that a message is made of, if it is."""
    match content.get("template"):
        case {"name": str(name), "language": {"code": str(language)}}:
            return Template(account, name, language)
    return None


async def know(outbox: Outbox, directory: Numbers, events: Sequence[NumberConnected]) -> None:
    """Keep the record of the numbers."""
    async with outbox.transaction() as unit:
        for event in sorted(events, key=lambda event: event.number_id):
            await numbers.upsert(unit.connection, event)
    directory.forget(event.number_id for event in events)
