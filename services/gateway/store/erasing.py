"""What the gateway keeps of people, found page by page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from services.gateway.store.webhooks import whole
from shared.db.pool import Connection
from shared.db.queries import Queries
from shared.erasure.person import Person
from shared.erasure.steps import Found
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("erasing.sql"))
FIND_CONTACTS: Final = sql["find_contacts"]
FIND_KEPT: Final = sql["find_kept_opt_outs"]
HIDE_OPT_OUTS: Final = sql["hide_opt_outs"]
LOOK_THROUGH_MESSAGES: Final = sql["look_through_messages"]
EMPTY_MESSAGES: Final = sql["empty_messages"]
PAGE_OF_PAYLOADS: Final = sql["page_of_payloads"]
DELETE_PAYLOADS: Final = sql["delete_payloads"]
PAGE_OF_GRAPH_IDS: Final = sql["page_of_graph_ids"]
DELETE_GRAPH_IDS: Final = sql["delete_graph_ids"]
PAGE_OF_MEDIA: Final = sql["page_of_received_media"]
MEDIA_OF_MESSAGES: Final = sql["media_of_messages"]
PAGE_OF_FETCHES: Final = sql["page_of_fetches"]
DELETE_FETCHES: Final = sql["delete_fetches"]
PAGE_OF_CHUNKS: Final = sql["page_of_chunks"]
LOCK_CHUNK: Final = sql["lock_chunk"]
REWRITE_CHUNK: Final = sql["rewrite_chunk"]

PAGE: Final = 5_000
PAYLOADS: Final = 100
"""A payload has up to three megabytes."""
CHUNKS: Final = 50
_BETWEEN: Final = "\x1f"
"""Of the two halves of a place."""


class Payload(NamedTuple):
    id: int
    is_quarantined: bool


async def contacts(connection: Connection, tenant_id: TenantId, person: Person, _: str) -> Found:
    rows = await connection.fetch(FIND_CONTACTS, tenant_id, person.addresses, person.contact_ids)
    return Found([row["id"] for row in rows])


async def kept_opt_outs(connection: Connection, tenant_id: TenantId, person: Person, _: str) -> Found:
    rows = await connection.fetch(FIND_KEPT, tenant_id, person.addresses)
    return Found([row["phone"] for row in rows])


async def hide_opt_outs(connection: Connection, tenant_id: TenantId, addresses: Sequence[str]) -> None:
    """Their opt-outs stay, and nobody can read from them whose they are."""
    await connection.execute(HIDE_OPT_OUTS, tenant_id, addresses)


async def messages(connection: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
    row = await connection.fetchrow(LOOK_THROUGH_MESSAGES, tenant_id, after, person.spellings, person.contact_ids, PAGE)
    assert row is not None
    return Found(row["ids"], row["last"] if row["looked_at"] == PAGE else None)


async def empty_messages(connection: Connection, tenant_id: TenantId, ids: Sequence[str]) -> None:
    """What is left of them is nobody's."""
    await connection.execute(EMPTY_MESSAGES, tenant_id, ids)


async def payloads(connection: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
    """Those that speak of the person. What else is in such a payload goes with it: it could not be read."""
    rows = await connection.fetch(PAGE_OF_PAYLOADS, tenant_id, int(after or 0), PAYLOADS)
    found = [
        Payload(row["id"], row["is_quarantined"]) for row in rows if person.traces.are_in(whole(row["body"], row["length"]))
    ]
    return Found(found, str(rows[-1]["id"]) if len(rows) == PAYLOADS else None)


async def delete_payloads(connection: Connection, ids: Sequence[int]) -> None:
    """Those among them that are set aside."""
    await connection.execute(DELETE_PAYLOADS, ids)


async def graph_ids(connection: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
    return await _by_wamid(connection, PAGE_OF_GRAPH_IDS, tenant_id, person, after)


async def delete_graph_ids(connection: Connection, tenant_id: TenantId, wamids: Sequence[str]) -> None:
    await connection.execute(DELETE_GRAPH_IDS, tenant_id, wamids)


async def fetches(connection: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
    return await _by_wamid(connection, PAGE_OF_FETCHES, tenant_id, person, after)


async def delete_fetches(connection: Connection, tenant_id: TenantId, wamids: Sequence[str]) -> None:
    """The files that came in these messages are not fetched any more."""
    await connection.execute(DELETE_FETCHES, tenant_id, wamids)


async def media(connection: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
    """Files of messages whose wamid tells the number."""
    wamid, _, media_id = after.partition(_BETWEEN)
    rows = await connection.fetch(PAGE_OF_MEDIA, tenant_id, wamid, media_id, PAGE)
    found = [row["id"] for row in rows if person.traces.name(row["wamid"])]
    return Found(found, f"{rows[-1]['wamid']}{_BETWEEN}{rows[-1]['id']}" if len(rows) == PAGE else None)


async def media_of(connection: Connection, tenant_id: TenantId, wamids: Sequence[str]) -> list[str]:
    """Files that came in these messages."""
    return [row["id"] for row in await connection.fetch(MEDIA_OF_MESSAGES, tenant_id, wamids)]


async def chunks(connection: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
    """(import, number) of records of contact files that speak of the person."""
    import_id, _, number = after.partition(_BETWEEN)
    rows = await connection.fetch(PAGE_OF_CHUNKS, tenant_id, import_id, int(number or 0), CHUNKS)
    found = [(row["import_id"], row["number"]) for row in rows if person.traces.are_in(row["records"])]
    return Found(found, f"{rows[-1]['import_id']}{_BETWEEN}{rows[-1]['number']}" if len(rows) == CHUNKS else None)


async def rewrite_chunk(connection: Connection, person: Person, import_id: str, number: int) -> None:
    """Without the person's records."""
    kept = await connection.fetchval(LOCK_CHUNK, import_id, number)
    if kept is not None:  # else it has been processed meanwhile
        records: list[Any] = [one for one in orjson.loads(kept) if not person.traces.are_in(orjson.dumps(one))]
        await connection.execute(REWRITE_CHUNK, import_id, number, orjson.dumps(records))


async def _by_wamid(connection: Connection, query: str, tenant_id: TenantId, person: Person, after: str) -> Found:
    rows = await connection.fetch(query, tenant_id, after, PAGE)
    found = [row["wamid"] for row in rows if person.traces.name(row["wamid"])]
    return Found(found, rows[-1]["wamid"] if len(rows) == PAGE else None)
