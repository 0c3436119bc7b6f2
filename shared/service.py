"""One service as one process: what every `python -m services.<name>` does."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import TypeVar

from shared.bus.connect import open_bus
from shared.bus.interface import Bus
from shared.config import ServiceSettings, SettingsError, load
from shared.run import Component, main
from shared.systemd import notify
from shared.telemetry.logging import setup_logging
from shared.telemetry.metrics import Metrics
from shared.telemetry.runtime import Runtime
from shared.telemetry.tracing import Tracing

S = TypeVar("S", bound=ServiceSettings)
Build = Callable[[AsyncExitStack, S, Bus, Tracing, Metrics], Awaitable[Sequence[Component]]]


def serve(name: str, settings_type: type[S], build: Build[S]) -> int:
    """Load settings, open bus and tracing, run until SIGTERM; returns the exit code. Bad settings are 2, their faults on stderr."""
    settings = settings_or_none(settings_type)
    if settings is None:
        return 2
    setup_logging(settings.telemetry.log_level)

    async def builder(stack: AsyncExitStack) -> Sequence[Component]:
        tracing = Tracing(name, settings.telemetry)
        stack.callback(tracing.close)
        bus = await open_bus(settings.bus, stack, environment=settings.run.environment)
        metrics = Metrics(name)
        try:
            return [*await build(stack, settings, bus, tracing, metrics), Runtime(metrics)]
        except SettingsError as error:  # what only the database could tell; the log says where, and no sentence
            sys.stderr.write(f"{error}\n")
            raise

    return main([builder], drain_seconds=settings.run.drain_seconds, on_started=lambda: notify("READY=1"))


def settings_or_none(settings_type: type[S]) -> S | None:
    """The settings; where the environment is wrong, its faults are written to stderr."""
    try:
        return load(settings_type)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return None
