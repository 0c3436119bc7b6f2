"""The archive on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.archive.record import Recorder
from shared.db.pool import Pool, open_pool
from tests.support.database import Database


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    """As the archive's own role."""
    async with open_pool(database.settings_for("archive", pool_max=8), "archive") as pool:
        yield pool


@pytest.fixture
def recorder(pool: Pool) -> Recorder:
    return Recorder(pool)
