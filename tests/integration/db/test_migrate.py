"""Migrations: once, in order, by one runner at a time, whole or not at all."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from shared.db import migrate as module
from shared.db.migrate import OWNERS, MigrationError, migrate, migrations_of

PASSWORD = "p'ass\"w\\ord"


@pytest.fixture
async def empty(postgres: str) -> AsyncIterator[str]:
    """The superuser's URL of a database with nothing in it."""
    connection = await asyncpg.connect(postgres)
    name = f"test_{uuid.uuid4().hex}"
    await connection.execute(f"CREATE DATABASE {name}")
    yield postgres.rpartition("/")[0] + f"/{name}"
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role_password: str) -> Path:
    """A tree of services to write migrations into; only `gateway` has a schema. The roles' password stays the run's."""
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "OWNERS", ("gateway",))
    monkeypatch.setattr(module, "_LOCK_TRIES", 1)
    folder = tmp_path / "services" / "gateway" / "migrations"
    folder.mkdir(parents=True)
    (folder / "0001_first.sql").write_text("CREATE TABLE first (id integer);")
    return folder


async def tables(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'gateway'")
        return {row["tablename"] for row in rows}
    finally:
        await connection.close()


async def test_from_nothing_every_migration_is_applied_and_a_second_time_none(empty: str, role_password: str) -> None:
    assert await migrate(empty, role_password) == sum(len(migrations_of(service)) for service in OWNERS)
    assert await migrate(empty, role_password) == 0


async def test_two_runners_at_once_apply_each_migration_once(empty: str, role_password: str) -> None:
    applied = await asyncio.gather(*(migrate(empty, role_password) for _ in range(3)))
    assert sorted(applied) == [0, 0, sum(len(migrations_of(service)) for service in OWNERS)]


async def test_a_later_migration_is_applied_to_what_is_there(empty: str, services: Path, role_password: str) -> None:
    assert await migrate(empty, role_password) == 2
    (services / "0002_second.sql").write_text("CREATE TABLE second (id integer);")
    assert await migrate(empty, role_password) == 1
    assert {"first", "second", "outbox", "inbox", "migrations"} == await tables(empty)


async def test_a_file_changed_after_it_was_applied_is_refused(empty: str, services: Path, role_password: str) -> None:
    await migrate(empty, role_password)
    (services / "0001_first.sql").write_text("CREATE TABLE first (id bigint);")
    (services / "0002_second.sql").write_text("CREATE TABLE second (id integer);")
    with pytest.raises(MigrationError, match=r"0001_first\.sql of gateway was changed"):
        await migrate(empty, role_password)
    assert "second" not in await tables(empty)


@pytest.mark.parametrize("name", ["0003_gap.sql", "0001_again.sql", "2_short.sql", "0002_Upper.sql", "0002.sql"])
async def test_a_gap_or_a_bad_name_is_refused(name: str, empty: str, services: Path, role_password: str) -> None:
    (services / name).write_text("CREATE TABLE never (id integer);")
    with pytest.raises(MigrationError, match="expected number"):
        await migrate(empty, role_password)
    assert "never" not in await tables(empty)


async def test_a_file_that_fails_leaves_nothing_and_can_be_mended(empty: str, services: Path, role_password: str) -> None:
    second = services / "0002_second.sql"
    second.write_text("CREATE TABLE second (id integer); SELECT 1/0;")
    with pytest.raises(MigrationError, match=r"0002_second\.sql of gateway: division by zero"):
        await migrate(empty, role_password)
    assert {"first", "outbox", "inbox", "migrations"} == await tables(empty)
    second.write_text("CREATE TABLE second (id integer);")
    assert await migrate(empty, role_password) == 1


async def test_a_file_that_asks_for_it_runs_outside_a_transaction(empty: str, services: Path, role_password: str) -> None:
    (services / "0002_index.sql").write_text("-- no transaction\nCREATE INDEX CONCURRENTLY first_id ON first (id)")
    assert await migrate(empty, role_password) == 2 + 1


async def test_a_lock_that_is_not_to_be_had_is_given_up_and_named(empty: str, services: Path, role_password: str) -> None:
    await migrate(empty, role_password)
    (services / "0002_second.sql").write_text("ALTER TABLE first ADD more integer;")
    busy = await asyncpg.connect(empty)
    try:
        async with busy.transaction():
            await busy.execute("LOCK TABLE gateway.first")
            with pytest.raises(MigrationError, match="no lock"):
                await migrate(empty, role_password)
    finally:
        await busy.close()
    assert await migrate(empty, role_password) == 1


async def test_a_password_of_any_characters_is_quoted(postgres: str) -> None:
    connection = await asyncpg.connect(postgres)
    try:
        quoted = await connection.fetchval("SELECT quote_literal($1::text)", PASSWORD)
        assert await connection.fetchval(f"SELECT {quoted}") == PASSWORD  # as migrate does
    finally:
        await connection.close()
