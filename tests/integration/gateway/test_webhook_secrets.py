"""Who may speak for a number: by its way, by what a payload names, with two secrets while one is rotated."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import orjson
import pytest

from services.gateway import numbers
from services.gateway.store import pruning, webhooks
from services.gateway.webhooks import signers
from shared.auth.signatures import HEADER, sign
from shared.db.pool import Pool
from shared.events.catalogue import MessageReceived
from tests.integration.gateway.serving import WEBHOOK, Answer, Gateway, Tenant
from tests.integration.gateway.test_webhooks import inbound, payload, read, value
from tests.support.database import Database

SHARED: Final = "secret-of-an-app-that-two-have"
MEGABYTE: Final = 1_000_000


@pytest.fixture(autouse=True)
def read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that is remembered is fresh: what another replica has changed is seen."""
    monkeypatch.setattr(numbers, "FRESH_SECONDS", -1.0)
    monkeypatch.setattr(numbers, "SIGNING_SECONDS", -1.0)


async def post(gateway: Gateway, body: bytes, secret: str, number_id: str = "") -> int:
    path = f"{WEBHOOK}/{number_id}" if number_id else WEBHOOK
    return (await gateway.call("POST", path, body, **{HEADER: sign(secret, body)})).status


async def speak(gateway: Gateway, secret: str, *names: str, number_id: str = "") -> int:
    return await post(gateway, orjson.dumps(payload(*(value(name) for name in names))), secret, number_id)


async def change(gateway: Gateway, tenant: Tenant, number_id: str, **body: Any) -> Answer:
    return await gateway.call("PATCH", f"/api/numbers/{number_id}", body, tenant)


async def kept(pool: Pool) -> list[str]:
    """Whose payloads there are, in order."""
    return [row["tenant_id"] for row in await pool.fetch("SELECT tenant_id FROM webhooks ORDER BY id")]


async def received(gateway: Gateway) -> list[tuple[str, str]]:
    return sorted((event.tenant_id, event.wamid) for event in await read(gateway) if isinstance(event, MessageReceived))


async def test_the_former_secret_is_valid_for_a_day(gateway: Gateway, database: Database) -> None:
    tenant = await gateway.new_tenant()
    number = await gateway.connect(tenant, "1001")
    assert "previous_app_secret_until" not in (await gateway.call("GET", f"/api/numbers/{number}", tenant=tenant)).body
    before = datetime.now(UTC)
    view = (await change(gateway, tenant, number, app_secret="second-secret")).body
    until = datetime.fromisoformat(view["previous_app_secret_until"])
    assert timedelta() <= until - before - timedelta(days=1) < timedelta(minutes=1)
    for way in ("", number):
        assert [await speak(gateway, secret, "1001", number_id=way) for secret in ("secret-1001", "second-secret")] == [
            200,
            200,
        ]
        assert await speak(gateway, "third-secret", "1001", number_id=way) == 401
    await change(gateway, tenant, number, app_secret="third-secret")
    answers = [await speak(gateway, secret, "1001") for secret in ("secret-1001", "second-secret", "third-secret")]
    assert answers == [401, 200, 200], "two at most"
    admin = await asyncpg.connect(database.admin_url)
    try:
        rows = await admin.fetchval("SELECT string_agg(n::text, ' ') FROM gateway.numbers n")
    finally:
        await admin.close()
    assert "secret" not in rows.replace("sealed", "")


async def test_the_present_secret_given_again_does_not_drop_the_former_one(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number = await gateway.connect(tenant, "1001")
    first = (await change(gateway, tenant, number, app_secret="second-secret")).body
    again = (await change(gateway, tenant, number, app_secret="second-secret")).body
    assert again["previous_app_secret_until"] == first["previous_app_secret_until"]
    assert await speak(gateway, "secret-1001", "1001") == 200


async def test_the_former_secret_can_be_dropped_at_once_and_later(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number = await gateway.connect(tenant, "1001")
    dropped = await change(gateway, tenant, number, app_secret="second-secret", previous_secret_for=0)
    assert "previous_app_secret_until" not in dropped.body
    assert await speak(gateway, "secret-1001", "1001") == 401
    await change(gateway, tenant, number, app_secret="third-secret", previous_secret_for=60)
    assert await speak(gateway, "second-secret", "1001") == 200
    later = await change(gateway, tenant, number, previous_secret_for=3600)
    assert datetime.fromisoformat(later.body["previous_app_secret_until"]) > datetime.now(UTC) + timedelta(minutes=50)
    assert "previous_app_secret_until" not in (await change(gateway, tenant, number, previous_secret_for=0)).body
    assert await speak(gateway, "second-secret", "1001") == 401
    nothing = await change(gateway, tenant, number, previous_secret_for=60)
    assert (nothing.status, "previous_app_secret_until" in nothing.body) == (200, False), "there is none to be kept"


async def test_a_former_secret_ends_at_its_moment_and_is_forgotten(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number = await gateway.connect(tenant, "1001")
    await change(gateway, tenant, number, app_secret="second-secret")
    await gateway.pool.execute("UPDATE numbers SET previous_app_secret_until = now() - interval '1 second'")
    assert await speak(gateway, "secret-1001", "1001") == 401
    view = (await gateway.call("GET", f"/api/numbers/{number}", tenant=tenant)).body
    assert "previous_app_secret_until" not in view
    await pruning.prune(gateway.pool, pruning.FORGET_PREVIOUS_SECRETS, age=timedelta(), limit=10)
    assert await gateway.pool.fetchval("SELECT sealed_previous_app_secret FROM numbers") is None
    assert await speak(gateway, "second-secret", "1001") == 200


@pytest.mark.parametrize("seconds", [-1, 2_592_001, "60", 1.5])
async def test_a_time_that_is_none_is_refused_by_name(seconds: Any, gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number = await gateway.connect(tenant, "1001")
    answer = await change(gateway, tenant, number, app_secret="s", previous_secret_for=seconds)
    assert (answer.status, [fault["pointer"] for fault in answer.body["errors"]]) == (422, ["/previous_secret_for"])


async def test_on_the_way_to_one_number_its_secret_comes_first(gateway: Gateway) -> None:
    one, other = await gateway.new_tenant("One"), await gateway.new_tenant("Other")
    mine, second = await gateway.connect(one, "1001"), await gateway.connect(one, "1002")
    theirs = await gateway.connect(other, "2001")
    assert await speak(gateway, "secret-1001", "1001", number_id=mine) == 200
    assert await speak(gateway, "secret-1001", "9999", number_id=mine) == 200, "a number that nobody has connected"
    for number_id, names in ((second, ["1001"]), (theirs, ["1001"]), (mine, ["1001", "1002"]), (mine, ["2001"])):
        assert await speak(gateway, "secret-1001", *names, number_id=number_id) == 401
    assert await speak(gateway, "secret-1001", "1001", number_id="num_" + "0" * 26) == 401
    assert set(await kept(gateway.pool)) <= {one.tenant_id}


@pytest.mark.parametrize("way", ["one", "all"])
@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[]", b"{}", b"\xff\xfe", b'[{"entry":5}]', b"[" * 100_000, b'{"entry":[7]}']
)
async def test_what_is_signed_is_never_refused_for_what_it_holds(body: bytes, way: str, gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number = await gateway.connect(tenant, "1001")
    assert await post(gateway, body, "secret-1001", number if way == "one" else "") == 200
    assert await post(gateway, body, "another", number if way == "one" else "") == 401
    assert await received(gateway) == []
    found = (await gateway.call("GET", "/api/webhooks/quarantined", tenant=tenant)).body["data"]
    assert [one["size_bytes"] for one in found] == [len(body)]


async def test_a_number_that_is_not_connected_is_taken_by_its_account(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    other = await gateway.new_tenant("Other")
    await gateway.connect(other, "2001", waba_id="2")
    assert await speak(gateway, "secret-1001", "9999") == 200
    assert await speak(gateway, "secret-2001", "9999") == 401, "the account is somebody else's"


async def test_a_payload_of_two_tenants_of_one_app_is_divided(gateway: Gateway) -> None:
    one, other = await gateway.new_tenant("One"), await gateway.new_tenant("Other")
    await gateway.connect(one, "1001", app_secret=SHARED)
    await gateway.connect(other, "2001", app_secret=SHARED, waba_id="2")
    both = payload(
        value("1001", messages=[inbound("wamid.1")]),
        value("2001", messages=[inbound("wamid.2"), {"id": 5}]),
        value("1001", messages=[{**inbound("wamid.3"), "text": {"body": "torn \ud83d"}}]),
    )
    both["entry"].append({"id": "2", "changes": [{"field": "messages", "value": value("2001", messages=[inbound("wamid.4")])}]})
    both["entry"].append({"id": "404404", "changes": [{"field": "flows", "value": {"of": "nobody here"}}]})
    assert await post(gateway, json.dumps(both).encode(), SHARED) == 200
    assert await received(gateway) == sorted(
        [(one.tenant_id, "wamid.1"), (one.tenant_id, "wamid.3"), (other.tenant_id, "wamid.2"), (other.tenant_id, "wamid.4")]
    )
    mine = await gateway.call("GET", "/api/webhooks/quarantined", tenant=one)
    theirs = await gateway.call("GET", "/api/webhooks/quarantined", tenant=other)
    assert len(theirs.body["data"]) == 1
    for answer in (mine, theirs):
        for entry in answer.body["data"]:
            detail = await gateway.call(
                "GET", f"/api/webhooks/quarantined/{entry['id']}", tenant=one if answer is mine else other
            )
            assert ("wamid.2" in detail.text) is (answer is theirs)
            assert "nobody here" not in detail.text
    assert webhooks.NOBODY in await kept(gateway.pool), "for operators"


@pytest.mark.parametrize("way", ["one", "all"])
async def test_news_of_an_account_beside_anothers_number_are_the_accounts(way: str, gateway: Gateway) -> None:
    one, other = await gateway.new_tenant("One"), await gateway.new_tenant("Other")
    number = await gateway.connect(one, "1001", app_secret=SHARED)
    await gateway.connect(other, "2001", app_secret=SHARED, waba_id="2")
    both = payload(value("1001", messages=[inbound("wamid.1")]))
    both["entry"].append({"id": "2", "changes": [{"field": "messages", "value": value("2999", messages=[inbound("wamid.2")])}]})
    assert await post(gateway, orjson.dumps(both), SHARED, number if way == "one" else "") == 200
    assert await received(gateway) == [(one.tenant_id, "wamid.1")]
    assert await kept(gateway.pool) == [other.tenant_id], "set aside for whose it is"


async def test_what_several_tenants_secret_has_signed_and_nobody_can_read_is_nobodys(gateway: Gateway) -> None:
    one, other = await gateway.new_tenant("One"), await gateway.new_tenant("Other")
    await gateway.connect(one, "1001", app_secret=SHARED)
    await gateway.connect(other, "2001", app_secret=SHARED)
    assert await post(gateway, b'{"entry": [', SHARED) == 200
    for tenant in (one, other):
        assert (await gateway.call("GET", "/api/webhooks/quarantined", tenant=tenant)).body["data"] == []
    assert await gateway.pool.fetchval("SELECT quarantined FROM webhooks WHERE tenant_id = ''") == webhooks.NOBODYS


async def test_a_payload_that_names_thousands_is_looked_through_once_it_is_known_who_signed(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signers, "LOOKED_UP", 3)
    one, other = await gateway.new_tenant("One"), await gateway.new_tenant("Other")
    await gateway.connect(one, "1001")
    await gateway.connect(one, "8001", app_secret="secret-1001")
    await gateway.connect(other, "9001")
    many = [str(number) for number in range(1001, 1011)]
    assert await speak(gateway, "secret-1001", *many, "8001") == 200
    assert await speak(gateway, "secret-1001", *many, "9001") == 401
    assert await speak(gateway, "secret-1001", *(str(number) for number in range(1, 9)), *many) == 200, "by its account"


async def test_three_megabytes_are_taken_and_no_more(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    head = orjson.dumps(payload(value("1001", messages=[inbound()])))
    statuses = []
    for body in (head.ljust(3 * MEGABYTE), head.ljust(3 * 1024 * 1024 + 1)):
        headers = {HEADER: sign("secret-1001", body)}
        async with gateway.session.post(gateway.url + WEBHOOK, data=io.BytesIO(body), headers=headers) as answer:
            statuses.append(answer.status)
    assert statuses == [200, 413]
    async with gateway.session.post(gateway.url + WEBHOOK, data=io.BytesIO(body)) as answer:
        assert answer.status == 401, "what nobody signed is not read"
    assert [wamid for _, wamid in await received(gateway)] == ["wamid.in"]


@pytest.mark.parametrize("header", ["", "sha256=", "sha1=00", "sha256=zz", "sha256=é", "nonsense"])
async def test_a_header_that_is_no_signature_is_just_wrong(header: str, gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number = await gateway.connect(tenant, "1001")
    body = orjson.dumps(payload(value("1001")))
    for path in (WEBHOOK, f"{WEBHOOK}/{number}"):
        assert (await gateway.call("POST", path, body, **{HEADER: header})).status == 401
    upper = "sha256=" + hmac.new(b"secret-1001", body, hashlib.sha256).hexdigest().upper()
    assert (await gateway.call("POST", WEBHOOK, body, **{HEADER: upper})).status == 401


async def test_the_handshake_of_one_number_needs_its_own_token(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number = await gateway.connect(tenant, "1001")
    await gateway.connect(tenant, "1002")

    async def shake(token: str, number_id: str = number) -> tuple[int, str]:
        query = f"hub.mode=subscribe&hub.verify_token={token}&hub.challenge=1158201444"
        answer = await gateway.call("GET", f"{WEBHOOK}/{number_id}?{query}")
        return answer.status, answer.text

    assert await shake("verify-1001") == (200, "1158201444")
    assert (await shake("verify-1002"))[0] == 403
    assert (await shake("verify-1001", "num_" + "0" * 26))[0] == 403
