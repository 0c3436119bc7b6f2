"""Migrations: forward only, one runner at a time, a role and a schema per service.

    python -m shared.db.migrate                  reads CHASQUI_MIGRATE__URL (a superuser or owner) and CHASQUI_DB__PASSWORD
    python -m shared.db.migrate --wait SERVICE   as the service's role: ends once its schema has what this version needs

Files are `services/<name>/migrations/NNNN_what_changes.sql`; unqualified names land in the service's schema. A file is never edited
once merged: its checksum is in the ledger. One that starts with `-- no transaction` runs outside one (CREATE INDEX CONCURRENTLY).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
from pydantic import Field

from shared.config import DatabaseSettings, ServiceSettings, SettingsError, load
from shared.db.pool import connect, role_of

ROOT: Final = Path(__file__).resolve().parents[2]
OUTBOX: Final = Path(__file__).with_name("outbox.sql")
OWNERS: Final = ("gateway", "scheduler", "sender", "archive")
"""Services with a schema, in the order they are migrated."""

_LOCK_KEY: Final = 0x6368_6173_7175_69  # "chasqui"
_FILE_NAME: Final = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")
_LOCK_SECONDS: Final = 0.2
_LOCK_TRIES: Final = 10
_LOOK_SECONDS: Final = 1.0
_ROLE_TRIES: Final = 20
_ROLE_SECONDS: Final = 0.1
_ROLE_CHANGES: Final = "tuple concurrently updated"
"""PostgreSQL's words (an internal error to it) where another database's migration changes the same role."""


class MigrationError(Exception):
    """A migration cannot be applied; the text names the file and the reason."""


class WaitSettings(ServiceSettings):
    """What it takes to look at the ledger of a schema."""

    db: DatabaseSettings = Field(default_factory=DatabaseSettings)


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations_of(service: str) -> list[Migration]:
    """The service's migrations in order, the shared outbox first. Raises `MigrationError` on a gap or a bad name."""
    found = [Migration(0, OUTBOX.name, OUTBOX.read_text(encoding="utf-8"))]
    for path in sorted((ROOT / "services" / service / "migrations").glob("*.sql")):
        match = _FILE_NAME.match(path.name)
        if match is None or int(match[1]) != len(found):
            raise MigrationError(f"{path.name} of {service}: expected number {len(found):04d}")
        found.append(Migration(len(found), path.name, path.read_text(encoding="utf-8")))
    return found


async def migrate(admin_url: str, role_password: str) -> int:
    """Bring every schema up to date; returns how many migrations were applied. Twice, or from two places at once, is safe."""
    connection = await asyncpg.connect(admin_url, timeout=10)
    try:
        # A statement that waited for the lock would itself be waited for by the holder's CREATE INDEX CONCURRENTLY.
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK_KEY):  # noqa: ASYNC110  # it is the server's
            await asyncio.sleep(_LOCK_SECONDS)
        applied = 0
        for service in OWNERS:
            await _ensure_schema_beside_others(connection, service, role_password)
            applied += await _apply(connection, service)
        return applied
    finally:
        await connection.close()


async def _ensure_schema_beside_others(connection: asyncpg.Connection[asyncpg.Record], service: str, password: str) -> None:
    """Roles are the whole server's, locks one database's: where two databases of a server are migrated at once, PostgreSQL lets one
    of them change a role and refuses the other ("tuple concurrently updated"), which tries again."""
    for attempt in range(_ROLE_TRIES):
        try:
            await _ensure_schema(connection, service, password)
        except (asyncpg.InternalServerError, asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            if attempt == _ROLE_TRIES - 1:
                raise
            await asyncio.sleep(_ROLE_SECONDS)
        else:
            return


async def _ensure_schema(connection: asyncpg.Connection[asyncpg.Record], service: str, password: str) -> None:
    """The role with its limits, the schema, and the role's rights in it: rows yes, definitions no."""
    role = role_of(service)
    quoted = await connection.fetchval("SELECT quote_literal($1::text)", password)
    database = await connection.fetchval("SELECT quote_ident(current_database())")
    if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role):
        await connection.execute(f"CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE")
    await connection.execute(
        f"""
        ALTER ROLE {role} PASSWORD {quoted};
        ALTER ROLE {role} SET search_path = {service};
        ALTER ROLE {role} SET statement_timeout = '5s';
        ALTER ROLE {role} SET lock_timeout = '2s';
        ALTER ROLE {role} SET idle_in_transaction_session_timeout = '10s';
        ALTER ROLE {role} SET jit = off;
        GRANT CONNECT ON DATABASE {database} TO {role};
        CREATE SCHEMA IF NOT EXISTS {service};
        REVOKE ALL ON SCHEMA {service} FROM PUBLIC;
        GRANT USAGE ON SCHEMA {service} TO {role};
        ALTER DEFAULT PRIVILEGES IN SCHEMA {service} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role};
        ALTER DEFAULT PRIVILEGES IN SCHEMA {service} GRANT USAGE ON SEQUENCES TO {role};
        CREATE TABLE IF NOT EXISTS {service}.migrations (
            version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
        );
        """
    )


async def _apply(connection: asyncpg.Connection[asyncpg.Record], service: str) -> int:
    done = {row["version"]: row for row in await connection.fetch(f"SELECT version, checksum FROM {service}.migrations")}  # noqa: S608  # a constant of OWNERS
    applied = 0
    for migration in migrations_of(service):
        before = done.get(migration.version)
        if before is None:
            await _apply_one(connection, service, migration)
            applied += 1
        elif before["checksum"] != migration.checksum:
            raise MigrationError(f"{migration.name} of {service} was changed after it was applied; add a new migration instead")
    return applied


async def _apply_one(connection: asyncpg.Connection[asyncpg.Record], service: str, migration: Migration) -> None:
    """Apply and note it. A lock that is not to be had in 2 s is given up, so that traffic goes on, and tried again; so is a role
    that another database's migration changes just now. What runs outside a transaction waits for whoever was there before it, as
    long as it may run: traffic goes on meanwhile.
    """
    is_alone = migration.text.startswith("-- no transaction")
    patience = "15min" if is_alone else "2s"
    await connection.execute(f"SET search_path = {service}; SET lock_timeout = '{patience}'; SET statement_timeout = '15min'")
    for attempt in range(_LOCK_TRIES):
        try:
            if is_alone:
                await _drop_unfinished(connection, service)
                await connection.execute(migration.text)
                await _note(connection, service, migration)
            else:
                async with connection.transaction():
                    await connection.execute(migration.text)
                    await _note(connection, service, migration)
        except asyncpg.PostgresError as error:
            if not isinstance(error, asyncpg.LockNotAvailableError) and _ROLE_CHANGES not in str(error):
                raise MigrationError(f"{migration.name} of {service}: {error}") from error
            if attempt == _LOCK_TRIES - 1:
                raise MigrationError(f"{migration.name} of {service}: not after {_LOCK_TRIES} tries: {error}") from error
            await asyncio.sleep(1)
        else:
            return


async def _drop_unfinished(connection: asyncpg.Connection[asyncpg.Record], service: str) -> None:
    """Drop what CREATE INDEX CONCURRENTLY left behind where it did not end: IF NOT EXISTS takes it for the index."""
    unfinished = await connection.fetch(
        """
        SELECT indexrelid::regclass::text AS name
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE NOT indisvalid AND relkind = 'i' AND relnamespace = $1::regnamespace
        """,
        service,
    )
    for row in unfinished:
        await connection.execute(f"DROP INDEX CONCURRENTLY {row['name']}")


async def _note(connection: asyncpg.Connection[asyncpg.Record], service: str, migration: Migration) -> None:
    await connection.execute(
        f"INSERT INTO {service}.migrations (version, name, checksum) VALUES ($1, $2, $3)",  # noqa: S608  # a constant of OWNERS
        migration.version,
        migration.name,
        migration.checksum,
    )


async def wait(settings: DatabaseSettings, service: str, tell: Callable[[str], None]) -> None:
    """Return once all migrations of this version have been applied to the service's schema; there may be later ones already.

    What is still missing is told whenever it is something else. Has no end of its own: whoever starts pods sees them wait, and says
    for how long. Raises `MigrationError` where one was applied that is not this version's.
    """
    told = ""
    while missing := await _missing(settings, service):
        if missing != told:
            tell(missing)
            told = missing
        await asyncio.sleep(_LOOK_SECONDS)


async def _missing(settings: DatabaseSettings, service: str) -> str:
    """What is still to come, in words; nothing where all is there."""
    try:
        connection = await connect(settings, service, timeout=10)
        try:
            rows = await connection.fetch("SELECT version, checksum FROM migrations")  # its schema is the role's search_path
        finally:
            await connection.close(timeout=2)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:  # no server, role or ledger yet
        return type(error).__name__
    applied = {row["version"]: row["checksum"] for row in rows}
    for migration in migrations_of(service):
        checksum = applied.get(migration.version)
        if checksum is None:
            return f"{migration.name} of {service} is not applied"
        if checksum != migration.checksum:
            raise MigrationError(f"{migration.name} of {service} was applied as another version has it")
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from a shell, a Kubernetes Job, or before a service's container."""
    parser = argparse.ArgumentParser(prog="python -m shared.db.migrate")
    parser.add_argument("--wait", choices=OWNERS, metavar="SERVICE", help=f"one of {', '.join(OWNERS)}")
    service: str | None = parser.parse_args(arguments).wait
    return _migrate() if service is None else _wait(service)


def _wait(service: str) -> int:
    def tell(missing: str) -> None:
        sys.stdout.write(f"waiting: {missing}\n")
        sys.stdout.flush()

    try:
        asyncio.run(wait(load(WaitSettings).db, service, tell))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except MigrationError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _migrate() -> int:
    url, password = os.environ.get("CHASQUI_MIGRATE__URL"), os.environ.get("CHASQUI_DB__PASSWORD")
    if not url or not password:
        sys.stderr.write("set CHASQUI_MIGRATE__URL (an owner's DSN) and CHASQUI_DB__PASSWORD (for the services' roles)\n")
        return 2
    try:
        applied = asyncio.run(migrate(url, password))
    except (MigrationError, OSError, asyncpg.PostgresError) as error:
        sys.stderr.write(f"not migrated: {error}\n")
        return 1
    sys.stdout.write(f"{applied} migrations applied\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
