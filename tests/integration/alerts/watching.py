"""Prometheus for a test: running services are scraped, and promtool is told how it would go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import asyncpg
from prometheus_client.parser import text_string_to_metric_families

from local.home import HOST
from tests.support.alerting import Series, check_quiet, check_turn
from tests.support.assembly import Assembly
from tests.support.platform import PATIENCE_SECONDS, Api, until

SERVICES: Final = ("gateway", "scheduler", "sender", "archive")
BEFORE: Final = 10
"""Steps for which all is well."""
LASTING: Final = 50
"""Steps for which it then goes on as it is."""
_COUNTED: Final = ("_total", "_bucket", "_sum", "_count")

Scrape = Mapping[str, float]
"""A series with its labels, as promtool names it → its value."""


class Watch:
    """One who scrapes the four services of an assembly, as the scrape configuration does."""

    def __init__(self, assembly: Assembly, api: Api, session: aiohttp.ClientSession) -> None:
        self.assembly = assembly
        self.api = api
        self._session = session

    async def scrape(self) -> Scrape:
        """All there is now. What the services read from elsewhere is up to half a second old."""
        pages = await asyncio.gather(*(self._page(service) for service in SERVICES))
        return {name: value for page in pages for name, value in page.items()}

    async def until(self, holds: Callable[[Scrape], object], what: str, seconds: float = PATIENCE_SECONDS) -> Scrape:
        """The first scrape for which it holds."""

        async def seen() -> Scrape | None:
            scrape = await self.scrape()
            return scrape if holds(scrape) else None

        found: Scrape = await until(seen, what, seconds)
        return found

    async def _page(self, service: str) -> Scrape:
        added = {"job": "chasqui", "service": service, "instance": service}
        try:
            async with self._session.get(f"http://{HOST}:{self.assembly.ports[service]}/metrics") as answer:
                assert answer.status == 200, await answer.text()
                text = await answer.text()
        except aiohttp.ClientConnectionError:
            return {_name("up", added): 0.0}
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return {_name("up", added): 1.0, **{_name(one.name, {**one.labels, **added}): one.value for one in samples}}


@asynccontextmanager
async def watching(assembly: Assembly) -> AsyncIterator[Watch]:
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session, assembly.api() as api:
        yield Watch(assembly, api, session)


@asynccontextmanager
async def held(admin_url: str, statement: str) -> AsyncIterator[None]:
    """A transaction that has run the statement and does not end, with the locks it took."""
    connection = await asyncpg.connect(admin_url)
    try:
        async with connection.transaction():
            await connection.execute(statement)
            yield
    finally:
        await connection.close()


async def run_sql(admin_url: str, statement: str) -> None:
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def values(scrape: Scrape, metric: str, **labels: str) -> list[float]:
    """Of every series of the metric with these labels."""
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    return [value for name, value in scrape.items() if name.split("{")[0] == metric and all(one in name for one in wanted)]


def total(scrape: Scrape, metric: str, **labels: str) -> float:
    return sum(values(scrape, metric, **labels))


def going_on(before: Scrape, after: Scrape) -> Series:
    """As if all had been well, as in `before`, for some steps, and then what happened between the two had happened again in each:
    gauges stay as they are in `after`, counters rise each time by as much. What is in only one of them comes or goes."""
    return {name: _going_on(name, before.get(name), after.get(name)) for name in {*before, *after}}


async def assert_fires(alert: str, before: Scrape, after: Scrape, *, step: str = "1m", at: str = "55m", **labels: str) -> None:
    """It is quiet as things were, and fires as they are."""
    series = going_on(before, before), going_on(before, after)
    await asyncio.to_thread(check_turn, alert, *series, at, step, labels)


async def assert_quiet(alert: str, before: Scrape, after: Scrape, *, step: str = "1m", at: str = "55m") -> None:
    """Promtool runs in a thread: the services run on this loop."""
    await asyncio.to_thread(check_quiet, alert, going_on(before, after), at, step)


def _going_on(name: str, before: float | None, after: float | None) -> str:
    well = f"_x{BEFORE}" if before is None else f"{before!r}+0x{BEFORE - 1}"
    if after is None:
        return well
    if not name.split("{", maxsplit=1)[0].endswith(_COUNTED):
        return f"{well} {after!r}+0x{LASTING - 1}"
    by = max(0.0, after - (before or 0.0))
    return f"{well} {after!r}+{by!r}x{LASTING - 1}"


def _name(name: str, labels: Mapping[str, str]) -> str:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'

    return f"{name}{{{','.join(f'{label}={quoted(value)}' for label, value in sorted(labels.items()))}}}"
