"""The master key is rotated: at each step replicas of the step before still run, and nothing that was promised is lost."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from collections.abc import Mapping
from itertools import pairwise
from typing import Final

import asyncpg
import orjson
import pytest
from pydantic import SecretStr

from services.gateway import numbers
from services.gateway.store.sealed import COLUMNS as GATEWAY_COLUMNS
from services.sender.limits import LimitSettings
from services.sender.numbers import TOKEN_UNREADABLE, Numbers
from services.sender.store.numbers import upsert
from services.sender.store.sealed import COLUMNS as SENDER_COLUMNS
from shared.auth import reseal as resealing
from shared.auth.kept_keys import kept_keys
from shared.auth.reseal import KEPT_KEYS, Sealed, reseal
from shared.auth.seal import Sealer
from shared.clock import SystemClock
from shared.config import SecuritySettings, SettingsError
from shared.db.pool import Pool, open_pool
from shared.events.catalogue import NumberConnected
from shared.ids import NumberId, TenantId
from tests.integration.gateway.serving import Gateway, Tenant, serving
from tests.integration.gateway.test_webhooks import payload, value
from tests.support.database import Database
from tests.support.platform import until

OLD: Final = base64.b64encode(bytes(range(32))).decode()
NEW: Final = base64.b64encode(bytes(range(1, 33))).decode()


def security(key: str, others: str = "") -> SecuritySettings:
    return SecuritySettings(
        master_key=SecretStr(key), other_master_keys=SecretStr(others), internal_token=SecretStr("internal")
    )


STEPS: Final = (security(OLD), security(OLD, NEW), security(NEW, OLD), security(NEW))
PHONE, OTHER_PHONE, STOPPED = "+15558642097", "+15558642098", "+15558642099"
TENANT: Final = TenantId("tnt_a")


@pytest.fixture(autouse=True)
def read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that is remembered is fresh: what another replica has changed is seen."""
    monkeypatch.setattr(numbers, "FRESH_SECONDS", -1.0)


def variables(database: Database, service: str, one: SecuritySettings) -> dict[str, str]:
    """A process's environment."""
    db = database.settings_for(service)
    return {
        **{name: text for name, text in os.environ.items() if not name.upper().startswith("CHASQUI_")},
        "CHASQUI_DB__URL": db.url,
        "CHASQUI_DB__PASSWORD": db.password.get_secret_value(),
        "CHASQUI_SECURITY__MASTER_KEY": one.master_key.get_secret_value(),
        "CHASQUI_SECURITY__OTHER_MASTER_KEYS": one.other_master_keys.get_secret_value(),
        "CHASQUI_SECURITY__INTERNAL_TOKEN": "internal",
    }


async def command(service: str, environment: Mapping[str, str], *options: str) -> tuple[int | None, str]:
    """`python -m services.<service>.reseal`: its exit code, and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"services.{service}.reseal", *options, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    told, _ = await process.communicate()
    return process.returncode, told.decode()


async def speaks(gateway: Gateway, phone_number_id: str) -> int:
    """A webhook of that number comes; the status of the answer."""
    return (await gateway.webhook(payload(value(phone_number_id)), f"secret-{phone_number_id}")).status


async def verifies(gateway: Gateway, tenant: Tenant, erasure_id: str, phone: str) -> str:
    """What becomes of the wish to verify an erasure that still runs, of somebody who may have been somebody else."""
    answer = await gateway.call("POST", f"/api/erasures/{erasure_id}/verify", {"phone": phone}, tenant)
    return str(answer.body["code"])


async def test_no_replica_of_any_step_refuses_what_one_of_the_step_before_has_given(database: Database) -> None:
    connected: list[str] = []
    tenant: Tenant | None = None
    for step, (former, latter) in enumerate(pairwise(STEPS)):
        if step == 2:
            code, told = await command("gateway", variables(database, "gateway", former))
            assert code == 0, told
        async with serving(database, security=former) as one, serving(database, security=latter) as other:
            tenant = tenant or await one.new_tenant()
            for gateway in (one, other):
                connected.append(str(1001 + len(connected)))
                await gateway.connect(tenant, connected[-1])
            for gateway in (one, other):
                assert {await speaks(gateway, number) for number in connected} == {200}, f"step {step}"
            for makes, opens in ((one, other), (other, one)):
                ticket = (await makes.call("POST", "/api/events/tickets", tenant=tenant)).body["token"]
                assert (await opens.call("HEAD", f"/api/events?token={ticket}")).status == 200, f"step {step}"


async def test_a_kept_opt_out_and_a_proof_of_erasure_are_found_after_the_rotation(database: Database) -> None:
    async with serving(database, security=STEPS[0]) as gateway:
        tenant = await gateway.new_tenant()
        for phone, body in ((PHONE, {}), (STOPPED, {"consent": {"state": "opted_out", "source": "call"}})):
            answer = await gateway.call("POST", "/api/contacts", {"phone": phone, **body}, tenant)
            assert answer.status == 201, answer.text
        proof = (await gateway.call("POST", "/api/erasures", {"phone": PHONE}, tenant)).body["id"]
        await gateway.call("POST", "/api/erasures", {"phone": STOPPED}, tenant)

        async def is_kept() -> bool:
            return bool(await gateway.pool.fetchval("SELECT count(*) FROM erased_opt_outs"))

        await until(is_kept, "the opt-out to be kept by its digest")
    for one in STEPS[1:3]:
        async with serving(database, security=one):
            pass
    code, told = await command("gateway", variables(database, "gateway", STEPS[2]))
    assert code == 0, told
    async with serving(database, security=STEPS[3]) as gateway:
        assert await verifies(gateway, tenant, proof, PHONE) == "erasure.running", "it is theirs"
        assert await verifies(gateway, tenant, proof, OTHER_PHONE) == "erasure.other_person"
        back = await gateway.call("POST", "/api/contacts", {"phone": STOPPED}, tenant)
        assert (back.status, back.body["consent"]["state"]) == (201, "opted_out")
        person = await gateway.pool.fetchval("SELECT sealed_person FROM erasures WHERE id = $1", proof)
        opened = Sealer(NEW).open(TenantId(tenant.tenant_id), "erasures.sealed_person", proof, person)
        assert PHONE in orjson.loads(opened)["addresses"], "it goes on under the new key alone"


async def test_a_gateway_does_not_start_on_a_database_of_another_key(database: Database) -> None:
    async with serving(database, security=STEPS[0]):
        pass
    with pytest.raises(SettingsError, match="CHASQUI_SECURITY__OTHER_MASTER_KEYS"):
        async with serving(database, security=STEPS[3]):
            pass
    code, told = await command("gateway", variables(database, "gateway", STEPS[3]), "--check")
    assert (code, "2 unreadable: erased addresses inbound" in told) == (1, True), told
    code, told = await command("gateway", variables(database, "gateway", STEPS[3]), "--forget")
    assert (code, "forgot erased addresses, inbound" in told) == (0, True), told
    async with serving(database, security=STEPS[3]) as gateway:
        assert (await gateway.call("GET", "/health")).status == 200


async def test_replicas_that_start_at_once_keep_the_same_keys(database: Database) -> None:
    async with open_pool(database.settings_for("sender"), "sender") as pool:
        found = await asyncio.gather(*(kept_keys(pool, Sealer(OLD), {"limits": bytes([n]) * 32}) for n in range(5)))
        assert len({kept["limits"] for kept in found}) == 1
        resealed = await reseal(pool, Sealer(NEW, OLD), KEPT_KEYS)
        assert resealed.resealed == 1
        assert await kept_keys(pool, Sealer(NEW), {"limits": bytes(32)}) == found[0]


async def insert_callback(pool: Pool, n: int, sealer: Sealer) -> None:
    await pool.execute(
        """INSERT INTO callbacks (id, tenant_id, url, format, events, sealed_secret, sealed_previous_secret, previous_until,
               sealed_verify_token, state, created_at, updated_at)
           VALUES ($1, $2, 'https://example.com', 'meta', '{}', $3, $4, now(), $5, 'enabled', now(), now())""",
        f"cbk_{n}", TENANT, sealer.seal(TENANT, "callbacks.secret", f"cbk_{n}", "secret"),
        sealer.seal(TENANT, "callbacks.secret", f"cbk_{n}", "former"),
        sealer.seal(TENANT, "callbacks.verify_token", f"cbk_{n}", "token"),
    )  # fmt: skip


async def connect_numbers(pool: Pool, count: int, sealer: Sealer) -> list[str]:
    ids = [f"num_{n}" for n in range(count)]
    for number_id in ids:
        number = NumberConnected(
            tenant_id=TENANT,
            number_id=NumberId(number_id),
            revision=1,
            phone_number_id=number_id.removeprefix("num_"),
            provider_url="http://127.0.0.1:9",
            sealed_access_token=sealer.seal(TENANT, "numbers.access_token", number_id, "token"),
            messages_per_second=1000,
        )
        async with pool.acquire() as connection:
            await upsert(connection, number)
    return ids


async def paused(pool: Pool, ids: list[str], sealer: Sealer) -> set[str | None]:
    """How the sender of these keys finds the numbers."""
    known = await Numbers(pool, sealer, SystemClock(), LimitSettings(b"secret")).of(ids)
    return {number.paused for number in known.values()}


async def test_the_sender_goes_on_through_every_step(database: Database) -> None:
    async with open_pool(database.settings_for("sender"), "sender") as pool:
        ids = await connect_numbers(pool, 3, Sealer(OLD))
        await insert_callback(pool, 1, Sealer(OLD))
        await kept_keys(pool, Sealer(OLD), {"limits": bytes(32)})
        assert await paused(pool, ids, STEPS[3].sealer()) == {TOKEN_UNREADABLE}, "or this test would show nothing"
        for one in STEPS[:3]:
            assert await paused(pool, ids, one.sealer()) == {None}
        environment = variables(database, "sender", STEPS[2])
        code, told = await command("sender", environment, "--check")
        assert (code, "numbers.sealed_access_token: 0 current, 0 resealed, 3 still of another key" in told) == (1, True), told
        for expected in ("3 resealed", "0 resealed"):
            code, told = await command("sender", environment)
            assert code == 0, told
            assert f"numbers.sealed_access_token: {'0' if expected[0] == '3' else '3'} current, {expected}" in told
        code, told = await command("sender", environment, "--check")
        assert (code, "still of another key" in told and " 0 still" in told) == (0, True), told
        for one in STEPS[2:]:
            assert await paused(pool, ids, one.sealer()) == {None}
        row = await pool.fetchrow("SELECT sealed_secret, sealed_previous_secret, sealed_verify_token FROM callbacks")
        assert row is not None
        places = ("callbacks.secret", "callbacks.secret", "callbacks.verify_token")
        opened = [Sealer(NEW).open(TENANT, place, "cbk_1", text) for place, text in zip(places, row, strict=True)]
        assert opened == ["secret", "former", "token"]


def column(columns: tuple[Sealed, ...], name: str) -> Sealed:
    return next(one for one in columns if one.name == name)


async def test_it_is_stopped_anywhere_and_goes_on(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resealing, "PAGE", 2)
    monkeypatch.setattr(resealing, "_PAUSE_SECONDS", 3600)
    both, tokens = Sealer(NEW, OLD), column(SENDER_COLUMNS, "numbers.sealed_access_token")
    async with open_pool(database.settings_for("sender"), "sender") as pool:
        ids = await connect_numbers(pool, 5, Sealer(OLD))

        async def current() -> int:
            return (await reseal(pool, both, tokens, writes=False)).current

        async with asyncio.TaskGroup() as group:
            task = group.create_task(reseal(pool, both, tokens))
            await until(current, "the first page to be written")
            task.cancel()
        assert task.cancelled()
        assert await current() == 2
        assert await paused(pool, ids, both) == {None}
        monkeypatch.setattr(resealing, "_PAUSE_SECONDS", 0)
        again = await reseal(pool, both, tokens)
        assert (again.current, again.resealed) == (2, 3)
        assert await paused(pool, ids, Sealer(NEW)) == {None}


async def test_what_somebody_changes_meanwhile_is_not_undone(database: Database) -> None:
    """A tenant gives a new token between the page that was read and the page that is written."""
    both, tokens = Sealer(NEW, OLD), column(SENDER_COLUMNS, "numbers.sealed_access_token")
    async with open_pool(database.settings_for("sender"), "sender") as pool:
        await connect_numbers(pool, 2, Sealer(OLD))
        given = Sealer(OLD).seal(TENANT, "numbers.access_token", "num_1", "the next token")
        rows = await pool.fetch(tokens.page, "", 10)
        await pool.execute("UPDATE numbers SET sealed_access_token = $1, revision = 2 WHERE number_id = 'num_1'", given)
        new = [both.seal(TENANT, "numbers.access_token", row["id"], "token") for row in rows]
        written = await pool.fetch(tokens.write, [row["id"] for row in rows], [row["sealed"] for row in rows], new)
        assert [row[0] for row in written] == ["num_0"]
        count = await reseal(pool, both, tokens)
        assert (count.current, count.resealed) == (1, 1)
        sealed = await pool.fetchval("SELECT sealed_access_token FROM numbers WHERE number_id = 'num_1'")
        assert Sealer(NEW).open(TENANT, "numbers.access_token", "num_1", sealed) == "the next token"


@pytest.mark.parametrize(("service", "columns"), [("gateway", GATEWAY_COLUMNS), ("sender", SENDER_COLUMNS)])
async def test_no_sealed_column_is_forgotten(service: str, columns: tuple[Sealed, ...], database: Database) -> None:
    connection = await asyncpg.connect(database.admin_url)
    try:
        found = await connection.fetch(
            "SELECT table_schema, table_name, column_name FROM information_schema.columns WHERE column_name LIKE 'sealed%'"
        )
    finally:
        await connection.close()
    names = {f"{row['table_name']}.{row['column_name']}" for row in found if row["table_schema"] == service}
    assert names == {one.name for one in (KEPT_KEYS, *columns)}
    assert {row["table_schema"] for row in found} == {"gateway", "sender"}
