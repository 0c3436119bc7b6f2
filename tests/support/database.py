"""A database per test, cloned from one that was migrated once per run."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import asyncpg
from pydantic import SecretStr

from shared.config import DatabaseSettings
from shared.db.migrate import OWNERS
from shared.db.pool import Pool
from tests.support.platform import until
from tests.support.servers import TEMPLATE

_WAITING: Final = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@dataclass(frozen=True, slots=True)
class Database:
    """`admin_url` is the superuser's way in; services come in as their own roles, by `settings_for`."""

    admin_url: str
    role_password: str

    @property
    def url(self) -> str:
        """Without user and password, as `DatabaseSettings.url` wants it."""
        parts = urlsplit(self.admin_url)
        return f"postgresql://{parts.hostname}:{parts.port}{parts.path}"

    def settings_for(self, service: str, *, pool_max: int = 5) -> DatabaseSettings:
        if service not in OWNERS:
            raise ValueError(f"{service} has no schema")
        return DatabaseSettings(url=self.url, password=SecretStr(self.role_password), pool_min=0, pool_max=pool_max)


@asynccontextmanager
async def cloned_database(admin_url: str, role_password: str) -> AsyncIterator[Database]:
    """Dropped at the end, whoever is still connected."""
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        yield Database(admin_url.rpartition("/")[0] + f"/{name}", role_password)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


async def one_waits(pool: Pool | asyncpg.Connection[asyncpg.Record], times: int = 1) -> None:
    """Until so many statements that the role may see wait for others' locks in its database: the other databases of the cluster are
    those of tests that run at the same time."""

    async def waiting() -> bool:
        return int(await pool.fetchval(_WAITING)) >= times

    await until(waiting, "a statement to wait for another's lock")
