"""The archive's part in the erasure of a person: their conversations as a whole, what they said among others, and all that was made
of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from services.archive.cache import Changes
from services.archive.store import erasing as store
from services.archive.store import statistics
from services.archive.store.removal import remove
from shared.bus.outbox import Unit
from shared.db.pool import Connection
from shared.erasure.everywhere import EVERYWHERE
from shared.erasure.person import Person
from shared.erasure.steps import Find, Found, Part, Parts
from shared.ids import TenantId


def parts(changes: Changes) -> Parts:
    """Imports before the entries that they would bring again; titles before who speaks, whose names they may be; who speaks before
    what they said, so that nothing is added to it; exports after the entries, so that none that is made later holds any; who it was
    comes last, for all else is found by it."""

    async def tell(tenant_id: TenantId, conversation_ids: Sequence[str]) -> None:
        await changes.changed(conversation_ids, [tenant_id])
        await changes.counted(conversation_ids, [tenant_id])  # which name participants

    return Parts([replace(part, find=_in_turn(part.find)) for part in _PARTS], tell)


def _in_turn(find: Find) -> Find:
    async def found(connection: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
        await store.take_turn(connection, tenant_id)
        return await find(connection, tenant_id, person, after)

    return found


async def _imports(unit: Unit, _: TenantId, __: Person, import_nos: Sequence[int]) -> None:
    await store.delete_imports(unit.connection, import_nos)


async def _imports_naming(unit: Unit, _: TenantId, __: Person, items: Sequence[tuple[int, Sequence[str]]]) -> None:
    await store.unname_imports(unit.connection, items)


async def _entries(unit: Unit, _: TenantId, __: Person, keys: Sequence[store.EntryKey]) -> None:
    await remove(unit.connection, keys)


async def _titles(unit: Unit, _: TenantId, __: Person, called: Sequence[store.Called]) -> None:
    await store.rename_chats(unit.connection, called)


async def _speakers(unit: Unit, _: TenantId, __: Person, participant_nos: Sequence[int]) -> int:
    return await store.set_apart(unit.connection, participant_nos)


async def _spoken(unit: Unit, _: TenantId, __: Person, items: Sequence[store.Spoken]) -> None:
    if quotes := [one.key for one in items if not one.is_theirs]:
        await store.forget_quotes(unit.connection, quotes)
    await remove(unit.connection, [one.key for one in items if one.is_theirs])


async def _reactions(unit: Unit, _: TenantId, person: Person, keys: Sequence[store.EntryKey]) -> None:
    await store.forget_reactions(unit.connection, person, keys)


async def _amendments(unit: Unit, _: TenantId, __: Person, event_ids: Sequence[str]) -> None:
    await store.delete_amendments(unit.connection, event_ids)


async def _exports(unit: Unit, tenant_id: TenantId, _: Person, items: Sequence[tuple[str, Sequence[str]]]) -> None:
    await store.delete_exports(unit.connection, tenant_id, items)


async def _conversations(unit: Unit, tenant_id: TenantId, _: Person, items: Sequence[tuple[str, int]]) -> int:
    """Their days are counted anew at once; what is still to be counted out of statistics and lexicon keeps them for so long."""
    await statistics.hasten(unit.connection, [number for _, number in items])
    return await store.delete_drained(unit.connection, tenant_id, [id_ for id_, _ in items])


async def _participants(unit: Unit, _: TenantId, __: Person, items: Sequence[tuple[int, int]]) -> int:
    await statistics.hasten(unit.connection, sorted({conversation_no for _, conversation_no in items}))
    return await store.delete_participants(unit.connection, [number for number, _ in items])


async def _progress(unit: Unit, tenant_id: TenantId, _: Person, message_ids: Sequence[str]) -> None:
    await store.delete_progress(unit.connection, tenant_id, message_ids)


_PARTS: Final = (
    Part("imports", store.imports, _imports),
    Part("entries", store.entries, _entries),
    Part("titles", store.titles, _titles),
    Part("speakers", store.speakers, _speakers),
    Part("spoken", store.spoken, _spoken),
    Part("reactions", store.reactions, _reactions),
    Part("amendments", store.amendments, _amendments),
    Part("progress", store.progress, _progress),
    Part("exports", store.exports_holding, _exports),
    Part("import_reports", store.imports_naming, _imports_naming),
    Part("conversations", store.conversations, _conversations),
    Part("participants", store.participants, _participants),
    *EVERYWHERE,
)
