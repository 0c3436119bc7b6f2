"""The fixtures give each test a part of a server that no other test sees."""

from __future__ import annotations

import aio_pika
import asyncpg
import pytest
import redis

from shared.db.pool import open_pool
from tests.support.database import Database


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_has_a_migrated_database_of_its_own(turn: int, database: Database) -> None:
    connection = await asyncpg.connect(database.admin_url)
    await connection.execute("CREATE TABLE mark (turn int)")
    await connection.execute("INSERT INTO mark VALUES ($1)", turn)
    assert await connection.fetchval("SELECT count(*) FROM mark") == 1
    assert await connection.fetchval("SELECT count(*) FROM gateway.outbox") == 0
    await connection.close()


async def test_a_service_comes_in_as_its_own_role(database: Database) -> None:
    async with open_pool(database.settings_for("sender"), "sender") as pool:
        assert await pool.fetchval("SELECT current_user") == "chasqui_sender"


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_an_empty_valkey(turn: int, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.keys() == []
        client.set("turn", turn)


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_has_a_virtual_host_of_its_own(turn: int, rabbit_url: str) -> None:
    connection = await aio_pika.connect(rabbit_url)
    async with connection, connection.channel() as channel:
        queue = await channel.declare_queue("same name", auto_delete=False)
        assert queue.declaration_result.message_count == 0
        await channel.default_exchange.publish(aio_pika.Message(str(turn).encode()), routing_key="same name")
