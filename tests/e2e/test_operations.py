"""What an operator sees and does, over all services, by the operational paths only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.support.assembly import Assembly, assembled
from tests.support.database import Database
from tests.support.platform import Api, until

QUEUE = "scheduler.hold"
SERVICES = ["archive", "gateway", "scheduler", "sender"]
TEXT, PHONE = "a very private text", "+15551234567"


@pytest.fixture
async def assembly(database: Database, redis_url: str, tmp_path: Path) -> AsyncIterator[Assembly]:
    async with assembled(database, redis_url, tmp_path / "journal") as assembly:
        yield assembly


@pytest.fixture
async def operator(assembly: Assembly) -> AsyncIterator[Api]:
    async with assembly.api(assembly.secrets["admin_key"]) as api:
        yield api


async def ask(operator: Api, path: str, body: Any = None) -> Any:
    status, answer = await operator.call("POST", path, body)
    assert status == 200, answer
    return answer


async def test_figures_of_all_services_after_a_message(assembly: Assembly, operator: Api) -> None:
    async with assembly.api() as api:
        await api.until_status(await api.send(to=PHONE), "read")
        assert (await api.call("GET", "/admin/queues/stats"))[0] == 403

    async def counted() -> Any:
        stats = await operator.get("/admin/queues/stats")
        queues = {queue["queue"]: queue for queue in stats["queues"]}
        return stats if queues["sender.deliver"]["completed"] and queues["archive.record"]["completed"] else None

    stats = await until(counted, "the figures to be counted")  # pages are kept for a few seconds
    assert stats["unreachable"] == []
    assert {queue["service"] for queue in stats["queues"]} == set(SERVICES)
    assert stats["completed"] == sum(queue["completed"] for queue in stats["queues"]) > 0
    assert (stats["failed"], stats["successRate"]) == (0, 1.0)
    assert [tier["priority"] for tier in stats["priorities"]] == ["critical", "high", "normal", "low"]

    workers = await operator.get("/api/workers/whatsapp")
    assert sorted(worker["service"] for worker in workers["workers"]) == SERVICES
    assert {(worker["status"], worker["processes"]) for worker in workers["workers"]} == {("ok", 1)}
    assert workers["processed"] == stats["completed"] or workers["processed"] > 0
    assert all(worker["pool_max"] >= 2 for worker in workers["workers"])

    health = await operator.get("/api/webhooks/whatsapp/health")
    assert (health["status"], health["unreachable"]) == ("ok", [])
    assert health["webhooks"]["received"]["stored"] > 0
    assert health["provider_error_rate"] == 0
    assert {breaker["state"] for breaker in health["breakers"]} <= {"closed"}

    pool = await operator.get("/api/health/database")
    assert pool["total"] == pool["checked_in"] + pool["checked_out"] >= 1
    assert pool["overflow"] == max(0, pool["total"] - pool["size"])


async def test_the_database_as_each_service_sees_it(assembly: Assembly, operator: Api) -> None:
    async with assembly.api() as api:
        await api.until_status(await api.send(to=PHONE), "read")
    stats = await operator.get("/admin/db/stats")
    found = {one["service"]: one for one in stats["data"]}
    assert sorted(found) == SERVICES
    tables = {service: {table["name"] for table in one["tables"]} for service, one in found.items()}
    assert "messages" in tables["gateway"]
    assert "messages" not in tables["scheduler"], "each tells of its own schema"
    assert "holds" in tables["scheduler"]
    assert all(0 < one["schema_bytes"] < one["database_bytes"] for one in found.values())
    assert {one["slow_statements"]["source"] for one in found.values()} == {"process"}


async def test_slow_statements_come_from_the_server_where_it_keeps_figures(assembly: Assembly, operator: Api) -> None:
    connection = await asyncpg.connect(assembly.database.admin_url)
    try:
        await connection.execute(
            """
            CREATE TABLE public.pg_stat_statements (
                userid oid, dbid oid, query text, calls bigint, mean_exec_time float8, max_exec_time float8
            );
            INSERT INTO public.pg_stat_statements
            SELECT r.oid, d.oid, 'SELECT ' || n || ' of ' || r.rolname, n, n * 10, n * 20
            FROM generate_series(1, 15) n, pg_roles r, pg_database d
            WHERE r.rolname LIKE 'chasqui%' AND d.datname = current_database();
            GRANT SELECT ON public.pg_stat_statements TO PUBLIC
            """
        )
    finally:
        await connection.close()
    found = {one["service"]: one["slow_statements"] for one in (await operator.get("/admin/db/stats"))["data"]}
    assert {statements["source"] for statements in found.values()} == {"pg_stat_statements"}
    assert [one["statement"] for one in found["sender"]["data"]] == [f"SELECT {n} of chasqui_sender" for n in range(15, 5, -1)]
    assert found["sender"]["data"][0] == {
        "statement": "SELECT 15 of chasqui_sender",
        "calls": 15,
        "mean_ms": 150.0,
        "longest_ms": 300.0,
    }


async def test_caches_are_counted_and_forget(assembly: Assembly, operator: Api) -> None:
    async with assembly.api() as api:
        assert (await api.call("POST", "/api/groups", {"name": "Friends"}))[0] == 201
        for _ in range(3):
            await api.get("/api/groups")
            await api.get("/api/conversations")

        async def counted() -> Any:
            stats = await operator.get("/admin/cache/stats")
            return stats if {cache["service"] for cache in stats["caches"] if cache["hits"]} >= {"gateway", "archive"} else None

        stats = await until(counted, "hits to be counted")
        assert 0 < stats["hit_rate"] <= 1
        assert stats["redis"]["keys"] > 0
        assert (await ask(operator, "/admin/cache/invalidate", {"prefix": "nothing"}))["entries"] == 0
        tenant_id = (await operator.get("/admin/numbers"))["data"][0]["tenant_id"]
        other = tenant_id[:-4] + ("0000" if not tenant_id.endswith("0000") else "1111")
        assert (await ask(operator, "/admin/cache/invalidate", {"tenant_id": other}))["entries"] == 0
        gone = await ask(operator, "/admin/cache/invalidate", {"tenant_id": tenant_id})
        assert gone["services"]["gateway"] > 0
        assert gone["services"]["archive"] > 0
        assert (await ask(operator, "/admin/cache/invalidate", {"all": True}))["entries"] == 0
        assert len((await api.get("/api/groups"))["data"]) == 1
        again = await ask(operator, "/admin/cache/invalidate", {"prefix": "groups"})
        assert again["services"] == {"gateway": 1, "scheduler": 0, "sender": 0, "archive": 0}
    for body in ({}, {"all": True, "prefix": "groups"}):
        assert (await operator.call("POST", "/admin/cache/invalidate", body))[0] == 422


async def test_an_event_that_died_of_a_fault_is_found_looked_at_and_replayed(assembly: Assembly, operator: Api) -> None:
    connection = await asyncpg.connect(assembly.database.admin_url)
    await connection.execute(
        """
        CREATE FUNCTION scheduler.fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a fault'; END $$;
        CREATE TRIGGER fault BEFORE INSERT ON scheduler.holds FOR EACH ROW EXECUTE FUNCTION scheduler.fault()
        """
    )
    async with assembly.api() as api:
        message_id = await api.send(to=PHONE, text={"body": TEXT})

        async def dead() -> Any:
            await ask(operator, "/admin/queues/restart", {"hurry": True})  # attempts come at once, and not over eight minutes
            page = await operator.get("/admin/dead-letters")
            return page if page["total"] else None

        page = await until(dead, "the event to be dead")
        [letter] = page["data"]
        assert (letter["queue"], letter["code"], letter["attempts"]) == (QUEUE, "handler.failed", 6)
        assert (letter["message_id"], letter["subject"], letter["events"]) == (message_id, "message.accepted.v1", 1)
        assert (await operator.get(f"/admin/dead-letters?queue={QUEUE}&code=handler.failed"))["data"][0]["id"] == letter["id"]
        assert (await operator.get("/admin/dead-letters?code=event.malformed"))["data"] == []
        async with operator.session.get(f"{operator.url}/admin/dead-letters/{letter['id']}") as answer:
            text = await answer.text()
        assert message_id in text
        assert TEXT not in text
        assert PHONE not in text

        await connection.execute("DROP TRIGGER fault ON scheduler.holds")
        assert await ask(operator, f"/admin/dead-letters/{letter['id']}/replay") == {"settled": 1}
        await api.until_status(message_id, "read")
    assert (await operator.get("/admin/dead-letters"))["total"] == 0
    assert (await operator.call("POST", f"/admin/dead-letters/{letter['id']}/replay"))[0] == 404
    lines = (await operator.get("/admin/audit"))["data"]
    actions = [line["action"] for line in lines]
    assert actions[:3] == ["dead_letter.replay", "dead_letter.replay.done", "dead_letter.replay"], "the first was too late"
    assert lines[1]["facts"] == {"settled": 1, "first_events": [letter["event_id"]]}
    assert "queues.restart" in actions
    await connection.close()


async def test_what_nobody_can_read_is_discarded_in_bulk(assembly: Assembly, operator: Api) -> None:
    connection = await asyncpg.connect(assembly.database.admin_url)
    await connection.executemany(
        "INSERT INTO gateway.outbox (subject, body, events, leased_until) VALUES ('message.accepted.v1', $1, 1, '-infinity')",
        [(f"not json {number}".encode(),) for number in range(5)],
    )

    async def dead() -> Any:
        page = await operator.get(f"/admin/dead-letters?queue={QUEUE}&limit=2")
        return page if page["total"] == 5 else None

    first = await until(dead, "all of them to be dead")
    second = await operator.get(f"/admin/dead-letters?queue={QUEUE}&limit=2&cursor={first['next_cursor']}")
    third = await operator.get(f"/admin/dead-letters?queue={QUEUE}&limit=2&cursor={second['next_cursor']}")
    ids = [letter["id"] for page in (first, second, third) for letter in page["data"]]
    assert len(set(ids)) == 5
    assert "next_cursor" not in third
    times = [letter["died_at"][:23] for page in (first, second, third) for letter in page["data"]]
    assert times == sorted(times, reverse=True), "by the millisecond"
    assert await ask(operator, f"/admin/dead-letters/{ids[0]}/discard") == {"settled": 1}
    assert await ask(operator, "/admin/dead-letters/discard", {"queue": QUEUE, "code": "handler.failed"}) == {"settled": 0}
    assert await ask(operator, "/admin/dead-letters/discard", {"queue": QUEUE, "code": "event.malformed"}) == {"settled": 4}
    assert (await operator.get("/admin/dead-letters"))["total"] == 0
    assert (await operator.call("GET", "/admin/dead-letters?queue=nobody.knows"))[0] == 404
    assert (await operator.call("POST", "/admin/dead-letters/replay", {"queue": "nobody.knows"}))[0] == 404
    assert (await operator.call("GET", "/admin/dead-letters?cursor=x"))[0] == 400

    async def empty() -> bool:
        return bool(await connection.fetchval("SELECT count(*) = 0 FROM gateway.outbox"))

    await until(empty, "the outbox to let go of them")
    await connection.close()


async def test_consumers_are_restarted_all_or_some(assembly: Assembly, operator: Api) -> None:
    every = await ask(operator, "/admin/queues/restart")
    assert every["without_consumer"] == []
    assert len(every["restarted"]) == len((await operator.get("/admin/queues/stats"))["queues"])
    assert (await ask(operator, "/admin/queues/restart", {"queues": [QUEUE]}))["restarted"] == [QUEUE]
    assert (await operator.call("POST", "/admin/queues/restart", {"queues": ["nobody.knows"]}))[0] == 404
    async with assembly.api() as api:
        await api.until_status(await api.send(to=PHONE), "read")
