"""Contacts put straight into the table, thousands at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from shared.db.pool import Connection, Pool
from shared.ids import new_id


@dataclass(frozen=True, slots=True)
class Person:
    phone: str | None = None
    name: str | None = None
    language: str | None = None
    time_zone: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    consent: str = "unknown"
    consent_scope: str = "all"
    created_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    updated_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    id: str = field(default_factory=lambda: new_id("ctc"))


_COLUMNS = (
    "id", "tenant_id", "name", "language", "time_zone", "attributes", "consent", "consent_scope", "created_at", "updated_at",
)  # fmt: skip


async def add(connection: Connection | Pool, tenant_id: str, people: Sequence[Person]) -> list[str]:
    """Their ids, in order."""
    rows = [
        (
            person.id, tenant_id, person.name, person.language, person.time_zone, orjson.dumps(person.attributes).decode(),
            person.consent, person.consent_scope, person.created_at, person.updated_at,
        )
        for person in people
    ]  # fmt: skip
    names = [(tenant_id, "phone", person.phone, person.id) for person in people if person.phone is not None]
    await connection.copy_records_to_table("contacts", columns=_COLUMNS, records=rows)
    await connection.copy_records_to_table(
        "contact_identifiers", columns=("tenant_id", "kind", "value", "contact_id"), records=names
    )
    return [person.id for person in people]


async def group(connection: Connection | Pool, tenant_id: str, contact_ids: Sequence[str]) -> str:
    """The id of a new group of these."""
    group_id = new_id("grp")
    await connection.execute("INSERT INTO groups (tenant_id, id, name) VALUES ($1, $2, 'Some')", tenant_id, group_id)
    await connection.copy_records_to_table(
        "group_members",
        columns=("tenant_id", "group_id", "contact_id"),
        records=[(tenant_id, group_id, contact_id) for contact_id in contact_ids],
    )
    return group_id


def phones(count: int) -> list[str]:
    return [f"+1555{number:07d}" for number in range(count)]
