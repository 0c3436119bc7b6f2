"""The scheduler's rows and its outbox; nothing that relays."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.bus.outbox import Outbox
from shared.db.pool import Pool, open_pool
from tests.support.database import Database
from tests.support.told import silent_outbox


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with open_pool(database.settings_for("scheduler", pool_max=10), "scheduler") as pool:
        yield pool


@pytest.fixture
def outbox(pool: Pool) -> Outbox:
    return silent_outbox(pool, "scheduler")
