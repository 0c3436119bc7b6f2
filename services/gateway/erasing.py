"""The gateway's own part in an erasure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from services.gateway import contacts
from services.gateway.groups import Groups
from services.gateway.live.streams import PAGE, key_of
from services.gateway.media import Media
from services.gateway.store import erasing as store
from shared.bus.outbox import Unit
from shared.db.pool import Connection
from shared.erasure.everywhere import EVERYWHERE
from shared.erasure.person import Person
from shared.erasure.steps import Found, Part, Parts
from shared.ids import TenantId


@dataclass(frozen=True, slots=True)
class OwnParts:
    """With what they need."""

    groups: Groups
    media: Media
    redis: Redis

    def all(self) -> Parts:
        return Parts(
            (
                Part("contacts", store.contacts, self._contacts),
                Part("opt_outs", store.kept_opt_outs, _opt_outs),
                Part("contact_files", store.chunks, _chunks),
                Part("messages", store.messages, _messages),
                Part("payloads", store.payloads, _payloads),
                Part("message_ids", store.graph_ids, _graph_ids),
                Part("media_fetches", store.fetches, _fetches),
                Part("media", store.media, self._media),
                Part("live_updates", self._find_live, self._live),
                *EVERYWHERE,
            )
        )

    async def see_to(self, unit: Unit, tenant_id: TenantId, wamids: Sequence[str]) -> int:
        """Let go of the files that came in these messages; returns how many there were."""
        await store.delete_fetches(unit.connection, tenant_id, wamids)
        await store.delete_graph_ids(unit.connection, tenant_id, wamids)
        ids = await store.media_of(unit.connection, tenant_id, wamids)
        for media_id in ids:
            await self.media.delete(unit, tenant_id, media_id)
        return len(ids)

    async def _contacts(self, unit: Unit, tenant_id: TenantId, _: Person, ids: Sequence[str]) -> None:
        for contact_id in ids:
            groups = await contacts.erase(unit, tenant_id, contact_id)
            if groups:
                await self.groups.forget(tenant_id, *groups)

    async def _media(self, unit: Unit, tenant_id: TenantId, _: Person, ids: Sequence[str]) -> None:
        for media_id in ids:
            await self.media.delete(unit, tenant_id, media_id)

    async def _find_live(self, _: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
        start = f"({after}" if after else "-"
        entries: Any = await self.redis.xrange(key_of(tenant_id), start, count=PAGE)
        found = [position for position, fields in entries if any(person.traces.are_in(value) for value in fields.values())]
        return Found(found, entries[-1][0].decode() if len(entries) == PAGE else None)

    async def _live(self, _: Unit, tenant_id: TenantId, __: Person, positions: Sequence[bytes]) -> None:
        await self.redis.xdel(key_of(tenant_id), *positions)


async def _opt_outs(unit: Unit, tenant_id: TenantId, _: Person, addresses: Sequence[str]) -> None:
    await store.hide_opt_outs(unit.connection, tenant_id, addresses)


async def _chunks(unit: Unit, _: TenantId, person: Person, places: Sequence[tuple[str, int]]) -> None:
    for import_id, number in places:
        await store.rewrite_chunk(unit.connection, person, import_id, number)


async def _messages(unit: Unit, tenant_id: TenantId, _: Person, ids: Sequence[str]) -> None:
    await store.empty_messages(unit.connection, tenant_id, ids)


async def _payloads(unit: Unit, _: TenantId, __: Person, payloads: Sequence[store.Payload]) -> None:
    await store.delete_payloads(unit.connection, [one.id for one in payloads if one.is_quarantined])


async def _graph_ids(unit: Unit, tenant_id: TenantId, _: Person, wamids: Sequence[str]) -> None:
    await store.delete_graph_ids(unit.connection, tenant_id, wamids)


async def _fetches(unit: Unit, tenant_id: TenantId, _: Person, wamids: Sequence[str]) -> None:
    await store.delete_fetches(unit.connection, tenant_id, wamids)
