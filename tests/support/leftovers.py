"""Everything that stands in any column of any schema, as a reader of a dump would see it: compressed columns as what they hold."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import asyncpg

from shared.db.migrate import OWNERS
from shared.erasure.person import Person
from shared.events.codec import unpacked

SEARCHED: Final = ("text", "character varying", "json", "jsonb", "bytea", "tsvector", "ARRAY", "name")
_COLUMNS: Final = """
SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns
JOIN pg_class ON relname = table_name AND relnamespace = table_schema::regnamespace
WHERE table_schema = ANY ($1::text[]) AND data_type = ANY ($2::text[]) AND relkind = 'r'
ORDER BY 1, 2, 3
"""
_REMEMBERED: Final = {"gateway.inbound.wamid"}
"""The provider repeats itself for days: what was taken is remembered by its id, in which it encodes the number, for 15 days."""


async def leftovers(admin_url: str, words: Iterable[str], person: Person | None = None) -> set[str]:
    """The columns that hold one of the words, in any case, or where `person` is named; as `schema.table.column`."""
    pattern = re.compile("|".join(re.escape(word) for word in words), re.IGNORECASE)
    connection = await asyncpg.connect(admin_url)
    try:
        found = set()
        for schema, table, column, kind in await connection.fetch(_COLUMNS, list(OWNERS), list(SEARCHED)):
            cast = "" if kind == "bytea" else "::text"
            query = f'SELECT "{column}"{cast} FROM {schema}."{table}" WHERE "{column}" IS NOT NULL'  # noqa: S608  # the catalogue's
            for (value,) in await connection.fetch(query):
                text = value if isinstance(value, str) else _plain(value)
                place = f"{schema}.{table}.{column}"
                is_named = person is not None and place not in _REMEMBERED and person.traces.are_in(text.encode())
                if is_named or pattern.search(text):
                    found.add(place)
        return found
    finally:
        await connection.close()


def _plain(value: bytes) -> str:
    try:
        value = unpacked(value)
    except ValueError:
        pass
    return value.decode(errors="replace")
