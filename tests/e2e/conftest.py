"""One platform for all journeys: it is started once, as `make run` starts it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.platform import Api, Platform


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    platform = Platform(tmp_path_factory.mktemp("platform"))
    await platform.start()
    yield platform
    assert platform.stop() == 0


@pytest_asyncio.fixture(loop_scope="session")
async def api(platform: Platform) -> AsyncIterator[Api]:
    async with platform.api() as api:
        yield api
