"""Groups: what they are called and who is in them. What is read often is cached, and forgotten with every write."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Final

import asyncpg
import orjson

from services.gateway.domain.phone import parse_phone
from services.gateway.payloads.groups import (
    ChangeGroup,
    CreateGroup,
    GroupView,
    MemberFault,
    Members,
    MembersAdded,
    MembersRemoved,
)
from services.gateway.store import groups as store
from shared.cache import Cache, CacheCounts, key_of
from shared.db.pool import Connection, Pool
from shared.errors import Rejected
from shared.http.responses import json_bytes
from shared.ids import TenantId, new_id

PREFIX: Final = "groups"
"""Of their entries in Redis."""
GROUP_SECONDS: Final = 300
ALL_SECONDS: Final = 600
FIRST_GROUPS: Final = 500
"""Of a tenant, oldest first, kept together: as many as a page can have."""


class Groups:
    """Reads go through the cache; whoever has written calls `forget` after the commit."""

    def __init__(self, pool: Pool, cache: Cache) -> None:
        self._pool = pool
        self._cache = cache

    @property
    def cache_counts(self) -> CacheCounts:
        """What the cache of groups has been good for."""
        return self._cache.counts

    async def find(self, tenant_id: TenantId, group_id: str) -> bytes:
        """The group as it is shown, in JSON. Raises `Rejected` 404."""

        async def load() -> bytes | None:
            row = await store.find(self._pool, tenant_id, group_id)
            return None if row is None else json_bytes(view(row))

        found = await self._cache.get_or_set(_key(tenant_id, group_id), GROUP_SECONDS, load)
        if found is None:
            raise unknown()
        return found

    async def page(self, tenant_id: TenantId, *, after: str | None, limit: int) -> Sequence[GroupView]:
        """Up to `limit` groups and one more where there are more, oldest first."""
        if after is not None or limit >= FIRST_GROUPS:
            return [view(row) for row in await store.page(self._pool, tenant_id, after=after, limit=limit + 1)]

        async def load() -> bytes:
            rows = await store.page(self._pool, tenant_id, after=None, limit=FIRST_GROUPS)
            return json_bytes([view(row) for row in rows])

        found = await self._cache.get_or_set(_key(tenant_id, "all"), ALL_SECONDS, load)
        assert found is not None
        return [GroupView.model_validate(group) for group in orjson.loads(found)[: limit + 1]]

    async def forget(self, tenant_id: TenantId, *group_ids: str) -> None:
        """Read these groups, and the list of all, anew when they are next asked for."""
        await self._cache.invalidate(_key(tenant_id, "all"), *(_key(tenant_id, group_id) for group_id in group_ids))


def _key(tenant_id: TenantId, name: str) -> str:
    return key_of(PREFIX, tenant_id, name)


async def create(connection: Connection, tenant_id: TenantId, body: CreateGroup) -> GroupView:
    return view(await store.insert(connection, tenant_id, new_id("grp"), body.name, body.description))


async def change(connection: Connection, tenant_id: TenantId, group_id: str, body: ChangeGroup) -> GroupView:
    """Raises `Rejected` 404."""
    row = await store.update(
        connection,
        tenant_id,
        group_id,
        name=body.name,
        describes="description" in body.model_fields_set,
        description=body.description,
    )
    if row is None:
        raise unknown()
    return view(row)


async def add_members(connection: Connection, tenant_id: TenantId, group_id: str, members: Members) -> MembersAdded:
    """Add those who are contacts and name the others. Raises `Rejected` 404 where there is no such group."""
    if await store.find(connection, tenant_id, group_id) is None:
        raise unknown()
    phones = await _parsed(members.phones)
    rows = await store.lock_contacts(
        connection, tenant_id, members.contact_ids, [phone for phone in phones if phone is not None]
    )
    ids, numbers = {row["id"] for row in rows}, {row["phone"] for row in rows}
    faults = [
        MemberFault(pointer=f"/contact_ids/{index}", code="contact.unknown", detail="is not a contact of yours")
        for index, contact_id in enumerate(members.contact_ids)
        if contact_id not in ids
    ]
    for index, phone in enumerate(phones):
        if phone is None:
            faults.append(MemberFault(pointer=f"/phones/{index}", code="phone.invalid", detail="is not a phone number"))
        elif phone not in numbers:
            faults.append(
                MemberFault(pointer=f"/phones/{index}", code="contact.unknown", detail="is not a contact's phone number")
            )
    try:
        added = await store.add(connection, tenant_id, group_id, sorted(ids))
    except asyncpg.ForeignKeyViolationError:  # deleted since we looked
        raise unknown() from None
    return MembersAdded(
        added=added,
        unchanged=len(ids) - added,
        rejected=len(faults),
        member_count=await _count(connection, tenant_id, group_id),
        errors=faults or None,
    )


async def join(connection: Connection, tenant_id: TenantId, joining: Collection[tuple[str, str]]) -> Sequence[str]:
    """Make locked contacts members of groups: pairs of a group's name and a contact's id. Of several groups with a name the oldest
    is meant; where there is none it is made. Returns the groups' ids. Raises asyncpg's `ForeignKeyViolationError` where one is
    being deleted."""
    names = {name for name, _ in joining}
    ids = await store.named(connection, tenant_id, names)
    if len(ids) < len(names):
        await store.lock_names(connection, tenant_id)  # somebody else may just be making them
        ids = await store.named(connection, tenant_id, names)
        new = {name: new_id("grp") for name in sorted(names - ids.keys())}
        await store.insert_named(connection, tenant_id, new)
        ids = {**ids, **new}
    await store.join(connection, tenant_id, [(ids[name], contact_id) for name, contact_id in joining])
    return list(ids.values())


async def remove_members(connection: Connection, tenant_id: TenantId, group_id: str, members: Members) -> MembersRemoved:
    """Remove those who are members; the others do not matter. Raises `Rejected` 404 where there is no such group."""
    if await store.find(connection, tenant_id, group_id) is None:
        raise unknown()
    phones = [phone for phone in await _parsed(members.phones) if phone is not None]
    removed = await store.remove(connection, tenant_id, group_id, members.contact_ids, phones)
    return MembersRemoved(removed=removed, member_count=await _count(connection, tenant_id, group_id))


async def _parsed(phones: Sequence[str]) -> list[str | None]:
    """Beside the loop: ten thousand take half a second."""
    return await asyncio.to_thread(lambda: [parse_phone(phone) for phone in phones]) if phones else []


async def _count(connection: Connection, tenant_id: TenantId, group_id: str) -> int:
    row = await store.find(connection, tenant_id, group_id)
    if row is None:
        raise unknown()
    return int(row["member_count"])


def view(row: asyncpg.Record) -> GroupView:
    return GroupView(
        id=row["id"],
        name=row["name"],
        description=row["description"],
        member_count=row["member_count"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def unknown() -> Rejected:
    return Rejected("group.unknown", "There is no such group.", 404)
