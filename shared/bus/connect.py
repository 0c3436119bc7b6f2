"""Which bus, by the scheme of its URL."""

from __future__ import annotations

from contextlib import AsyncExitStack

from yarl import URL

from shared.bus.interface import Bus
from shared.bus.memory import MemoryBus
from shared.bus.rabbit import open_rabbit
from shared.config import BusSettings, SettingsError


async def open_bus(settings: BusSettings, stack: AsyncExitStack, *, environment: str = "development") -> Bus:
    """A bus that closes with `stack`.

    Raises `SettingsError` for a URL that names none, and for `memory://` in production, where processes would not hear each
    other; `Uncertain` where the broker does not let us in.
    """
    match URL(settings.url).scheme:
        case "memory" if environment == "production":
            raise SettingsError("CHASQUI_BUS__URL: memory:// serves one process only, production needs amqp://")
        case "memory":
            return await stack.enter_async_context(MemoryBus())
        case "amqp" | "amqps":
            return await stack.enter_async_context(open_rabbit(settings.url))
        case _:
            raise SettingsError("CHASQUI_BUS__URL: expected amqp://, amqps:// or memory://")
