"""Connections: as the service's role, and no wait without a bound."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from local.postgres import Postgres
from shared.config import DatabaseSettings
from shared.db.migrate import migrate
from shared.db.pool import Connection, Pool, check, open_pool
from shared.unavailable import is_unavailable
from tests.support.database import Database
from tests.support.platform import until
from tests.support.proxy import Proxy


def hurried(database: Database, **changes: float) -> DatabaseSettings:
    return database.settings_for("gateway").model_copy(update={"pool_max": 1, **changes})


async def test_a_connection_is_the_services_own(database: Database) -> None:
    async with open_pool(database.settings_for("gateway"), "gateway") as pool:
        await check(pool)
        assert await pool.fetchval("SELECT current_user || ' ' || current_schema") == "chasqui_gateway gateway"


async def test_a_wrong_password_is_refused(database: Database) -> None:
    settings = database.settings_for("gateway").model_copy(update={"password": SecretStr("wrong"), "pool_min": 1})
    with pytest.raises(asyncpg.InvalidPasswordError):
        async with open_pool(settings, "gateway"):
            pass


async def test_a_statement_that_takes_too_long_is_cut_and_the_pool_lives_on(database: Database) -> None:
    async with open_pool(hurried(database, command_seconds=1.5), "gateway") as pool:
        with pytest.raises(TimeoutError) as caught:
            await pool.execute("SELECT pg_sleep(60)")
        assert is_unavailable(caught.value)
        assert await pool.fetchval("SELECT 1") == 1


async def test_the_role_itself_has_limits(database: Database) -> None:
    async with open_pool(database.settings_for("gateway"), "gateway") as pool:
        limits = [
            await pool.fetchval(f"SHOW {name}")
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        ]
    assert limits == ["5s", "2s", "10s"]


async def test_the_wait_for_a_free_connection_is_bounded(database: Database) -> None:
    async with open_pool(hurried(database, acquire_seconds=1.5), "gateway") as pool, asyncio.timeout(60):
        async with pool.acquire():
            with pytest.raises(TimeoutError) as caught:
                await pool.fetchval("SELECT 1")
            assert is_unavailable(caught.value)
        assert await pool.fetchval("SELECT 1") == 1


async def test_a_pool_closes_although_a_connection_is_in_use(database: Database) -> None:
    async with asyncio.timeout(60):
        async with open_pool(hurried(database), "gateway") as pool:
            await pool.acquire()


async def copy(connection: Connection) -> None:
    await connection.copy_records_to_table("numbers_of_it", columns=["number"], records=[(1,)])


async def copy_out(connection: Connection) -> None:
    await connection.copy_from_query("SELECT 1", output=bytearray().__iadd__)


async def execute(connection: Connection) -> None:
    await connection.execute("SELECT 1")


async def execute_many(connection: Connection) -> None:
    await connection.executemany("SELECT $1::integer", [(1,), (2,)])


async def fetch(connection: Connection) -> None:
    await connection.fetch("SELECT $1::integer", 1)


async def end_the_block(_: Connection) -> None:
    pass


@pytest.mark.parametrize("work", [copy, copy_out, execute, execute_many, fetch, end_the_block])
async def test_a_statement_on_what_the_server_has_just_ended_finds_it_away(
    database: Database, work: Callable[[Connection], Awaitable[None]]
) -> None:
    async def block(pool: Pool, admin: Connection, ended: asyncio.Event) -> None:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("CREATE TEMPORARY TABLE numbers_of_it (number integer)")
            await work(connection)
            await admin.execute("SELECT pg_terminate_backend($1)", await connection.fetchval("SELECT pg_backend_pid()"))
            await ended.wait()
            await asyncio.sleep(0.1)  # what is there to read is read before
            await work(connection)

    admin = await asyncpg.connect(database.admin_url)
    try:
        async with Proxy.to(database.url) as proxy:
            proxy.hides_ends = True  # the client has the server's last words, and not yet their end
            async with open_pool(hurried(database).model_copy(update={"url": proxy.url}), "gateway") as pool:
                with pytest.raises(Exception) as caught:  # noqa: PT011  # which one is asyncpg's affair
                    await block(pool, admin, proxy.ended)
                assert is_unavailable(caught.value)
                proxy.hides_ends = False
                assert await pool.fetchval("SELECT 1") == 1
    finally:
        await admin.close()


async def without_end() -> AsyncIterator[bytes]:
    while True:
        yield b"1\n" * 32_768


async def records_without_end() -> AsyncIterator[tuple[int]]:
    while True:
        yield (1,)


async def copy_without_end(connection: Connection) -> None:
    await connection.copy_to_table("numbers_of_it", source=without_end())


async def copy_records_without_end(connection: Connection) -> None:
    await connection.copy_records_to_table("numbers_of_it", records=records_without_end())


async def cut_what_is_held(proxy: Proxy) -> None:
    await proxy.held.wait()
    await asyncio.sleep(0.5)  # until the socket is full; if that takes longer, the COPY ends some other way
    proxy.cut()


async def answers(pool: Pool) -> bool:
    try:
        return await pool.fetchval("SELECT 1") == 1
    except (OSError, asyncpg.InterfaceError):
        return False


@pytest.mark.parametrize("is_cut", [False, True])
@pytest.mark.parametrize("work", [copy_without_end, copy_records_without_end])
async def test_a_copy_that_nobody_reads_ends_all_the_same(
    database: Database, work: Callable[[Connection], Awaitable[None]], *, is_cut: bool
) -> None:
    async with Proxy.to(database.url) as proxy, asyncio.timeout(120), asyncio.TaskGroup() as group:
        settings = hurried(database, command_seconds=1.5, acquire_seconds=1.5).model_copy(update={"url": proxy.url})
        async with open_pool(settings, "gateway") as pool:

            async def copied() -> None:
                async with pool.acquire() as connection:
                    await connection.execute("CREATE TEMPORARY TABLE numbers_of_it (number integer)")
                    proxy.flowing.clear()
                    if is_cut:
                        group.create_task(cut_what_is_held(proxy))
                    await work(connection)

            with pytest.raises(Exception) as caught:  # noqa: PT011  # which one is asyncpg's affair
                await copied()
            assert is_unavailable(caught.value)
            proxy.flowing.set()
            await until(partial(answers, pool), "the pool to be of use again")


async def ask(pool: Pool) -> None:
    await pool.execute("SELECT 1")


async def ask_in_a_transaction(pool: Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT 1")


@pytest.mark.parametrize("work", [ask, ask_in_a_transaction])
async def test_who_is_canceled_while_the_server_stands_still_ends(
    database: Database, work: Callable[[Pool], Awaitable[None]]
) -> None:
    async with Proxy.to(database.url) as proxy, asyncio.timeout(120):
        settings = hurried(database, command_seconds=30, acquire_seconds=1.5).model_copy(update={"url": proxy.url})
        async with open_pool(settings, "gateway") as pool:
            await work(pool)
            proxy.flowing.clear()
            async with asyncio.TaskGroup() as group:
                working = group.create_task(work(pool))
                await proxy.held.wait()
                working.cancel()
            assert working.cancelled()
            proxy.flowing.set()
            await until(partial(answers, pool), "the pool to be of use again")


@pytest.fixture
def private_server() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="chasqui-pool-") as folder:
        Path(folder).chmod(0o711)
        server = Postgres(Path(folder) / "postgres")  # with its syncs: it is killed
        server.start()
        try:
            yield server
        finally:
            server.stop()


async def test_callers_are_told_within_a_bound_that_the_server_is_gone(private_server: Postgres) -> None:
    await migrate(private_server.admin_url, "password")
    settings = DatabaseSettings(
        url=f"postgresql://127.0.0.1:{private_server.port}/postgres",
        password=SecretStr("password"),
        pool_min=1,
        pool_max=2,
        acquire_seconds=1,
        command_seconds=1,
    )
    async with open_pool(settings, "gateway") as pool, asyncio.timeout(120):

        async def answers() -> bool:
            try:
                await check(pool)
            except Exception as error:
                if is_unavailable(error):
                    return False
                raise
            return True

        async def is_silent() -> bool:
            return not await answers()

        await until(answers, "the server answers")
        private_server.kill()
        await until(is_silent, "its last processes end")
        for _ in range(4):
            assert not await answers()
        private_server.start()
        await until(answers, "the pool finds the server again")


async def test_what_was_begun_and_left_does_not_disturb_the_next_one(database: Database) -> None:
    async def prepare_and_leave(pool: Pool) -> None:
        async with pool.acquire() as connection:
            await connection.prepare("SELECT 1")  # as far as a statement gets that is canceled halfway
            raise LookupError

    async with open_pool(hurried(database), "gateway") as pool:
        with pytest.raises(LookupError):
            await prepare_and_leave(pool)
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
            assert await connection.fetchval("SELECT 1") == 1
