"""Who reads live has a place for as long as its connection is open."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.gateway.live import hub as hub_module
from tests.integration.gateway.following import following, is_open
from tests.integration.gateway.serving import Gateway, Tenant, serving
from tests.support.database import Database
from tests.support.platform import until


@pytest.fixture
async def live(database: Database, redis_url: str) -> AsyncIterator[Gateway]:
    async with serving(database, redis_url) as gateway:
        yield gateway


@pytest.fixture
async def tenant(live: Gateway) -> Tenant:
    return await live.new_tenant()


@pytest.mark.parametrize("limit", ["MOST_OF_TENANT", "MOST"])
async def test_who_has_closed_its_connection_has_no_place_any_more(
    limit: str, live: Gateway, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, limit, 2)
    for _ in range(3):
        async with following(live, tenant) as first, following(live, tenant) as second:
            await first.ready()
            await second.ready()
            first.answer.close()
            second.answer.close()
        await until(lambda: is_open(live, tenant), "the connections' ends to have come")
