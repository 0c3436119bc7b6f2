"""Migrations: once, in order, by one runner at a time, whole or not at all."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from pydantic import SecretStr

from shared.config import DatabaseSettings
from shared.db import migrate as module
from shared.db.migrate import OWNERS, MigrationError, main, migrate, migrations_of, wait
from shared.db.pool import role_of
from tests.support.database import one_waits

PASSWORD = "p'ass\"w\\ord"


@asynccontextmanager
async def new_database(postgres: str) -> AsyncIterator[str]:
    connection = await asyncpg.connect(postgres)
    name = f"test_{uuid.uuid4().hex}"
    await connection.execute(f"CREATE DATABASE {name}")
    yield postgres.rpartition("/")[0] + f"/{name}"
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
async def empty(postgres: str) -> AsyncIterator[str]:
    """The superuser's URL of a database with nothing in it."""
    async with new_database(postgres) as url:
        yield url


@pytest.fixture
async def another(postgres: str) -> AsyncIterator[str]:
    """One more on the same server."""
    async with new_database(postgres) as url:
        yield url


@pytest.fixture
async def owned(postgres: str) -> AsyncIterator[str]:
    """An owner's URL of a database with nothing in it: one who may make roles, and is no superuser."""
    connection = await asyncpg.connect(postgres)
    name = f"test_{uuid.uuid4().hex}"
    await connection.execute(f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD '{name}'")
    await connection.execute(f"CREATE DATABASE {name} OWNER {name}")
    for row in await connection.fetch("SELECT rolname FROM pg_roles WHERE rolname = ANY($1)", [role_of(one) for one in OWNERS]):
        # Made by another test: who makes a role has this of itself.
        await connection.execute(f"GRANT {row['rolname']} TO {name} WITH ADMIN OPTION")
    parts = urlsplit(postgres)
    yield urlunsplit(parts._replace(netloc=f"{name}:{name}@{parts.netloc.rpartition('@')[2]}", path=f"/{name}"))
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.execute(f"DROP ROLE {name}")
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


async def test_the_owner_of_the_database_need_be_no_superuser(owned: str, role_password: str) -> None:
    assert await migrate(owned, role_password) == sum(len(migrations_of(service)) for service in OWNERS)


async def test_two_runners_at_once_apply_each_migration_once(empty: str, role_password: str) -> None:
    applied = await asyncio.gather(*(migrate(empty, role_password) for _ in range(3)))
    assert sorted(applied) == [0, 0, sum(len(migrations_of(service)) for service in OWNERS)]


async def test_two_databases_of_a_server_are_migrated_at_once(empty: str, another: str, role_password: str) -> None:
    """Their roles are the same."""

    async def migrated_often(url: str) -> None:
        for _ in range(15):
            await migrate(url, role_password)

    await asyncio.gather(migrated_often(empty), migrated_often(another))


async def test_a_file_changes_a_role_that_another_databases_migration_changes_just_now(
    empty: str, another: str, services: Path, role_password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOCK_TRIES", 5)
    role = f"test_{uuid.uuid4().hex}"
    other, looking = await asyncpg.connect(another), await asyncpg.connect(empty)
    try:
        await other.execute(f"CREATE ROLE {role}; ALTER ROLE {role} SET jit = off")
        (services / "0002_role.sql").write_text(f"ALTER ROLE {role} SET jit = on;")
        async with asyncio.TaskGroup() as group, other.transaction():
            await other.execute(f"ALTER ROLE {role} SET jit = off")
            migrating = group.create_task(migrate(empty, role_password))
            await one_waits(looking)
        assert migrating.result() == 3
    finally:
        await other.execute(f"DROP ROLE IF EXISTS {role}")
        await looking.close()
        await other.close()


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


async def is_valid(url: str, index: str) -> bool:
    connection = await asyncpg.connect(url)
    try:
        return bool(await connection.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = $1::text::regclass", index))
    finally:
        await connection.close()


async def test_an_index_beside_traffic_waits_for_who_was_there_before(empty: str, services: Path, role_password: str) -> None:
    await migrate(empty, role_password)
    (services / "0002_index.sql").write_text(
        "-- no transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS first_id ON first (id)"
    )
    busy = await asyncpg.connect(empty)
    try:
        async with asyncio.TaskGroup() as group, busy.transaction():
            await busy.execute("INSERT INTO gateway.first VALUES (1)")
            migrating = group.create_task(migrate(empty, role_password))
            await asyncio.sleep(3)  # longer than a migration in a transaction waits for a lock
            assert not migrating.done()
    finally:
        await busy.close()
    assert migrating.result() == 1
    assert await is_valid(empty, "gateway.first_id")


async def test_an_index_that_did_not_end_is_made_anew(empty: str, services: Path, role_password: str) -> None:
    await migrate(empty, role_password)
    busy = await asyncpg.connect(empty)
    try:
        await busy.execute("INSERT INTO gateway.first VALUES (1), (1)")
        with pytest.raises(asyncpg.UniqueViolationError):
            await busy.execute("CREATE UNIQUE INDEX CONCURRENTLY first_id ON gateway.first (id)")
    finally:
        await busy.close()
    assert not await is_valid(empty, "gateway.first_id")
    (services / "0002_index.sql").write_text(
        "-- no transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS first_id ON first (id)"
    )
    assert await migrate(empty, role_password) == 1
    assert await is_valid(empty, "gateway.first_id")


async def test_a_lock_that_is_not_to_be_had_is_given_up_and_named(empty: str, services: Path, role_password: str) -> None:
    await migrate(empty, role_password)
    (services / "0002_second.sql").write_text("ALTER TABLE first ADD more integer;")
    busy = await asyncpg.connect(empty)
    try:
        async with busy.transaction():
            await busy.execute("LOCK TABLE gateway.first")
            with pytest.raises(
                MigrationError, match=r"0002_second\.sql of gateway: not after 1 tries: canceling statement due to lock timeout"
            ):
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


def role_settings(url: str, password: str) -> DatabaseSettings:
    return DatabaseSettings(url=url, password=SecretStr(password))


async def migrated_once_told(url: str, settings: DatabaseSettings, password: str) -> str:
    """Wait for the schema of the gateway, which is made once its waiting has said what is missing; returns that."""
    said: list[str] = []
    waits = asyncio.Event()

    def tell(missing: str) -> None:
        said.append(missing)
        waits.set()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = group.create_task(wait(settings, "gateway", tell))
        await waits.wait()
        assert not waiting.done()
        await migrate(url, password)
    return said[0]


async def test_waiting_ends_when_the_schema_has_all_it_needs(empty: str, services: Path, role_password: str) -> None:
    await migrate(empty, role_password)
    (services / "0002_second.sql").write_text("CREATE TABLE second (id integer);")
    missing = await migrated_once_told(empty, role_settings(empty, role_password), role_password)
    assert missing == "0002_second.sql of gateway is not applied"


async def test_waiting_begins_before_there_is_a_ledger(empty: str, services: Path, role_password: str) -> None:
    assert await migrated_once_told(empty, role_settings(empty, role_password), role_password)


async def test_waiting_begins_before_there_is_a_server(role_password: str) -> None:
    nowhere = role_settings("postgresql://127.0.0.1:1/none", role_password)
    said: asyncio.Queue[str] = asyncio.Queue()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = group.create_task(wait(nowhere, "gateway", said.put_nowait))
        assert await said.get() == "ConnectionRefusedError"
        waiting.cancel()


async def test_an_older_version_does_not_wait_for_what_a_newer_one_has_added(
    empty: str, services: Path, role_password: str
) -> None:
    (services / "0002_second.sql").write_text("CREATE TABLE second (id integer);")
    await migrate(empty, role_password)
    (services / "0002_second.sql").unlink()
    await asyncio.wait_for(wait(role_settings(empty, role_password), "gateway", pytest.fail), 60)


async def test_waiting_refuses_a_schema_that_is_another_versions(empty: str, services: Path, role_password: str) -> None:
    await migrate(empty, role_password)
    (services / "0001_first.sql").write_text("CREATE TABLE first (id bigint);")
    with pytest.raises(MigrationError, match=r"0001_first\.sql of gateway was applied as another version has it"):
        await wait(role_settings(empty, role_password), "gateway", pytest.fail)


async def test_the_command_waits_as_the_service(
    empty: str, services: Path, role_password: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHASQUI_DB__URL", empty)
    monkeypatch.setenv("CHASQUI_DB__PASSWORD", role_password)
    await migrate(empty, role_password)
    assert await asyncio.to_thread(main, ["--wait", "gateway"]) == 0
    (services / "0001_first.sql").write_text("CREATE TABLE first (id bigint);")
    assert await asyncio.to_thread(main, ["--wait", "gateway"]) == 1
    assert "another version" in capsys.readouterr().err


async def test_the_command_refuses_what_is_no_service_and_no_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--wait", "sandbox"])
    monkeypatch.setenv("CHASQUI_DB__ULR", "postgresql://127.0.0.1/chasqui")
    assert await asyncio.to_thread(main, ["--wait", "gateway"]) == 2
    assert "did you mean CHASQUI_DB__URL?" in capsys.readouterr().err
