"""The servers of a local run, started in order and stopped in reverse."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from local.errors import LocalError
from local.home import Home
from local.postgres import Postgres
from local.valkey import Valkey
from services.gateway import operators, tenants
from services.gateway.store import tenants as tenant_rows
from shared.db.migrate import MigrationError, migrate

DATABASE = "chasqui"
TENANT = "Sandbox"
OPERATOR = "local"


@dataclass(frozen=True, slots=True)
class Servers:
    """What answers where. `admin_url` is a superuser's."""

    admin_url: str
    database_url: str
    redis_url: str
    postgres: Postgres
    valkey: Valkey

    @property
    def pids(self) -> Mapping[str, int | None]:
        return {"postgres": self.postgres.pid, "valkey": self.valkey.pid}


@contextmanager
def step(text: str) -> Iterator[None]:
    """Say what is being done, and how long it took once it is."""
    sys.stdout.write(f"  {text} … ")
    sys.stdout.flush()
    began = time.monotonic()
    try:
        yield
    except BaseException:
        sys.stdout.write("failed\n")
        raise
    sys.stdout.write(f"{time.monotonic() - began:.1f} s\n")
    sys.stdout.flush()


@contextmanager
def running_servers(home: Home, kept: Mapping[str, str]) -> Iterator[Servers]:
    """PostgreSQL, migrated and with the sandbox's tenant and key in it, and Valkey."""
    with ExitStack() as stack:
        postgres = Postgres(home.path / "postgres")
        with step("PostgreSQL"):
            postgres.start()
        stack.callback(postgres.stop)
        valkey = Valkey(home.path / "valkey")
        with step("Valkey"):
            valkey.start()
        stack.callback(valkey.stop)
        admin_url = urlunsplit(urlsplit(postgres.admin_url)._replace(path=f"/{DATABASE}"))
        with step("schemas"):
            try:
                asyncio.run(_prepare(postgres.admin_url, admin_url, kept))
            except MigrationError as error:
                raise LocalError(f"The schemas could not be brought up to date: {error}.") from error
        parts = urlsplit(admin_url)
        database_url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        yield Servers(admin_url, database_url, valkey.url, postgres, valkey)


async def _prepare(server_url: str, admin_url: str, kept: Mapping[str, str]) -> None:
    server = await asyncpg.connect(server_url)
    try:
        if not await server.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
            await server.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await server.close()
    await migrate(admin_url, os.environ.get("CHASQUI_DB__PASSWORD", kept["role_password"]))
    connection = await asyncpg.connect(admin_url, server_settings={"search_path": "gateway"})
    try:
        async with connection.transaction():
            tenant_id = await tenant_rows.by_name(connection, TENANT) or await tenants.create(connection, TENANT)
            await tenants.admit_key(connection, tenant_id, kept["test_key"])
            await operators.admit_key(connection, OPERATOR, kept["admin_key"])
    finally:
        await connection.close()
