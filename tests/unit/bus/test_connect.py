"""The scheme of the URL picks the bus."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from shared.bus.connect import open_bus
from shared.config import BusSettings, SettingsError


async def test_memory_is_local() -> None:
    async with AsyncExitStack() as stack:
        bus = await open_bus(BusSettings(url="memory://"), stack)
        assert bus.is_local


async def test_production_refuses_memory() -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(SettingsError, match="CHASQUI_BUS__URL"):
            await open_bus(BusSettings(url="memory://"), stack, environment="production")


@pytest.mark.parametrize("url", ["", "rabbit", "http://user:secret@127.0.0.1/"])
async def test_what_names_no_bus_is_said_without_showing_it(url: str) -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(SettingsError) as raised:
            await open_bus(BusSettings.model_construct(url=url), stack)
    assert "secret" not in str(raised.value)
