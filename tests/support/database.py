"""A database per test, cloned from one that was migrated once per run."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg
from pydantic import SecretStr

from shared.config import DatabaseSettings
from shared.db.migrate import OWNERS
from tests.support.servers import TEMPLATE


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
