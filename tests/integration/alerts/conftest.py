"""The platform, running and watched: on the memory bus, or on RabbitMQ with a proxy before it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from shared.telemetry import metrics
from tests.integration.alerts.watching import Watch, watching
from tests.support.assembly import assembled
from tests.support.database import Database
from tests.support.proxy import Proxy


@pytest.fixture(autouse=True)
def plain_tracebacks() -> Iterator[None]:
    """Coloured ones with all variables take a second each, in which no service answers."""
    structlog.configure(processors=[structlog.processors.format_exc_info, structlog.dev.ConsoleRenderer(colors=False)])
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def fresh_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests look more often than Prometheus does."""
    monkeypatch.setattr(metrics, "KEPT_SECONDS", 0.5)


@pytest.fixture
async def watch(database: Database, redis_url: str, tmp_path: Path) -> AsyncIterator[Watch]:
    async with assembled(database, redis_url, tmp_path / "journal") as assembly, watching(assembly) as watch:
        yield watch


@pytest.fixture
async def broker(rabbit_url: str) -> AsyncIterator[Proxy]:
    async with Proxy.to(rabbit_url) as proxy:
        yield proxy


@pytest.fixture
async def watch_on_broker(database: Database, redis_url: str, tmp_path: Path, broker: Proxy) -> AsyncIterator[Watch]:
    async with (
        assembled(database, redis_url, tmp_path / "journal", bus_url=broker.url) as assembly,
        watching(assembly) as watch,
    ):
        yield watch
