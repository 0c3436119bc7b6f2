"""What is known of WhatsApp's templates: merged from readings and webhooks, told where it matters to sending, checked against."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import asyncpg
import orjson

from services.gateway.domain.template import DELETED, Shape, held_by
from services.gateway.domain.template_notice import Notice
from services.gateway.store import templates as store
from services.gateway.store.templates import Name
from shared.bus.outbox import Unit
from shared.clock import Clock
from shared.db.pool import Connection, Pool
from shared.errors import FieldError
from shared.events.catalogue import TemplateChanged
from shared.events.values import Content
from shared.ids import TenantId, new_id

FRESH_SECONDS: Final = 5.0
CACHED: Final = 10_000
_TICK: Final = timedelta(microseconds=1)
_SAME: Final = timedelta(milliseconds=1)
"""Of several things told of one moment each is a tick later, so that all count."""
_WHOLE_SECOND: Final = timedelta(seconds=1) - _TICK
"""A webhook's time is cut to seconds: what happened may have happened at their end."""
_TOLD: Final = ("provider_id", "status", "held", "category", "quality", "reason", "parameter_format", "components")
_MATTERS: Final = ("held", "category")
"""What others are told of."""

Shapes = Mapping[tuple[str, str], Sequence[Shape]]
"""What is known of templates by name and language: one for each account that has such a template."""


class Described(NamedTuple):
    """A template as a reading of its account has it."""

    name: str
    language: str
    provider_id: str | None
    status: str
    category: str | None
    quality: str | None
    reason: str | None
    parameter_format: str | None
    components: list[dict[str, Any]] | None


async def take_reading(
    unit: Unit, tenant_id: TenantId, account_id: str, described: Iterable[Described], as_of: datetime
) -> None:
    """All templates of an account, as they were at `as_of` or after; those that are not among them are deleted. What was told of a
    later moment stays."""
    known = {(row["name"], row["language"]): row for row in await store.lock_account(unit.connection, tenant_id, account_id)}
    states: list[tuple[Name, asyncpg.Record | None, dict[str, Any]]] = []
    for one in described:
        row = known.pop((one.name, one.language), None)
        state = {**one._asdict(), "held": held_by(one.status)}
        states.append(((tenant_id, account_id, one.name, one.language), row, state))
    for (name, language), row in known.items():
        states.append(((tenant_id, account_id, name, language), row, {"status": DELETED, "held": held_by(DELETED)}))
    await _merge(unit, states, as_of)


async def take_notices(unit: Unit, told: Sequence[tuple[TenantId, Notice]], now: datetime) -> None:
    """What webhooks tell; a template that no reading has brought yet is known from then on. What is said of an account in which the
    tenant has no number is not believed."""
    own = await store.own_accounts(unit.connection, {(tenant_id, notice.account_id) for tenant_id, notice in told})
    for at, batch in _by_moment(told, own, now):
        rows = {_name_of(row): row for row in await store.lock_named(unit.connection, batch)}
        await _merge(unit, [(name, rows.get(name), _state(notice, rows.get(name))) for name, notice in batch.items()], at)


def _by_moment(
    told: Sequence[tuple[TenantId, Notice]], own: set[tuple[str, str]], now: datetime
) -> list[tuple[datetime, dict[Name, Notice]]]:
    """The notices of each moment together, at most one of a template: the statement that writes them takes each row once."""
    batches: list[tuple[datetime, dict[Name, Notice]]] = []
    moments = [(now if notice.at is None else min(notice.at + _WHOLE_SECOND, now), tenant, notice) for tenant, notice in told]
    for at, tenant_id, notice in sorted(moments, key=lambda moment: moment[0]):
        if (tenant_id, notice.account_id) not in own:
            continue
        name = tenant_id, notice.account_id, notice.name, notice.language
        if not batches or batches[-1][0] != at or name in batches[-1][1]:
            batches.append((at, {}))
        batches[-1][1][name] = notice
    return batches


def _state(notice: Notice, row: asyncpg.Record | None) -> dict[str, Any]:
    """What the notice tells; a template nobody has read yet, and of which it tells no status, is sent until something says not."""
    state: dict[str, Any] = {
        name: value for name in ("provider_id", "category", "quality") if (value := getattr(notice, name)) is not None
    }
    status = notice.status or (None if row is not None else "unknown")
    if status is not None:
        state |= {"status": status, "held": held_by(status), "reason": notice.reason}
    return state


async def _merge(unit: Unit, states: Iterable[tuple[Name, asyncpg.Record | None, Mapping[str, Any]]], at: datetime) -> None:
    """Write what is new and no older than what is known, and tell what matters to sending."""
    rows: list[Sequence[object]] = []
    for name, row, state in states:
        if row is not None and row["status_at"] > at + _SAME:
            continue
        before = {column: None if row is None else _plain(row, column) for column in _TOLD}
        after = {**before, **{column: state[column] for column in _TOLD if column in state}}
        if row is not None and after == before:
            continue
        moment = at if row is None else max(at, row["status_at"] + _TICK)
        rows.append(_values(new_id("tpl") if row is None else row["id"], name, after, moment))
        if row is None or any(after[column] != before[column] for column in _MATTERS):
            unit.emit(_changed(name, after, moment))
    await store.put_whatsapp(unit.connection, rows)


def _plain(row: asyncpg.Record, column: str) -> Any:
    value = row[column]
    return orjson.loads(value) if column == "components" and value is not None else value


def _values(template_id: str, name: Name, state: Mapping[str, Any], at: datetime) -> Sequence[object]:
    tenant_id, account_id, own_name, language = name
    first = (template_id, tenant_id, account_id, own_name, language, state["provider_id"], state["status"], state["held"], at)
    return (*first, *(state[column] for column in ("category", "quality", "reason", "parameter_format", "components")))


def _changed(name: Name, state: Mapping[str, Any], at: datetime) -> TemplateChanged:
    tenant_id, account_id, own_name, language = name
    return TemplateChanged(
        tenant_id=TenantId(tenant_id),
        account_id=account_id,
        name=own_name,
        language=language,
        category=state["category"],
        held=state["held"],
        changed_at=at,
    )


def _name_of(row: asyncpg.Record) -> Name:
    return row["tenant_id"], row["account_id"], row["name"], row["language"]


def shape_of(row: asyncpg.Record) -> Shape:
    """What a WhatsApp template's components take."""
    return Shape.of(orjson.loads(row["components"] or "null"), row["parameter_format"], row["category"])


async def shapes(connection: Connection | Pool, tenant_id: TenantId, wanted: Iterable[tuple[str, str]]) -> Shapes:
    """What is known of templates by name and language. Those that nobody has read yet are left out."""
    names = set(wanted)
    found: dict[tuple[str, str], list[Shape]] = {}
    for row in await store.shapes(connection, tenant_id, names) if names else ():
        found.setdefault((row["name"], row["language"]), []).append(shape_of(row))
    return found


def template_named(content: Content) -> tuple[str, str] | None:
    """Name and language of the template that a content is of; None where it is of none."""
    if content.get("type") != "template":
        return None
    template = content["template"]
    return template["name"], template["language"]["code"]


def parameter_faults(known: Shapes, content: Content) -> list[FieldError]:
    """What the provider would refuse of a template message's parameters. One that is not known passes; of several accounts' the
    closest counts, for the content does not say which one it goes out from."""
    named = template_named(content)
    if named is None or named not in known:
        return []
    given = content["template"].get("components")
    return min((list(shape.faults(given)) for shape in known[named]), key=len)


class TemplateDirectory:
    """What is known of the tenants' templates, read at most every five seconds: every message of one is checked against it."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._known: OrderedDict[tuple[TenantId, str, str], tuple[float, Sequence[Shape]]] = OrderedDict()

    async def known(self, tenant_id: TenantId, wanted: Iterable[tuple[str, str]]) -> Shapes:
        """As `shapes`, for `parameter_faults`."""
        names, now = set(wanted), self._clock.monotonic()
        stale = {
            name for name in names if now - self._known.get((tenant_id, *name), (-FRESH_SECONDS - 1, ()))[0] > FRESH_SECONDS
        }
        if stale:
            found = await shapes(self._pool, tenant_id, stale)
            for name in stale:
                self._known[tenant_id, *name] = (now, found.get(name, ()))
                self._known.move_to_end((tenant_id, *name))
        kept = {name: self._known[tenant_id, *name][1] for name in names}
        while len(self._known) > CACHED:
            self._known.popitem(last=False)
        return {name: sequence for name, sequence in kept.items() if sequence}
