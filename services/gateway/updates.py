"""Tell tenants who watch what happens to their messages, numbers and contacts.

Who does not watch costs a look into a set: whoever has facts asks `watching` first and makes `Fact`s for those tenants only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from services.gateway.domain import update as compose
from services.gateway.domain.graph_update import Place, named_by
from services.gateway.domain.update import (
    AccountNews,
    Fact,
    Happened,
    Heard,
    IdentityChanged,
    Own,
    PassedOn,
    Reported,
    TemplateNews,
    Update,
)
from services.gateway.domain.wamid import mint
from services.gateway.store import graph_ids
from services.gateway.store import updates as store
from shared.bus.outbox import Outbox, Unit
from shared.clock import Clock
from shared.db.pool import Connection
from shared.events.catalogue import CallbacksWatched, ContactConsentChanged, UpdateTold
from shared.ids import NumberId, TenantId

FRESH_SECONDS: Final = 1.0
"""Who begins to watch is told of all that happens later than this."""


class Watch:
    """The tenants who watch, read at most once a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watched: frozenset[TenantId] = frozenset()
        self._read_at = -FRESH_SECONDS - 1

    async def among(self, connection: Connection, tenant_ids: Iterable[TenantId]) -> frozenset[TenantId]:
        """Those of the tenants who watch."""
        now = self._clock.monotonic()
        if now - self._read_at > FRESH_SECONDS:
            self._read_at, self._watched = now, await store.watched(connection)
        return self._watched.intersection(tenant_ids)


class Updates:
    """Composes what is told, with few statements for all of a batch."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    async def watching(self, unit: Unit, tenant_ids: Iterable[TenantId]) -> frozenset[TenantId]:
        """Those of the tenants who are to be told of updates; usually none, and then there is nothing to do."""
        return await self._watch.among(unit.connection, tenant_ids)

    async def tell(self, unit: Unit, facts: Sequence[Fact]) -> None:
        """Tell these, for tenants who watch: the update is told if what happened is committed. An update that is told twice has the
        same id."""
        if not facts:
            return
        watching = await self.watching(unit, {_tenant_of(fact) for fact in facts})
        facts = [fact for fact in facts if _tenant_of(fact) in watching]
        reports = [fact for fact in facts if isinstance(fact, Reported)]
        number_ids = {number_id for fact in facts if (number_id := _number_of(fact)) is not None}
        places = await store.places(unit.connection, number_ids)
        own = await store.told_messages(unit.connection, {(fact.tenant_id, fact.message_id) for fact in reports})
        wamids = await _minted(unit.connection, facts)
        for fact in facts:
            update = _composed(fact, places, own, wamids)
            if update is not None:
                unit.emit(_told(_tenant_of(fact), update))


def consents_of(unit: Unit, watching: Collection[TenantId]) -> list[Happened]:
    """What this transaction tells of people's consent, of each contact once: others are told of every spelling of a number."""
    told: dict[str, Happened] = {}
    for event in unit.events if watching else ():
        if isinstance(event, ContactConsentChanged) and event.tenant_id in watching:
            told.setdefault(event.contact_id, Happened(event))
    return list(told.values())


async def learn_watched(outbox: Outbox, events: Iterable[CallbacksWatched]) -> None:
    """What the sender says of tenants' callbacks; of several words about one tenant the last counts."""
    latest: dict[TenantId, tuple[int, bool]] = {}
    for event in events:
        latest[event.tenant_id] = max((event.revision, event.is_watched), latest.get(event.tenant_id, (-1, False)))
    async with outbox.transaction() as unit:
        await store.put_watched(unit.connection, latest)


async def _minted(connection: Connection, facts: Iterable[Fact]) -> Mapping[TenantId, Mapping[str, str]]:
    """Of messages that the facts name, those of the front door: what their senders call them, by the provider's wamids."""
    names = {
        (_tenant_of(fact), wamid)
        for fact in facts
        if isinstance(fact, Heard)
        for wamid in named_by(fact.raw or getattr(fact.event, "content", {}))
    }
    found: dict[TenantId, dict[str, str]] = {}
    for (tenant_id, wamid), message_id in (await graph_ids.message_ids(connection, names)).items():
        found.setdefault(tenant_id, {})[wamid] = mint(message_id)
    return found


def _composed(
    fact: Fact,
    places: Mapping[NumberId, Place],
    own: Mapping[store.Key, Own],
    wamids: Mapping[TenantId, Mapping[str, str]],
) -> Update | None:
    match fact:
        case Reported():
            message = own.get((fact.tenant_id, fact.message_id))
            return None if message is None else compose.reported(fact, message, places.get(fact.number_id))
        case Heard():
            return compose.heard(fact, places.get(fact.event.number_id), wamids.get(fact.event.tenant_id, {}))
        case Happened():
            return compose.happened(fact)
        case AccountNews():
            return compose.account_news(fact)
        case IdentityChanged():
            return compose.identity_changed(fact)
        case TemplateNews():
            return compose.template_news(fact)
        case PassedOn():
            return compose.passed_on(fact)


def _tenant_of(fact: Fact) -> TenantId:
    return fact.event.tenant_id if isinstance(fact, Heard | Happened) else fact.tenant_id


def _number_of(fact: Fact) -> NumberId | None:
    """The number whose place the update needs."""
    if isinstance(fact, Heard):
        return fact.event.number_id
    return fact.number_id if isinstance(fact, Reported) else None


def _told(tenant_id: TenantId, update: Update) -> UpdateTold:
    return UpdateTold(
        tenant_id=tenant_id,
        update_id=compose.update_id(tenant_id, update),
        type=update.type,
        number_id=update.number_id,
        at=update.at,
        data=update.data,
        graph=update.graph,
    )
