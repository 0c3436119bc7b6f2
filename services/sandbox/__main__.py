"""`python -m services.sandbox`: a local WhatsApp Cloud API."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

from services.sandbox.app import build
from services.sandbox.settings import Settings
from shared.run import Component, main
from shared.service import settings_or_none
from shared.telemetry.logging import setup_logging
from shared.telemetry.metrics import Metrics
from shared.telemetry.runtime import Runtime
from shared.telemetry.tracing import Tracing


def run() -> int:
    """The sandbox talks HTTP only, so it has no bus."""
    settings = settings_or_none(Settings)
    if settings is None:
        return 2
    setup_logging(settings.telemetry.log_level)

    async def builder(stack: AsyncExitStack) -> Sequence[Component]:
        tracing = Tracing("sandbox", settings.telemetry)
        stack.callback(tracing.close)
        metrics = Metrics("sandbox")
        return [*await build(stack, settings, tracing, metrics), Runtime(metrics)]

    return main([builder], drain_seconds=settings.run.drain_seconds)


if __name__ == "__main__":
    sys.exit(run())
