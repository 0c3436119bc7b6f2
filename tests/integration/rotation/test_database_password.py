"""The password of a service's role is rotated while its pool opens new connections."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from pydantic import SecretStr

from shared.config import DatabaseSettings
from shared.db.migrate import wait
from shared.db.pool import Pool, open_pool, role_of
from tests.support.database import Database


@pytest.fixture
async def service(database: Database) -> AsyncIterator[str]:
    """One of its own: roles are the whole server's, and other tests use the services'."""
    name = f"rotated_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute(f"CREATE ROLE {role_of(name)} LOGIN PASSWORD 'old'")
    try:
        yield name
    finally:
        await admin.execute(f"DROP ROLE {role_of(name)}")
        await admin.close()


def settings(database: Database, password: str, other: str) -> DatabaseSettings:
    return DatabaseSettings(
        url=database.url, password=SecretStr(password), other_password=SecretStr(other), pool_min=0, pool_max=2
    )


@asynccontextmanager
async def changed(database: Database, service: str, password: str) -> AsyncIterator[None]:
    admin = await asyncpg.connect(database.admin_url)
    try:
        await admin.execute(f"ALTER ROLE {role_of(service)} PASSWORD '{password}'")
        yield
    finally:
        await admin.close()


async def connects(pool: Pool) -> None:
    """With new connections only, several at once."""
    await pool.expire_connections()
    assert await asyncio.gather(*(pool.fetchval("SELECT 1") for _ in range(4))) == [1] * 4


async def test_new_connections_are_had_before_while_and_after_the_server_changes(database: Database, service: str) -> None:
    async with (
        open_pool(settings(database, "old", "new"), service) as former,
        open_pool(settings(database, "new", "old"), service) as latter,
    ):
        for password in ("old", "new"):
            async with changed(database, service, password):
                for pool in (former, latter):
                    await connects(pool)
    async with open_pool(settings(database, "new", ""), service) as last:
        await connects(last)


async def test_the_password_that_was_right_is_tried_first(
    database: Database, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    connect = asyncpg.connect

    async def noted(login: str, **rest: object) -> object:
        tried.append(login.partition("@")[0].rpartition(":")[2])
        return await connect(login, **rest)  # type: ignore[arg-type]  # as it was given

    async with open_pool(settings(database, "new", "old"), service) as pool:
        monkeypatch.setattr(asyncpg, "connect", noted)
        for _ in range(2):
            await pool.expire_connections()
            await pool.fetchval("SELECT 1")
    assert tried == ["new", "old", "old"]


async def test_two_wrong_passwords_are_refused(database: Database, service: str) -> None:
    async with open_pool(settings(database, "wrong", "wrong too"), service) as pool:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await pool.fetchval("SELECT 1")


async def test_who_waits_for_the_schema_waits_with_either(database: Database) -> None:
    right = database.settings_for("gateway")
    rotated = right.model_copy(update={"password": SecretStr("wrong"), "other_password": right.password})
    async with asyncio.timeout(60):
        await wait(rotated, "gateway", pytest.fail)
