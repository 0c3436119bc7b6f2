"""Operators' keys: what they open and what they do not, how they are made and ended, and an audit that only grows."""

from __future__ import annotations

import asyncio
import os
import sys

import asyncpg
import pytest

from services.gateway import operators
from services.gateway.operators import main
from services.gateway.store import operators as store
from shared.auth.keys import new_admin_key, new_key
from tests.integration.gateway.serving import MASTER_KEY, Answer, Gateway, Tenant
from tests.support.database import Database

AUDIT = "/admin/audit"


async def new_operator(gateway: Gateway, name: str = "Ada") -> str:
    key = new_admin_key()
    async with gateway.pool.acquire() as connection:
        await operators.admit_key(connection, name, key)
    return key


async def asked(gateway: Gateway, key: str, method: str, path: str, body: object = None) -> Answer:
    """In the name of whose key it is."""
    return await gateway.call(method, path, body, Tenant("", key))


async def test_only_an_operators_key_opens_operational_paths(gateway: Gateway) -> None:
    tenant, key = await gateway.new_tenant(), await new_operator(gateway)
    mistyped = key[:-1] + ("0" if key[-1] != "0" else "1")
    shown = {
        "a tenant's": tenant.key,
        "a tenant's that nobody has": new_key(live=True),
        "an operator's that nobody has": new_admin_key(),
        "mistyped": mistyped,
        "an operator's": key,
    }
    statuses = {name: (await asked(gateway, text, "GET", AUDIT)).status for name, text in shown.items()}
    assert statuses == {
        "a tenant's": 403,
        "a tenant's that nobody has": 401,
        "an operator's that nobody has": 401,
        "mistyped": 401,
        "an operator's": 200,
    }
    assert (await gateway.call("GET", AUDIT)).status == 401


async def test_an_operators_key_opens_no_tenants_door(gateway: Gateway) -> None:
    await gateway.new_tenant()
    key = await new_operator(gateway)
    for path in ("/api/messages", "/api/events"):
        answer = await asked(gateway, key, "GET", path)
        assert answer.status == 401
        assert "operator's key" in answer.text
        assert "/admin" in answer.text
    assert "operator" not in (await asked(gateway, new_key(live=True), "GET", "/api/messages")).text


async def test_the_internal_token_is_no_operators_key(gateway: Gateway) -> None:
    assert (await asked(gateway, "internal", "GET", AUDIT)).status == 401


async def test_a_revoked_key_opens_nothing_at_once(gateway: Gateway) -> None:
    key = await new_operator(gateway)
    assert (await asked(gateway, key, "GET", AUDIT)).status == 200
    async with gateway.pool.acquire() as connection:
        assert await store.revoke_key(connection, key.split("_")[2]) == "Ada"
    assert (await asked(gateway, key, "GET", AUDIT)).status == 401


async def test_what_an_operator_changes_is_written_down_with_the_name(gateway: Gateway) -> None:
    tenant, key = await gateway.new_tenant(), await new_operator(gateway, "Grace")
    number_id = await gateway.connect(tenant, "106540352242922")
    await asked(gateway, key, "POST", f"/admin/numbers/{number_id}/pause", {"reason": "Complaints"})
    lines = (await asked(gateway, key, "GET", AUDIT)).body["data"]
    assert [(line["operator"], line["action"], line["subject"]) for line in lines][:1] == [("Grace", "number.pause", number_id)]
    assert lines[0]["key_id"] == key.split("_")[2]
    assert lines[0]["facts"] == {"tenant_id": tenant.tenant_id}
    assert lines[1]["action"] == "operator.create"


async def test_the_audit_is_paged_newest_first(gateway: Gateway) -> None:
    key = await new_operator(gateway)
    for number in range(5):
        await new_operator(gateway, f"Operator {number}")
    seen, path = [], f"{AUDIT}?limit=2"
    while path:
        body = (await asked(gateway, key, "GET", path)).body
        seen += [line["facts"]["name"] for line in body["data"]]
        path = f"{AUDIT}?limit=2&cursor={body['next_cursor']}" if body.get("next_cursor") else ""
    assert seen == [f"Operator {number}" for number in reversed(range(5))] + ["Ada"]
    assert (await asked(gateway, key, "GET", f"{AUDIT}?cursor=act_x")).status == 400


@pytest.mark.parametrize("statement", ["UPDATE admin_audit SET operator = 'nobody'", "DELETE FROM admin_audit"])
async def test_nobody_rewrites_the_audit(gateway: Gateway, database: Database, statement: str) -> None:
    await new_operator(gateway)
    owner = await asyncpg.connect(database.admin_url, server_settings={"search_path": "gateway"})
    try:
        for connection in (owner, gateway.pool):
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute(statement)
        with pytest.raises(asyncpg.PostgresError):
            await owner.execute("TRUNCATE admin_audit")
        assert await owner.fetchval("SELECT count(*) FROM admin_audit") == 1
    finally:
        await owner.close()


async def test_the_command_line_makes_lists_and_revokes_keys(gateway: Gateway, database: Database) -> None:
    async def run(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.gateway.operators", *arguments),
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("CHASQUI_")},
                "CHASQUI_DB__URL": database.url,
                "CHASQUI_DB__PASSWORD": database.role_password,
                "CHASQUI_SECURITY__MASTER_KEY": MASTER_KEY,
                "CHASQUI_SECURITY__INTERNAL_TOKEN": "internal",
            },
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        return output.decode().strip()

    key = (await run("create", "Ada")).removeprefix("key ")
    assert (await asked(gateway, key, "GET", AUDIT)).status == 200
    key_id = key.split("_")[2]
    assert (await run("list")).startswith(f"{key_id}  Ada  since ")
    assert await run("revoke", key_id) == "revoked"
    assert await run("revoke", key_id) == "there is no such key in use"
    assert "revoked" in await run("list")
    assert (await asked(gateway, key, "GET", AUDIT)).status == 401
    actions = await gateway.pool.fetch("SELECT action, operator FROM admin_audit ORDER BY id")
    assert [row["action"] for row in actions] == ["operator.create", "operator.revoke"]
    assert all(row["operator"].endswith("at the command line") for row in actions)


def test_the_command_line_says_what_is_wrong(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["operators", "list"])
    monkeypatch.setenv("CHASQUI_DB__URL", "nonsense")
    assert main() == 1
    assert "CHASQUI_DB__URL" in capsys.readouterr().err


async def test_a_number_an_operator_paused_stays_so_until_an_operator_resumes_it(gateway: Gateway) -> None:
    tenant, key = await gateway.new_tenant(), await new_operator(gateway)
    number_id = await gateway.connect(tenant, "106540352242922")
    paused = await asked(gateway, key, "POST", f"/admin/numbers/{number_id}/pause", {"reason": "Complaints"})
    assert (paused.status, paused.body["paused"]["code"]) == (200, "operator.paused")
    assert (await asked(gateway, key, "POST", f"/admin/numbers/{number_id}/pause")).status == 200
    own = await gateway.call("POST", f"/api/numbers/{number_id}/pause", {"reason": "Mine"}, tenant)
    assert (own.status, own.body["paused"]["code"]) == (200, "operator.paused")
    refused = await gateway.call("POST", f"/api/numbers/{number_id}/resume", None, tenant)
    assert (refused.status, refused.body["code"]) == (409, "number.paused_by_operator")
    changed = await gateway.call("PATCH", f"/api/numbers/{number_id}", {"access_token": "another"}, tenant)
    assert (changed.status, changed.body["status"]) == (200, "paused")
    resumed = await asked(gateway, key, "POST", f"/admin/numbers/{number_id}/resume")
    assert (resumed.status, resumed.body["status"]) == (200, "active")
    told = [event.paused for event in await gateway.told() if event.subject() == "number.connected.v1"]  # type: ignore[attr-defined]  # of that subject all have it
    assert told == ["operator.paused", "operator.paused", None]
    unknown = await asked(gateway, key, "POST", "/admin/numbers/num_06a8b2c4d0e1f2g3h4i5j6k7l8/pause")
    assert unknown.status == 404


async def test_all_tenants_numbers_are_listed_the_paused_ones_first(gateway: Gateway) -> None:
    key = await new_operator(gateway)
    ids = []
    for number in range(4):
        tenant = await gateway.new_tenant(f"Tenant {number}")
        ids.append(await gateway.connect(tenant, f"10654035224292{number}"))
    await asked(gateway, key, "POST", f"/admin/numbers/{ids[2]}/pause")
    seen, path = [], "/admin/numbers?limit=3"
    while path:
        body = (await asked(gateway, key, "GET", path)).body
        seen += [number["id"] for number in body["data"]]
        path = f"/admin/numbers?limit=3&cursor={body['next_cursor']}" if body.get("next_cursor") else ""
    assert seen == [ids[2], ids[0], ids[1], ids[3]]
    assert (await asked(gateway, key, "GET", "/admin/numbers?cursor=num_x")).status == 400
