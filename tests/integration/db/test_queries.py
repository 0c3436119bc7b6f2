"""Every named query prepares on the migrated schema as the service's own role, and no role sees more than its schema."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import asyncpg
import pytest

from shared.db.migrate import OWNERS
from shared.db.pool import service_url
from shared.db.queries import Queries
from tests.support.database import Database

ROOT: Final = Path(__file__).resolve().parents[3]
FILES: Final = sorted(ROOT.glob("services/*/store/*.sql"))
SHARED: Final = {
    ROOT / "shared" / "bus" / "outbox_queries.sql": OWNERS,
    ROOT / "shared" / "idempotency_queries.sql": OWNERS,
    ROOT / "shared" / "erasure" / "queries.sql": OWNERS,
    ROOT / "shared" / "operations" / "queries.sql": OWNERS,
    ROOT / "shared" / "auth" / "queries.sql": ("gateway", "sender"),
}
"""By the services that have their tables."""


async def connect(database: Database, service: str) -> asyncpg.Connection[asyncpg.Record]:
    return await asyncpg.connect(service_url(database.settings_for(service), service))


def test_every_service_with_a_schema_has_its_queries_here() -> None:
    assert {path.parts[-3] for path in FILES} == set(OWNERS)
    assert set(SHARED) == set(ROOT.glob("shared/**/*queries.sql"))


@pytest.mark.parametrize("service", OWNERS)
async def test_every_query_prepares_as_the_services_own_role(service: str, database: Database) -> None:
    connection = await connect(database, service)
    try:
        own = [path for path in FILES if path.parts[-3] == service]
        for path in own + [path for path, services in SHARED.items() if service in services]:
            for name, text in Queries(path).items():
                try:
                    await connection.prepare(text)
                except asyncpg.PostgresError as error:
                    pytest.fail(f"{path.relative_to(ROOT)}: {name}: {error}")
    finally:
        await connection.close()


@pytest.mark.parametrize("service", OWNERS)
async def test_a_role_is_refused_the_tables_of_the_others_and_all_definitions(service: str, database: Database) -> None:
    admin = await asyncpg.connect(database.admin_url)
    found = await admin.fetch("SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY($1::text[])", list(OWNERS))
    await admin.close()
    connection = await connect(database, service)
    try:
        assert await connection.fetchval("SELECT current_user") == f"chasqui_{service}"
        assert {row["schemaname"] for row in found} == set(OWNERS)
        for schema, table in found:
            reads = f"SELECT count(*) FROM {schema}.{table}"  # noqa: S608  # names from the catalogue
            if schema == service and table != "migrations":
                await connection.fetchval(reads)
            elif schema != service:
                for text in (reads, f"DELETE FROM {schema}.{table}"):  # noqa: S608  # names of tables
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await connection.execute(text)
        for text in (
            "CREATE TABLE mine (id integer)",
            "CREATE SCHEMA mine",
            "CREATE TABLE public.mine (id integer)",
            "DROP TABLE outbox",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(text)
    finally:
        await connection.close()


async def plan(connection: asyncpg.Connection[asyncpg.Record], text: str, *arguments: object) -> str:
    """How the statement is carried out once planned for any arguments, as a server does it that has seen it often."""
    await connection.execute("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off")
    rows = await connection.fetch(f"EXPLAIN {text}", *arguments)
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize(
    ("service", "query", "arguments", "index"),
    [
        ("scheduler", "claim_due", (32, 256, 90.0, (0, 10, 20, 30)), "holds_due"),
        ("scheduler", "expire_holds", (100,), "holds_expiring"),
        ("scheduler", "repeat_silent", (90.0, 3600.0, 100), "holds_released"),
        ("sender", "expired_attempts", (100,), "attempts_submitting"),
        ("sender", "open_attempts_of", ("snd_x",), "attempts_"),
        ("gateway", "select_messages", ("tnt", "~", 50), "messages_"),
        ("gateway", "search_messages", ("tnt", "~", 50, 20_000, "sent", "+1", "num"), "messages_pkey"),
        ("gateway", "search_messages_of_run", ("tnt", "~", 50, 20_000, None, "+1", None, None, "run"), "messages_run"),
        ("gateway", "search_messages_by_reference", ("tnt", "~", 50, 20_000, None, None, None, "r"), "messages_reference"),
        ("gateway", "select_numbers", ("tnt", "", 50), "numbers_tenant"),
        ("gateway", "claim_webhooks", (32, 1_000), "webhooks_waiting"),
        ("gateway", "verify_token_known", (b"x",), "numbers_verify_token"),
        ("gateway", "select_numbers_by_provider_id", (["1"],), "numbers_phone_number_id_key"),
        ("gateway", "select_message", ("tnt", "msg"), "messages_pkey"),
        ("gateway", "select_timeline", ("msg",), "timeline_pkey"),
        ("gateway", "select_key", ("id",), "api_keys_pkey"),
        ("sender", "resend_unknown", (900.0, 100), "attempts_unknown"),
        ("sender", "tell_unconfirmed", (900.0, 100), "attempts_unknown"),
        ("sender", "record_outcomes", ("[]", 1), "attempts_pkey"),
        ("sender", "settle_by_report", ([], [], []), "attempts_pkey"),
        ("sender", "settled_attempts", ([], []), "attempts_pkey"),
    ],
)
async def test_a_hot_query_has_an_index_to_go_by(
    service: str, query: str, arguments: tuple[object, ...], index: str, database: Database
) -> None:
    connection = await connect(database, service)
    try:
        text = Queries(ROOT / "services" / service / "store" / "queries.sql")[query]
        shown = await plan(connection, text, *arguments)
        assert index in shown, shown
        assert "Seq Scan on" not in shown.replace("Seq Scan on numbers", ""), shown
    finally:
        await connection.close()


async def test_the_outbox_is_leased_and_the_inbox_pruned_by_index_however_full_they_are(database: Database) -> None:
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute(
        """
        SET search_path = scheduler;
        INSERT INTO outbox (subject, body, events, leased_until)
        SELECT 's', '', 1, now() + make_interval(secs => n - 50000) FROM generate_series(1, 100000) n;
        INSERT INTO inbox (subscription, event_id, seen_at)
        SELECT 's', n, now() - make_interval(mins => n) FROM generate_series(1, 20000) n;
        ANALYZE outbox; ANALYZE inbox;
        """
    )
    await admin.close()
    connection = await connect(database, "scheduler")
    try:
        queries = Queries(ROOT / "shared" / "bus" / "outbox_queries.sql")
        for query, arguments, index in (
            ("lease_outbox", (100,), "outbox_leased"),
            ("prune_inbox", (3, 1_000), "inbox_seen_at"),
        ):
            for mode in ("force_custom_plan", "force_generic_plan"):
                await connection.execute(f"SET plan_cache_mode = {mode}")
                shown = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {queries[query]}", *arguments))
                assert f"using {index}" in shown, shown
                assert "Seq Scan" not in shown, shown
                assert "Sort" not in shown, shown
    finally:
        await connection.close()
