"""All services in one process, on one bus."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from opentelemetry.sdk.trace.export import SpanExporter

import services.archive.app
import services.archive.settings
import services.gateway.app
import services.gateway.settings
import services.sandbox.app
import services.sandbox.settings
import services.scheduler.app
import services.scheduler.settings
import services.sender.app
import services.sender.settings
from services.gateway.traces.buffer import SpanBuffer
from shared.bus.connect import open_bus
from shared.config import SERVICES, load
from shared.run import Component
from shared.telemetry.metrics import Metrics
from shared.telemetry.runtime import Runtime
from shared.telemetry.tracing import Tracing


@dataclass(frozen=True, slots=True)
class AllSettings:
    """Of each service its own."""

    gateway: services.gateway.settings.Settings
    scheduler: services.scheduler.settings.Settings
    sender: services.sender.settings.Settings
    archive: services.archive.settings.Settings
    sandbox: services.sandbox.settings.Settings

    @classmethod
    def from_environment(cls) -> AllSettings:
        """Raises `SettingsError`."""
        return cls(
            gateway=load(services.gateway.settings.Settings),
            scheduler=load(services.scheduler.settings.Settings),
            sender=load(services.sender.settings.Settings),
            archive=load(services.archive.settings.Settings),
            sandbox=load(services.sandbox.settings.Settings),
        )


def check_settings(environment: Mapping[str, str]) -> None:
    """Raises `SettingsError` where a service could not start with these, before anything is started."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        AllSettings.from_environment()
    finally:
        os.environ.clear()
        os.environ.update(before)


async def build_all(stack: AsyncExitStack, settings: AllSettings, exporter: SpanExporter | None = None) -> list[Component]:
    """The components of all services, not yet running. Their spans go to `exporter` where one is given, else into the gateway's
    store where its settings want them kept.

    The gateway's settings say which bus it is.
    """
    spans = SpanBuffer() if exporter is None and settings.gateway.gateway.keep_spans else None
    exporter = spans if exporter is None else exporter

    def tracing(service: str) -> Tracing:
        opened = Tracing(service, settings.gateway.telemetry, exporter)
        stack.callback(opened.close)
        return opened

    bus = await open_bus(settings.gateway.bus, stack, environment=settings.gateway.run.environment)
    metrics = {service: Metrics(service) for service in SERVICES}
    return [
        *await services.gateway.app.build(stack, settings.gateway, bus, tracing("gateway"), metrics["gateway"], spans),
        *await services.scheduler.app.build(stack, settings.scheduler, bus, tracing("scheduler"), metrics["scheduler"]),
        *await services.sender.app.build(stack, settings.sender, bus, tracing("sender"), metrics["sender"]),
        *await services.archive.app.build(stack, settings.archive, bus, tracing("archive"), metrics["archive"]),
        *await services.sandbox.app.build(stack, settings.sandbox, tracing("sandbox"), metrics["sandbox"]),
        *(Runtime(of_service) for of_service in metrics.values()),
    ]
