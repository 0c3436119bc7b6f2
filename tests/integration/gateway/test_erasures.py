"""Erasures in the gateway: who is meant, and what an erasure that cannot go on does to the others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from services.gateway import tenants
from services.gateway.erase import COLUMN, LEASE, STEP_SECONDS, Erasures, InnerServices
from services.gateway.store import erasures as store
from shared.auth.seal import Sealer
from shared.db.pool import Connection, Pool
from shared.erasure.person import Person
from shared.erasure.steps import Found, Part, Parts
from shared.ids import TenantId
from tests.integration.gateway.serving import MASTER_KEY, Gateway, Tenant, serving
from tests.support.database import Database
from tests.support.told import silent_outbox

PHONE = "+15558642097"
KNOWN, NOBODY = "prt_" + "1" * 26, "prt_" + "0" * 26


@pytest.fixture
async def tenant(gateway: Gateway) -> Tenant:
    return await gateway.new_tenant()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def erasures(pool: Pool, session: aiohttp.ClientSession, parts: Sequence[Part]) -> Erasures:
    """With these parts of its own, and no other service that answers."""
    urls = dict.fromkeys(("scheduler", "sender", "archive"), "http://127.0.0.1:9")
    others = InnerServices(session, urls, "internal")
    outbox = silent_outbox(pool, "gateway")
    return Erasures(outbox, pool, Sealer(MASTER_KEY), b"key", None, Parts(parts), others)  # type: ignore[arg-type]


async def nothing(_: Connection, __: TenantId, ___: Person, ____: str) -> Found:
    return Found([])


async def ask(gateway: Gateway, tenant: Tenant, **who: Any) -> str:
    answer = await gateway.call("POST", "/api/erasures", who, tenant)
    assert answer.status == 202, answer.text
    return str(answer.body["id"])


async def test_somebody_is_found_by_any_spelling_and_erased_with_all_their_addresses(gateway: Gateway, tenant: Tenant) -> None:
    answer = await gateway.call("POST", "/api/contacts", {"phone": "+551187654321", "user_id": "BR.1349120865530274"}, tenant)
    assert answer.status == 201
    erasure_id = await ask(gateway, tenant, phone="+5511987654321")
    sealed = await gateway.pool.fetchval("SELECT sealed_person FROM erasures WHERE id = $1", erasure_id)
    person = orjson.loads(Sealer(MASTER_KEY).open(TenantId(tenant.tenant_id), COLUMN, erasure_id, sealed))
    assert set(person["addresses"]) == {"+5511987654321", "+551187654321", "BR.1349120865530274"}
    assert person["contact_ids"] == [answer.body["id"]]


class Archive:
    """Stands for the archive, in which there is one participant."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.path == "/participants/unknown"
        asked = orjson.loads(await request.read())["participant_ids"]
        return web.json_response({"unknown": [one for one in asked if one != KNOWN]})


@pytest.fixture
async def archive_url() -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(Archive().handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_participants_whom_the_archive_does_not_have_are_not_erased(database: Database, archive_url: str) -> None:
    async with serving(database, archive_url=archive_url) as gateway:
        tenant = await gateway.new_tenant()
        for others in ({}, {"phone": PHONE}):
            answer = await gateway.call("POST", "/api/erasures", {"participant_ids": [KNOWN, NOBODY], **others}, tenant)
            assert (answer.status, answer.body["code"]) == (404, "participant.unknown")
            assert [fault["pointer"] for fault in answer.body["errors"]] == ["/participant_ids/1"]
        assert (await gateway.call("GET", "/api/erasures", tenant=tenant)).body["data"] == []
        await ask(gateway, tenant, participant_ids=[KNOWN])


async def test_without_the_archive_nobody_can_say_who_a_participant_is(gateway: Gateway, tenant: Tenant) -> None:
    answer = await gateway.call("POST", "/api/erasures", {"participant_ids": [KNOWN]}, tenant)
    assert (answer.status, answer.body["code"]) == (503, "archive.unavailable")


async def test_who_names_nobody_is_told_what_is_wanted(gateway: Gateway, tenant: Tenant) -> None:
    answer = await gateway.call("POST", "/api/erasures", {}, tenant)
    assert answer.status == 422
    assert answer.body["detail"] == "The body needs a phone, a user_id, a contact_id or participant_ids."


async def test_a_fault_of_ours_stops_one_erasure_and_not_the_gateway(pool: Pool, session: aiohttp.ClientSession) -> None:
    async def broken(*_: Any) -> Found:
        raise ValueError(PHONE)

    ill, well = erasures(pool, session, [Part("broken", broken)]), erasures(pool, session, [Part("fine", nothing)])
    async with well.outbox.transaction() as unit:
        tenant_id = TenantId(await tenants.create(unit.connection, "Acme"))
        rows = [await well.request(unit, tenant_id, "key", Person(addresses=[f"{PHONE}{n}"])) for n in range(2)]
    assert await ill.work()
    assert await well.work()
    assert not await well.work(), "both wait now"
    found = [await store.find(pool, tenant_id, row["id"]) for row in rows]
    assert {(row["state"], row["service"], row["code"]) for row in found if row is not None} == {
        ("running", "gateway", "internal"),
        ("running", "scheduler", "service.unavailable"),
    }


async def test_another_tenant_sees_nothing_of_it(gateway: Gateway, tenant: Tenant) -> None:
    erasure_id = await ask(gateway, tenant, phone=PHONE)
    other = await gateway.new_tenant("Other")
    assert (await gateway.call("GET", f"/api/erasures/{erasure_id}", tenant=other)).status == 404
    assert (await gateway.call("POST", f"/api/erasures/{erasure_id}/verify", {"phone": PHONE}, other)).status == 404
    assert (await gateway.call("GET", "/api/erasures", tenant=other)).body["data"] == []


def test_a_step_is_written_down_before_anybody_else_takes_it() -> None:
    assert LEASE.total_seconds() > 2 * STEP_SECONDS
