"""The tokens that services and Prometheus show are rotated: at each step both sides of the step before are still served."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Final

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from shared.config import SecuritySettings, TelemetrySettings
from shared.http.internal import TENANT_HEADER, internal, service
from shared.http.routes import Access, Route
from shared.http.scraping import PATH, scraper
from shared.http.server import HttpServer
from shared.ids import new_id
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing

STEPS: Final = (("old", ""), ("old", "new"), ("new", "old"), ("new", ""))
"""The token and the other one, as the settings have them."""


async def ok(_: web.Request) -> web.StreamResponse:
    return web.Response()


@asynccontextmanager
async def served(token: str, other: str) -> AsyncIterator[str]:
    """A service with this pair as its internal tokens, and as those of its metrics."""
    security = SecuritySettings(
        master_key=SecretStr(""), internal_token=SecretStr(token), other_internal_token=SecretStr(other)
    )
    telemetry = TelemetrySettings(metrics_token=SecretStr(token), other_metrics_token=SecretStr(other))
    http = HttpServer(
        "inner",
        [Route("GET", f"/{access}", ok, "Asked", "Tests", access=access) for access in (Access.INTERNAL, Access.SERVICE)],
        host="127.0.0.1",
        port=0,
        authenticate={
            Access.INTERNAL: internal(*security.internal_tokens),
            Access.SERVICE: service(*security.internal_tokens),
            Access.METRICS: scraper(*telemetry.metrics_tokens),
        },
        tracing=Tracing("inner", telemetry),
        metrics=Metrics("gateway"),
        readiness={},
        title="Inner",
        version="1",
    )
    await http.start()
    try:
        yield f"http://127.0.0.1:{http.port}"
    finally:
        await http.close()


async def shown(url: str, token: str) -> Sequence[int]:
    """The statuses of one request of each kind that shows this token."""
    headers = {"Authorization": f"Bearer {token}", TENANT_HEADER: new_id("tnt")}
    statuses = []
    async with aiohttp.ClientSession(headers=headers, trust_env=False) as session:
        for path in (f"/{Access.INTERNAL}", f"/{Access.SERVICE}", PATH):
            async with session.get(url + path) as answer:
                statuses.append(answer.status)
    return statuses


@pytest.mark.parametrize(("former", "latter"), list(pairwise(STEPS)))
async def test_replicas_of_two_steps_understand_each_other(former: tuple[str, str], latter: tuple[str, str]) -> None:
    for asks, answers in ((former, latter), (latter, former), (former, former), (latter, latter)):
        async with served(*answers) as url:
            assert await shown(url, asks[0]) == [200, 200, 200]


async def test_in_the_end_the_former_token_opens_nothing() -> None:
    async with served(*STEPS[-1]) as url:
        for token in ("old", "", "new old"):
            assert await shown(url, token) == [401, 401, 401]


async def test_an_empty_pair_opens_the_metrics_to_all_and_the_rest_to_nobody() -> None:
    async with served("", "") as url:
        assert await shown(url, "") == [401, 401, 200]
