"""The parts of every schema: answers to repeated requests, and events on their way to the bus."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from shared.bus.outbox import Unit
from shared.db.pool import Connection
from shared.db.queries import Queries
from shared.erasure.person import Person
from shared.erasure.steps import Found, Part
from shared.events.codec import unpacked
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("queries.sql"))
PAGE_OF_ANSWERS: Final = sql["page_of_answers"]
FORGET_ANSWERS: Final = sql["forget_answers"]
FORGET_KEYS: Final = sql["forget_keys"]
PAGE_OF_OUTBOX: Final = sql["page_of_outbox"]

PAGE: Final = 5_000
OUTBOX_PAGE: Final = 100
GONE: Final = 410
ANSWER: Final = orjson.dumps(
    {
        "type": "about:blank",
        "title": "Gone",
        "status": GONE,
        "detail": "What was answered to this request was of a person who has been erased.",
        "code": "person.erased",
    }
)
_BETWEEN: Final = "\x1f"
"""Of the two halves of a place; no key has it."""


class _Answer(NamedTuple):
    route: str
    key: str
    is_named: bool
    """The key itself names the person."""


async def _answers(connection: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
    route, _, key = after.partition(_BETWEEN)
    rows = await connection.fetch(PAGE_OF_ANSWERS, tenant_id, route, key, PAGE)
    found = []
    for row in rows:
        is_named = person.traces.are_in(f"{row['route']} {row['key']}".encode(errors="surrogateescape"))
        if is_named or (row["answer"] is not None and person.traces.are_in(row["answer"])):
            found.append(_Answer(row["route"], row["key"], is_named))
    last = rows[-1] if len(rows) == PAGE else None
    return Found(found, None if last is None else f"{last['route']}{_BETWEEN}{last['key']}")


async def _forget_answers(unit: Unit, tenant_id: TenantId, _: Person, items: Sequence[_Answer]) -> None:
    named = [(one.route, one.key) for one in items if one.is_named]
    others = [(one.route, one.key) for one in items if not one.is_named]
    if named:
        await unit.connection.execute(FORGET_KEYS, tenant_id, *_columns(named))
    if others:
        await unit.connection.execute(FORGET_ANSWERS, tenant_id, *_columns(others), GONE, ANSWER)


async def _on_their_way(connection: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
    rows = await connection.fetch(PAGE_OF_OUTBOX, int(after or 0), OUTBOX_PAGE)
    found = [row["id"] for row in rows if _tells_of(row["body"], tenant_id, person)]
    return Found(found, str(rows[-1]["id"]) if len(rows) == OUTBOX_PAGE else None)


def _tells_of(body: bytes, tenant_id: TenantId, person: Person) -> bool:
    plain = unpacked(body)
    if not person.traces.are_in(plain):
        return False
    events: list[dict[str, Any]] = orjson.loads(plain)
    return any(event.get("tenant_id") == tenant_id and person.traces.are_in(orjson.dumps(event)) for event in events)


def _columns(pairs: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [first for first, _ in pairs], [second for _, second in pairs]


EVERYWHERE: Final = (Part("answers", _answers, _forget_answers), Part("outbox", _on_their_way))
"""The last parts of each service."""
