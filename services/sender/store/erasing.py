"""What the sender keeps of people: the log of callbacks, and the provider's ids of messages, which hold the phone number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from shared.db.pool import Connection
from shared.db.queries import Queries
from shared.erasure.person import Person
from shared.erasure.steps import Found
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("erasing.sql"))
CALLBACKS_AFTER: Final = sql["callbacks_after"]
PAGE_OF_DELIVERIES: Final = sql["page_of_deliveries"]
ERASE_DELIVERIES: Final = sql["erase_deliveries"]
PAGE_OF_ATTEMPTS: Final = sql["page_of_attempts"]
EMPTY_ATTEMPTS: Final = sql["empty_attempts"]

DELIVERIES: Final = 1_000
ATTEMPTS: Final = 5_000
_BETWEEN: Final = "\x1f"
"""Of the parts of a place."""
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)

Attempt = tuple[str, int]


async def deliveries(connection: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
    """Ids of what callbacks were told of the person; the place goes through the tenant's callbacks one by one."""
    callback_id, at, delivery_id = (*after.split(_BETWEEN), "", "")[:3]
    if not at:
        callback_id = await connection.fetchval(CALLBACKS_AFTER, tenant_id, callback_id) or ""
        if not callback_id:
            return Found([])
    start = (datetime.fromisoformat(at), delivery_id) if at else (_FIRST, "")
    rows = await connection.fetch(PAGE_OF_DELIVERIES, callback_id, *start, DELIVERIES)
    found = [row["id"] for row in rows if person.traces.are_in(row["body"]) or person.traces.are_in(row["tries"].encode())]
    if len(rows) < DELIVERIES:
        return Found(found, callback_id)
    return Found(found, _BETWEEN.join((callback_id, rows[-1]["created_at"].isoformat(), rows[-1]["id"])))


async def erase_deliveries(connection: Connection, ids: Sequence[str]) -> None:
    await connection.execute(ERASE_DELIVERIES, ids)


async def attempts(connection: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
    """Attempts to send the person something, as far as the provider's answers show it."""
    message_id, _, attempt = after.partition(_BETWEEN)
    rows = await connection.fetch(PAGE_OF_ATTEMPTS, tenant_id, message_id, int(attempt or 0), ATTEMPTS)
    found: list[Attempt] = [
        (row["message_id"], row["attempt"])
        for row in rows
        if (row["wamid"] is not None and person.traces.name(row["wamid"]))
        or (row["detail"] is not None and person.traces.are_in(row["detail"].encode()))
    ]
    last = rows[-1] if len(rows) == ATTEMPTS else None
    return Found(found, None if last is None else f"{last['message_id']}{_BETWEEN}{last['attempt']}")


async def empty_attempts(connection: Connection, items: Sequence[Attempt]) -> None:
    """What is left says that there was an attempt, and how it ended."""
    await connection.execute(EMPTY_ATTEMPTS, [one[0] for one in items], [one[1] for one in items])
