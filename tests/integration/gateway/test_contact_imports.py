"""Files of contacts: taken whole or not at all, processed to the last line, followed and canceled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.gateway import contact_import
from shared.db.pool import Pool
from shared.events.catalogue import ContactConsentChanged
from shared.events.values import Consent
from shared.ids import TenantId
from tests.integration.gateway.importing import ended, errors, imports_of, numbered, received, send
from tests.integration.gateway.serving import Gateway, Tenant
from tests.support.told import silent_outbox


@pytest.fixture
async def tenant(gateway: Gateway) -> Tenant:
    return await gateway.new_tenant()


async def contact(gateway: Gateway, tenant: Tenant, phone: str) -> dict[str, Any]:
    (found,) = (await gateway.call("GET", f"/api/contacts?phone={phone.replace('+', '%2B')}", tenant=tenant)).body["data"]
    return dict(found)


async def test_a_file_becomes_contacts_and_a_report_of_what_did_not(gateway: Gateway, tenant: Tenant) -> None:
    data = (
        "\ufeffPhone;Name;Language;Time Zone;Consent;Consent At;Plan;Age:number;VIP:boolean\r\n"
        '+4915112345678;"Quispe; Ana ""la""\nPaz";es_PE;America/Lima;opted_in;2026-11-01T10:00:00Z;gold;41;yes\r\n'
        "\r\n"
        "not a phone;Bo;;Mars/Olympus;;;;;\r\n"
        "+4915112345679;;;;opted_out;;;old;\r\n"
        ";Nobody;;;;;;;\r\n"
        "+4915112345678;Ana;;;;;silver;;\r\n"
        "+4915112345680;Zoë;;;unknown;;;;;;;\r\n"
        "+4915112345681;Zoë;;;;;;;;surplus\r\n"
        '+4915112345682;"open'
    ).encode()
    answer = await send(gateway, tenant, data)
    body = await ended(gateway, tenant, answer)
    assert body["columns"] == [
        "phone", "name", "language", "time_zone", "consent", "consent_at", "plan", "age", "vip"
    ]  # fmt: skip
    counts = {name: body[name] for name in ("rows", "processed", "created", "updated", "unchanged", "rejected")}
    assert counts == {"rows": 8, "processed": 8, "created": 2, "updated": 1, "unchanged": 0, "rejected": 5}
    assert await errors(gateway, tenant, body["id"]) == [
        (5, "phone", "phone.invalid"),
        (5, "time_zone", "time_zone.unknown"),
        (6, "age", "attribute.not_number"),
        (7, "", "contact.no_identifier"),
        (10, "", "row.too_many_cells"),
        (11, "", "row.quote_open"),
    ]
    ana = await contact(gateway, tenant, "+4915112345678")
    assert (ana["name"], ana["language"], ana["time_zone"]) == ("Ana", "es-PE", "America/Lima")
    assert ana["attributes"] == {"plan": "silver", "age": 41, "vip": True}
    assert ana["consent"] == {"state": "opted_in", "scope": "all", "source": "import", "at": "2026-11-01T10:00:00Z"}
    (event,) = [event for event in await gateway.told() if isinstance(event, ContactConsentChanged)]
    assert (event.consent, event.source) == (Consent.OPTED_IN, "import")


async def test_a_file_of_another_country_and_century(gateway: Gateway, tenant: Tenant) -> None:
    data = "phone\tname\n0151 12345678\tBärbel\n4915112345679\tJürgen\n".encode("latin-1")
    body = await ended(gateway, tenant, await send(gateway, tenant, data, "?region=DE"))
    assert (body["created"], body["rejected"]) == (2, 0)
    assert (await contact(gateway, tenant, "+4915112345678"))["name"] == "Bärbel"
    assert (await contact(gateway, tenant, "+4915112345679"))["name"] == "Jürgen"


async def test_a_file_is_processed_in_its_order_over_all_transactions(
    gateway: Gateway, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_import, "CHUNK", 7)
    rows = [f"+1555000{n % 50:04},name {n}" for n in range(200)]
    answer = await send(gateway, tenant, "\n".join(["phone,name", *rows]).encode())
    body = await ended(gateway, tenant, answer)
    assert (body["rows"], body["processed"], body["created"], body["updated"]) == (200, 200, 50, 150)
    for n in (0, 49):
        assert (await contact(gateway, tenant, f"+1555000{n:04}"))["name"] == f"name {150 + n}"
    assert await gateway.pool.fetchval("SELECT count(*) FROM contact_import_chunks") == 0


async def test_the_same_file_twice_under_one_key_is_one_import(gateway: Gateway, tenant: Tenant) -> None:
    data = b"phone\n+15550000001\n"
    first = await send(gateway, tenant, data, **{"Idempotency-Key": "k"})
    again = await send(gateway, tenant, data, **{"Idempotency-Key": "k"})
    assert (first.body["id"], again.headers["Idempotent-Replayed"]) == (again.body["id"], "true")
    other = await send(gateway, tenant, b"phone\n+15550000002\n", **{"Idempotency-Key": "k"})
    assert (other.status, other.body["code"]) == (422, "idempotency.key_reused")
    await ended(gateway, tenant, first)
    listed = (await gateway.call("GET", "/api/contacts/imports", tenant=tenant)).body["data"]
    assert [one["id"] for one in listed] == [first.body["id"]]
    assert await gateway.pool.fetchval("SELECT count(*) FROM contact_imports") == 1


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "import.empty"),
        (b"phone\n", "import.empty"),
        (b"phone\n\r\n \n", "import.empty"),
        (b"name\nAna\n", "column.missing"),
        (b"phone,Phone\n1,2\n", "column.repeated"),
        (b"phone,1st\n1,2\n", "column.invalid"),
        (b"phone,id\n1,2\n", "column.invalid"),
        (b"phone,groups:text\n1,2\n", "column.invalid"),
        (b"phone,a:colour\n1,2\n", "column.invalid"),
        (b"phone,a\0b\n1,2\n", "column.invalid"),
        (b"phone," + b",".join(b"a%d" % n for n in range(51)) + b"\n1,2\n", "column.too_many"),
        (b"x" * 100_000 + b"\n1\n", "row.too_long"),
        (b'"phone\n' + b"1\n" * 200, "row.quote_open"),
        (b'"phone"x\n1\n', "row.malformed"),
        (b"\xff\xfep\0h\0o\0n\0e\0\n\0", "column.invalid"),
        (b"PK\x03\x04\x00\x00", "column.invalid"),
    ],
)
async def test_a_file_that_cannot_be_read_is_refused_and_leaves_nothing(
    data: bytes, code: str, gateway: Gateway, tenant: Tenant
) -> None:
    answer = await send(gateway, tenant, data)
    assert answer.status == 422, answer.text
    assert code in {answer.body["code"], *(fault["code"] for fault in answer.body.get("errors", ()))}, answer.text
    for table in ("contact_imports", "contact_import_chunks"):
        assert await gateway.pool.fetchval(f"SELECT count(*) FROM {table}") == 0  # noqa: S608  # constants


async def test_hostile_lines_cost_themselves_only(gateway: Gateway, tenant: Tenant) -> None:
    lines = [
        b"phone,name,a,consent,consent_at",
        b"+15550000001,nul\0,,,",
        b"+15550000002," + b"x" * 40_000 + b",,,",
        b"+15550000003," + b"n" * 300 + b",,,",
        b"+15550000004,,,perhaps,",
        b"+15550000005,,,opted_in,yesterday",
        b"+15550000006,,,opted_in,0001-01-01T00:00:00+14:00",
        b"+15550000007,,,opted_in,2999-01-01T00:00:00Z",
        b"+15550000008,,,,2026-11-01T00:00:00Z",
        b'+15550000009,"a"b,,,',
        b"=cmd|' /C calc'!A0,,,,",
        "+15550000010,Zoë,,,".encode(),
        b"+15550000011,Zo\xeb,,,",
        "+15550000012,\U0001f600\u202e,,,".encode(),
    ]
    body = await ended(gateway, tenant, await send(gateway, tenant, b"\n".join(lines)))
    assert (body["rows"], body["created"]) == (13, 3)
    assert [(line, field, code) for line, field, code in await errors(gateway, tenant, body["id"])] == [
        (2, "", "row.bad_text"),
        (3, "", "row.too_long"),
        (4, "name", "field.too_long"),
        (5, "consent", "field.choice"),
        (6, "consent_at", "field.format"),
        (7, "consent_at", "field.out_of_range"),
        (8, "consent_at", "time.in_future"),
        (10, "", "row.malformed"),
        (11, "phone", "phone.invalid"),
        (13, "", "row.not_utf8"),
    ]


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"Content-Type": "application/json"}, "", 415),
        ({"Content-Type": "text/csv; charset=utf-16"}, "", 415),
        ({"Content-Encoding": "gzip"}, "", 415),
        ({"Idempotency-Key": "a b"}, "", 400),
        ({}, "?region=XX", 422),
        ({}, "?region=%00", 422),
        ({}, "?colour=red", 422),
    ],
)
async def test_hostile_requests_are_refused(
    headers: dict[str, str], query: str, status: int, gateway: Gateway, tenant: Tenant
) -> None:
    assert (await send(gateway, tenant, b"phone\n+15550000001\n", query, **headers)).status == status


async def test_a_file_is_read_as_it_comes_and_one_that_breaks_off_leaves_nothing(gateway: Gateway, tenant: Tenant) -> None:
    imports = imports_of(gateway.pool)
    reached = asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"phone\n"
        yield b"".join(b"+1555000%04d\n" % n for n in range(contact_import.CHUNK))
        assert await gateway.pool.fetchval("SELECT count(*) FROM contact_import_chunks") == 1
        reached.set()
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await imports.receive(TenantId(tenant.tenant_id), parts(), region=None, encoding=None)
    assert reached.is_set()
    assert await gateway.pool.fetchval("SELECT count(*) FROM contact_import_chunks") == 0
    assert (await gateway.call("GET", "/api/contacts/imports", tenant=tenant)).body["data"] == []


async def test_a_crash_between_two_steps_loses_and_repeats_nothing(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact_import, "CHUNK", 10)
    imports = imports_of(pool)
    await received(imports, pool, TenantId("tnt_1"), numbered(35))
    assert await imports.work()

    async def dies(*_: object, **__: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(contact_import.store, "count", dies)
        for _ in range(3):
            with pytest.raises(ConnectionError):
                await imports.work()
    assert await pool.fetchval("SELECT count(*) FROM contacts") == 10
    successor = imports_of(pool)
    while await successor.work():
        pass
    row = await pool.fetchrow("SELECT state, processed, created, rejected FROM contact_imports")
    assert tuple(row or ()) == ("completed", 35, 35, 0)


async def test_records_that_we_cannot_process_are_said_to_be_so(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact_import, "CHUNK", 10)
    imports = imports_of(pool)
    await received(imports, pool, TenantId("tnt_1"), numbered(25))
    with monkeypatch.context() as broken:
        broken.setattr(contact_import.contacts, "upsert", lambda *_, **__: 1 / 0)
        assert await imports.work()
    while await imports.work():
        pass
    row = await pool.fetchrow("SELECT state, processed, created, rejected FROM contact_imports")
    assert tuple(row or ()) == ("completed", 25, 15, 10)
    lines = await pool.fetch("SELECT line, code FROM contact_import_errors ORDER BY line")
    assert [tuple(line) for line in lines] == [(line, "internal") for line in range(2, 12)]


async def test_imports_take_turns_and_end_where_they_are_canceled(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact_import, "CHUNK", 10)
    imports = imports_of(pool)
    large = await received(imports, pool, TenantId("tnt_1"), numbered(100))
    await received(imports, pool, TenantId("tnt_2"), numbered(10))
    for _ in range(2):
        await imports.work()
    assert await pool.fetchval("SELECT count(DISTINCT tenant_id) FROM contacts") == 2
    async with silent_outbox(pool, "gateway").transaction() as unit:
        row = await imports.cancel(unit, TenantId("tnt_1"), large)
    assert row is not None
    assert (row["state"], row["processed"]) == ("canceled", 10)
    while await imports.work():
        pass
    assert await pool.fetchval("SELECT count(*) FROM contact_import_chunks") == 0
    assert await pool.fetchval("SELECT count(*) FROM contacts") == 20


async def test_an_import_is_its_tenants_own(gateway: Gateway, tenant: Tenant) -> None:
    other = await gateway.new_tenant("Other")
    answer = await send(gateway, tenant, b"phone\n+15550000001\n")
    path = f"/api/contacts/imports/{answer.body['id']}"
    for method, suffix in (("GET", ""), ("GET", "/errors"), ("POST", "/cancel")):
        assert (await gateway.call(method, path + suffix, tenant=other)).status == 404
    await ended(gateway, tenant, answer)
    assert (await gateway.call("POST", f"{path}/cancel", tenant=tenant)).status == 409
    for cursor in ("x", "WzFd", "WzEsIjAiXQ", "WzEsOTk5OTldCg"):
        assert (await gateway.call("GET", f"{path}/errors?cursor={cursor}", tenant=tenant)).status == 400
