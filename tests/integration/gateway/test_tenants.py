"""Tenants and keys: made and ended from the command line, and nobody sees another's things."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime

import asyncpg
import pytest
from aiohttp.test_utils import make_mocked_request

from services.gateway.store import tenants as store
from services.gateway.tenants import FRESH_SECONDS, RENEWED_SECONDS, Authenticator, admit_key, create
from shared.auth.keys import new_key, parse_key
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http.routes import TENANT_ID
from tests.integration.gateway.serving import MASTER_KEY, Gateway, Tenant
from tests.support.database import Database


class StandingClock:
    seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


async def command(database: Database, *arguments: str) -> tuple[int, list[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CHASQUI_")} | {
        "CHASQUI_DB__URL": database.url,
        "CHASQUI_DB__PASSWORD": database.role_password,
        "CHASQUI_SECURITY__MASTER_KEY": MASTER_KEY,
        "CHASQUI_SECURITY__INTERNAL_TOKEN": "x",
    }
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "services.gateway.tenants", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.returncode, done.stdout.split()


async def tenant_of(pool: Pool, clock: StandingClock, authenticate: Authenticator, key: str) -> str | None:
    request = make_mocked_request("GET", "/", headers={"Authorization": f"Bearer {key}"})
    try:
        await authenticate(request)
    except Rejected:
        return None
    return str(request[TENANT_ID])


async def test_a_tenant_and_its_keys_are_made_and_ended_from_the_command_line(database: Database, gateway: Gateway) -> None:
    code, (_, tenant_id, _, key) = await command(database, "create", "Acme Inc")
    assert code == 0
    _, (_, again, _, second) = await command(database, "key", "Acme Inc", "--live")
    assert again == tenant_id
    assert second.startswith("chq_live_")
    for text in (key, second):
        assert (await gateway.call("GET", "/api/messages", tenant=Tenant(tenant_id, text))).status == 200
    third = parse_key(second)
    assert third is not None
    assert (await command(database, "revoke", third.key_id))[1] == ["revoked"]
    assert (await command(database, "revoke", third.key_id))[1][:3] == ["there", "is", "no"]
    assert (await command(database, "key", "Nobody"))[1] == ["there", "is", "no", "such", "tenant"]
    assert await gateway.pool.fetchval("SELECT count(*) FROM api_keys WHERE strpos(encode(digest, 'escape'), $1) > 0", key) == 0


async def test_a_revoked_key_opens_nothing_after_five_seconds(pool: Pool) -> None:
    clock = StandingClock()
    authenticate = Authenticator(pool, clock)
    text = new_key(live=True)
    key = parse_key(text)
    assert key is not None
    async with pool.acquire() as connection:
        tenant_id = await create(connection, "Acme")
        assert await tenant_of(pool, clock, authenticate, text) is None
        await admit_key(connection, tenant_id, text)
        assert await tenant_of(pool, clock, authenticate, text) == tenant_id, "an unknown key is not remembered as such"
        assert await store.revoke_key(connection, key.key_id)
    clock.seconds += FRESH_SECONDS
    assert FRESH_SECONDS <= 5
    assert await tenant_of(pool, clock, authenticate, text) is None
    assert await tenant_of(pool, clock, authenticate, text) is None


class Readings:
    """Counts the readings of keys; each goes on when the gate is open."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.gate = asyncio.Event()
        self.began = asyncio.Event()
        self._find_key = store.find_key
        monkeypatch.setattr(store, "find_key", self._counted)

    async def _counted(self, pool: Pool, key_id: str) -> asyncpg.Record | None:
        self.count += 1
        self.began.set()
        await self.gate.wait()
        return await self._find_key(pool, key_id)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Readings:
    return Readings(monkeypatch)


async def new_tenant(pool: Pool) -> tuple[str, str]:
    text = new_key(live=True)
    async with pool.acquire() as connection:
        tenant_id = await create(connection, "Acme")
        await admit_key(connection, tenant_id, text)
    return tenant_id, text


async def until_begun(readings: Readings) -> None:
    async with asyncio.timeout(60):
        await readings.began.wait()
    readings.began.clear()


async def test_many_who_show_a_key_at_once_read_it_once(pool: Pool, readings: Readings) -> None:
    clock = StandingClock()
    authenticate = Authenticator(pool, clock)
    tenant_id, text = await new_tenant(pool)
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(tenant_of(pool, clock, authenticate, text)) for _ in range(500)]
        await until_begun(readings)
        readings.gate.set()
    assert {one.result() for one in asked} == {tenant_id}
    assert readings.count == 1


async def test_a_key_in_use_is_read_again_before_it_ends_and_nobody_else_waits(pool: Pool, readings: Readings) -> None:
    clock = StandingClock()
    authenticate = Authenticator(pool, clock)
    tenant_id, text = await new_tenant(pool)
    readings.gate.set()
    assert await tenant_of(pool, clock, authenticate, text) == tenant_id
    readings.gate.clear()
    readings.began.clear()
    clock.seconds += RENEWED_SECONDS
    async with asyncio.TaskGroup() as group:
        first = group.create_task(tenant_of(pool, clock, authenticate, text))
        await until_begun(readings)
        assert [await tenant_of(pool, clock, authenticate, text) for _ in range(3)] == [tenant_id] * 3
        async with pool.acquire() as connection:
            await connection.execute("DELETE FROM api_keys")
        readings.gate.set()
    assert first.result() is None
    assert await tenant_of(pool, clock, authenticate, text) is None, "what was remembered has ended with it"
    assert readings.count == 3


async def test_a_database_that_is_away_ends_no_key_before_its_time(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = StandingClock()
    authenticate = Authenticator(pool, clock)
    tenant_id, text = await new_tenant(pool)
    assert await tenant_of(pool, clock, authenticate, text) == tenant_id

    async def away(_: Pool, __: str) -> None:
        raise TimeoutError

    monkeypatch.setattr(store, "find_key", away)
    clock.seconds += RENEWED_SECONDS
    assert await tenant_of(pool, clock, authenticate, text) == tenant_id
    clock.seconds += FRESH_SECONDS - RENEWED_SECONDS
    with pytest.raises(TimeoutError):
        await tenant_of(pool, clock, authenticate, text)


async def test_who_waits_for_a_key_outlives_the_one_who_read_it(pool: Pool, readings: Readings) -> None:
    clock = StandingClock()
    authenticate = Authenticator(pool, clock)
    tenant_id, text = await new_tenant(pool)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(tenant_of(pool, clock, authenticate, text))
        await until_begun(readings)
        others = [group.create_task(tenant_of(pool, clock, authenticate, text)) for _ in range(20)]
        await asyncio.sleep(0)  # they wait now
        first.cancel()
        await until_begun(readings)
        readings.gate.set()
    assert {other.result() for other in others} == {tenant_id}
    assert readings.count == 2


async def test_another_secret_under_a_known_id_opens_nothing(pool: Pool) -> None:
    clock = StandingClock()
    authenticate = Authenticator(pool, clock)
    async with pool.acquire() as connection:
        tenant_id = await create(connection, "Acme")
        text, other = new_key(live=False), parse_key(new_key(live=False))
        known = parse_key(text)
        assert known is not None
        assert other is not None
        await store.insert_key(connection, known.key_id, tenant_id, live=False, digest=other.digest)
    assert await tenant_of(pool, clock, authenticate, text) is None


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer "}, {"Authorization": "Bearer é"}]
)
async def test_without_a_key_there_is_no_way_in(header: dict[str, str], gateway: Gateway) -> None:
    answer = await gateway.call("GET", "/api/messages", **header)
    assert answer.status == 401
    assert answer.body["code"] in {"auth.missing", "auth.invalid"}


async def test_a_tenant_sees_and_changes_nothing_of_another(gateway: Gateway) -> None:
    one, other = await gateway.new_tenant("One"), await gateway.new_tenant("Other")
    number = await gateway.connect(one, "1001")
    message = await gateway.send(one)
    assert (await gateway.call("GET", "/api/messages", tenant=other)).body["data"] == []
    assert (await gateway.call("GET", "/api/numbers", tenant=other)).body["data"] == []
    for method, path, body in (
        ("GET", f"/api/messages/{message}", None),
        ("POST", f"/api/messages/{message}/cancel", None),
        ("GET", f"/api/numbers/{number}", None),
        ("PATCH", f"/api/numbers/{number}", {"display_number": "+1"}),
    ):
        assert (await gateway.call(method, path, body, other)).status == 404, path
    answer = await gateway.call("POST", "/api/messages", {"to": "+15551234567", "text": {"body": "x"}, "from": number}, other)
    assert (answer.status, answer.body["errors"][0]["code"]) == (422, "number.unknown")
    own = {"to": "+15551234567", "text": {"body": "x"}, "from": "+15550783881"}
    answer = await gateway.call("POST", "/api/messages", own, one)
    assert "`num_…`" in answer.body["errors"][0]["detail"]
    assert await gateway.told() == []
