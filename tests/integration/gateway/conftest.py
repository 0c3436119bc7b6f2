"""The gateway alone: its HTTP server and its rows, nothing that relays."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.db.pool import Pool, open_pool
from tests.integration.gateway.reading import Reader
from tests.integration.gateway.serving import Gateway, serving
from tests.support.database import Database


@pytest.fixture
async def gateway(database: Database) -> AsyncIterator[Gateway]:
    async with serving(database) as gateway:
        yield gateway


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with open_pool(database.settings_for("gateway"), "gateway") as pool:
        yield pool


@pytest.fixture
async def bare_reader(pool: Pool) -> Reader:
    return await Reader.connected(pool)
