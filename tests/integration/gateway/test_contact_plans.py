"""However many contacts there are, a query about some of them goes by an index."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from services.gateway.store import contacts as store
from shared.db.pool import Connection, Pool, service_url
from shared.db.queries import Queries
from tests.integration.gateway import people
from tests.integration.gateway.people import Person
from tests.integration.gateway.plans import keep_new, rows_read
from tests.support.database import Database

STORE: Final = Path(__file__).resolve().parents[3] / "services" / "gateway" / "store"
NOW: Final = datetime(2026, 11, 1, tzinfo=UTC)
FILL: Final = """
    SET search_path = gateway;
    INSERT INTO contacts (id, tenant_id, name, name_key, consent, updated_at)
    SELECT 'ctc_' || n, 'tnt_' || n % 2, 'name ' || n, 'name ' || n, (ARRAY['unknown', 'opted_in'])[1 + n % 2],
           now() - make_interval(secs => n) FROM generate_series(1, 20000) n;
    INSERT INTO contact_identifiers (tenant_id, kind, value, contact_id)
    SELECT 'tnt_' || n % 2, 'phone', '+1555' || n, 'ctc_' || n FROM generate_series(1, 20000) n;
    INSERT INTO contact_imports (id, tenant_id, state, columns, header, delimiter, finished_at)
    SELECT 'imp_' || n, 'tnt', 'completed', '[]', '', ',', now() FROM generate_series(1, 5000) n;
    INSERT INTO contact_consents (tenant_id, contact_id, at, scope, consent, source)
    SELECT 'tnt_' || n % 2, 'ctc_' || n, now(), 'all', 'opted_in', 'api' FROM generate_series(1, 20000) n;
    INSERT INTO kept_opt_outs
    SELECT 'tnt_' || n % 2, '+1555' || n, 'all', now(), 'api' FROM generate_series(1, 20000) n;
    INSERT INTO contact_import_chunks SELECT 'imp_' || n % 100, n, '' FROM generate_series(1, 20000) n;
    INSERT INTO contact_import_errors SELECT 'imp_1', n, 0, '', 'c', 'd' FROM generate_series(1, 20000) n;
    ANALYZE;
"""


@pytest.mark.parametrize(
    ("file", "query", "arguments", "index"),
    [
        ("contacts", "lock_contacts_called", ("tnt_1", ["phone"], ["+15551"]), "contact_identifiers_pkey"),
        ("contacts", "select_contacts_by_id", ("tnt_1", ["ctc_1"]), "contacts_pkey"),
        ("contacts", "select_identifiers", ("tnt_1", ["ctc_1"]), "contact_identifiers_contact"),
        ("contacts", "select_called", ("tnt_1", "phone", "+15551"), "contact_identifiers_pkey"),
        ("contacts", "select_contacts", ("tnt_1", "~", 50), "contacts_pkey"),
        ("contacts", "select_contacts_by_consent", ("tnt_1", "~", 50, "opted_out"), "contacts_consent"),
        ("contacts", "select_contacts_by_name", ("tnt_1", "", "", 50, "na", "nb", None), "contacts_name"),
        ("contacts", "select_contacts_updated", ("tnt_1", NOW, "~", 50, None), "contacts_updated"),
        ("contacts", "select_consents", ("tnt_1", "ctc_1", NOW, "", "", 50), "contact_consents_pkey"),
        ("kept_opt_outs", "select_kept_opt_outs", ("tnt_1", ["+15551"]), "kept_opt_outs_pkey"),
        ("kept_opt_outs", "forget_opt_outs", ("tnt_1", ["+15551"]), "kept_opt_outs_pkey"),
        ("contacts", "erase_contact", ("tnt_1", "ctc_1"), "contacts_pkey"),
        ("contact_imports", "lock_open_import", (), "contact_imports_open"),
        ("contact_imports", "take_chunk", ("imp_1", None), "contact_import_chunks_pkey"),
        ("contact_imports", "select_imports", ("tnt", "~", 50), "contact_imports_pkey"),
        ("contact_imports", "select_import_errors", ("imp_1", 7, 0, 50), "contact_import_errors_pkey"),
    ],
)
async def test_a_query_has_an_index_to_go_by(
    file: str, query: str, arguments: tuple[object, ...], index: str, database: Database
) -> None:
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute(FILL)
    await admin.close()
    connection = await asyncpg.connect(service_url(database.settings_for("gateway"), "gateway"))
    try:
        text = Queries(STORE / f"{file}.sql")[query]
        for mode in ("force_custom_plan", "force_generic_plan"):
            await connection.execute(f"SET plan_cache_mode = {mode}")
            shown = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {text}", *arguments))
            assert index in shown, shown
            assert "Seq Scan on contact" not in shown, shown
    finally:
        await connection.close()


async def fill(connection: Connection, contacts: int) -> list[str]:
    return await people.add(connection, "tnt_1", [Person(phone, name="Ana") for phone in people.phones(contacts)])


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_a_batch_reads_who_it_is_about_and_no_more_though_the_tables_are_new(
    mode: str, database: Database, pool: Pool
) -> None:
    """Right after a large import nothing has been analyzed yet, and connections keep the plans they made when nobody was there."""
    await keep_new(database, "contacts", "contact_identifiers")
    async with pool.acquire() as connection:
        await connection.execute(f"SET plan_cache_mode = {mode}")
        ids = await fill(connection, 6_000)
        ids, phones = ids[::60], people.phones(6_000)[::60]
        kinds = ["phone"] * len(ids)
        changed = zip(*((one, *[None] * 4, "{}", "unknown", "all", *[None] * 8) for one in ids), strict=True)
        queries: list[tuple[str, tuple[object, ...]]] = [
            (store.LOCK_CALLED, ("tnt_1", kinds, phones)),
            (store.SELECT_BY_ID, ("tnt_1", ids)),
            (store.SELECT_IDENTIFIERS, ("tnt_1", ids)),
            (store.UPDATE_CONTACTS, ("tnt_1", NOW, *changed)),
            (store.DELETE_IDENTIFIERS, ("tnt_1", kinds, phones, ids)),
        ]
        for query, arguments in queries:
            read = await rows_read(connection, query, *arguments)
            assert read <= 3_000, (query, read)  # by a dozen steps; a hundred are asked for
