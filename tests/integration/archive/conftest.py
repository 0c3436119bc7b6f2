"""The archive on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.archive.record import Recorder
from services.archive.tenants import Tenants
from shared.db.pool import Pool, open_pool
from tests.integration.archive.keeping import Keeping, keeping
from tests.support.database import Database


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    """As the archive's own role."""
    async with open_pool(database.settings_for("archive", pool_max=8), "archive") as pool:
        yield pool


@pytest.fixture
def tenants(pool: Pool) -> Tenants:
    return Tenants(pool)


@pytest.fixture
def recorder(pool: Pool, tenants: Tenants) -> Recorder:
    return Recorder(pool, tenants)


@pytest.fixture
async def keep(pool: Pool, tenants: Tenants, recorder: Recorder, tmp_path: Path) -> AsyncIterator[Keeping]:
    async with keeping(pool, tenants, recorder, tmp_path / "objects") as keep:
        yield keep
