"""Every subscription of the platform: what must be declared before the first event is published.

python -m services.topology        declares them on the broker of CHASQUI_BUS__URL
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import Final

from services.archive.consumers import SUBSCRIPTIONS as ARCHIVE
from services.gateway.consumers import SUBSCRIPTIONS as GATEWAY
from services.scheduler.consumers import SUBSCRIPTIONS as SCHEDULER
from services.sender.consumers import SUBSCRIPTIONS as SENDER
from shared.bus.connect import open_bus
from shared.bus.interface import BusError
from shared.config import BusSettings, ServiceSettings
from shared.service import settings_or_none

SUBSCRIPTIONS: Final = (*GATEWAY, *SCHEDULER, *SENDER, *ARCHIVE)


async def declare(settings: BusSettings) -> None:
    """Make all queues and bindings; twice is safe."""
    async with AsyncExitStack() as stack:
        bus = await open_bus(settings, stack)
        await bus.declare(SUBSCRIPTIONS)


def main() -> int:
    """Run from a shell or a Kubernetes Job."""
    settings = settings_or_none(ServiceSettings)
    if settings is None:
        return 2
    try:
        asyncio.run(declare(settings.bus))
    except BusError as error:
        sys.stderr.write(f"not declared: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
