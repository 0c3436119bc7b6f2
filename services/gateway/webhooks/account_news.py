"""What the provider tells of accounts, numbers and templates, and all that is neither: kept where it matters to us, and told, each
piece once."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import asyncpg
import orjson

from services.gateway.connections import Connections
from services.gateway.domain.number_news import LIMITS, REPORTED, Aspect, digits, said_of, shown_number
from services.gateway.domain.template_notice import is_notice, notice
from services.gateway.domain.update import AccountNews, Fact, PassedOn, TemplateNews
from services.gateway.domain.webhook import FieldChange, Origin, storable
from services.gateway.store import news as store
from services.gateway.store.news import Word
from shared.bus.outbox import Unit
from shared.ids import NumberId, TenantId

_MESSAGES: Final = "messages"


class Told(NamedTuple):
    """A change with whose it is, and its number's id where it names one by the provider's id."""

    tenant_id: TenantId
    number_id: NumberId | None
    change: FieldChange

    @property
    def is_account_news(self) -> bool:
        """True for news of an account or number, errors that belong to no message among them."""
        if self.change.field == _MESSAGES:
            return "errors" in self.change.value and not self.change.value.keys() & {"statuses", "messages"}
        return self.change.field in REPORTED


async def hear_news(
    unit: Unit, told: Sequence[Told], connections: Connections, watching: Collection[TenantId], now: datetime
) -> list[Fact]:
    """Keep what is said of numbers, their limits among it, and pause those that cannot send any more; returns what those are to be
    told who watch, all other fields among it."""
    wanted = [one for one in told if one.is_account_news or one.tenant_id in watching]
    if not wanted:
        return []
    new = await _new_of(unit, wanted)
    facts: list[Fact] = [*await _hear_account_news(unit, [one for one in new if one.is_account_news], connections, now)]
    return facts + [_passed_on(one, now) for one in new if not one.is_account_news]


async def _new_of(unit: Unit, told: Sequence[Told]) -> list[Told]:
    """Those that had not been taken before; they are now."""
    first: dict[tuple[TenantId, bytes], Told] = {}
    for one in told:
        first.setdefault((one.tenant_id, digest_of(one.change.origin, one.change.value)), one)
    new = await store.take(unit.connection, first.keys())
    return [one for key, one in first.items() if key in new]


def digest_of(origin: Origin, value: Any) -> bytes:
    """Names a piece of news that has no id of its own: what it says of which account, and when."""
    named = [origin.account_id, origin.field, origin.at, storable(value)]
    return hashlib.sha256(orjson.dumps(named, option=orjson.OPT_SORT_KEYS)).digest()[:16]


async def _hear_account_news(unit: Unit, new: Sequence[Told], connections: Connections, now: datetime) -> list[AccountNews]:
    if not new:
        return []
    numbers = await store.numbers_of(unit.connection, {(one.tenant_id, one.change.origin.account_id) for one in new})
    facts: list[AccountNews] = []
    words: list[Word] = []
    for one in new:
        origin, value = one.change.origin, storable(one.change.value)
        of_account = [n["id"] for n in numbers if (n["tenant_id"], n["account_id"]) == (one.tenant_id, origin.account_id)]
        number_id = one.number_id or _named(one, numbers)
        about = of_account if number_id is None and shown_number(value) is None else [number_id]
        at = min(origin.at or now, now)
        words += [
            Word(one.tenant_id, about_id, aspect, said, at)
            for aspect, said in said_of(one.change.field, value)
            for about_id in about
            if about_id is not None
        ]
        facts.append(AccountNews(one.tenant_id, origin.account_id, one.change.field, value, origin.at or now, number_id))
    for row in await store.put_health(unit.connection, words):
        number = TenantId(row["tenant_id"]), NumberId(row["number_id"])
        if row["aspect"] == Aspect.STANDING:
            await connections.heed_standing(unit, *number, row["value"])
        elif row["aspect"] in LIMITS:
            await connections.heed_limit(unit, *number, Aspect(row["aspect"]), row["value"])
    return facts


def _named(one: Told, numbers: Iterable[asyncpg.Record]) -> NumberId | None:
    """The number that it names by its phone number."""
    shown = shown_number(one.change.value)
    account = one.tenant_id, one.change.origin.account_id
    for number in numbers if shown is not None else ():
        if (number["tenant_id"], number["account_id"]) == account and digits(number["display_number"]) == shown:
            return NumberId(number["id"])
    return None


def _passed_on(one: Told, now: datetime) -> TemplateNews | PassedOn:
    origin, value = one.change.origin, storable(one.change.value)
    at = origin.at or now
    told = notice(origin.account_id, value, origin.at) if is_notice(value) else None
    if told is None:
        return PassedOn(one.tenant_id, origin.account_id, origin.field, value, at, one.number_id)
    return TemplateNews(
        one.tenant_id,
        told.account_id,
        told.name,
        told.language,
        origin.field,
        value,
        at,
        status=told.status,
        category=told.category,
        quality=told.quality,
        reason=told.reason,
    )
