"""A bus of each kind. On RabbitMQ every test has a virtual host of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from shared.bus.connect import open_bus
from shared.bus.interface import Bus
from shared.config import BusSettings
from tests.contract.bus.harness import Publishing


@pytest.fixture(params=["memory", "rabbitmq"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    url = "memory://" if request.param == "memory" else request.getfixturevalue("rabbit_url")
    async with AsyncExitStack() as stack:
        yield await open_bus(BusSettings(url=url), stack)


@pytest.fixture
async def publishing(bus: Bus) -> AsyncIterator[Publishing]:
    publishing = Publishing(bus)
    yield publishing
    await publishing.close()
