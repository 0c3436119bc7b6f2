"""Numbers: their secrets go in and never come out."""

from __future__ import annotations

import json

import asyncpg
import pytest

from shared.auth.seal import Sealer
from shared.events.catalogue import NumberConnected
from shared.ids import TenantId
from tests.integration.gateway.serving import MASTER_KEY, WEBHOOK, Gateway
from tests.support.database import Database

SECRETS = {"access_token": "EAAverysecrettoken", "app_secret": "very-secret-app", "verify_token": "very-secret-verify"}
BODY = {"phone_number_id": "1001", "waba_id": "1", "display_number": "+15550783881", **SECRETS}


async def everything(database: Database) -> str:
    """All rows of all schemas, as text."""
    admin = await asyncpg.connect(database.admin_url)
    try:
        found = await admin.fetch(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT LIKE ALL('{pg_%,information_schema}')"
        )
        dumps = [
            await admin.fetchval(f"SELECT coalesce(string_agg(t::text, ' '), '') FROM {schema}.{table} t")  # noqa: S608
            for schema, table in found
        ]
        blobs = await admin.fetch("SELECT body FROM gateway.outbox")
        return " ".join(dumps) + " ".join(row["body"].decode() for row in blobs)
    finally:
        await admin.close()


async def test_secrets_are_in_no_table_and_no_answer(gateway: Gateway, database: Database) -> None:
    tenant = await gateway.new_tenant()
    keys: tuple[dict[str, str], ...] = ({"Idempotency-Key": "a"}, {"Idempotency-Key": "a"}, {})
    texts = [(await gateway.call("POST", "/api/numbers", BODY, tenant, **headers)).text for headers in keys]
    number = json.loads(texts[0])["id"]
    texts.append((await gateway.call("PATCH", f"/api/numbers/{number}", SECRETS, tenant)).text)
    texts.append((await gateway.call("PATCH", f"/api/numbers/{number}", {**SECRETS, "oops": 1}, tenant)).text)
    texts.append((await gateway.call("POST", "/api/numbers", {**BODY, "access_token": ["EAAverysecrettoken"]}, tenant)).text)
    texts.append((await gateway.call("GET", f"/api/numbers/{number}", tenant=tenant)).text)
    texts.append((await gateway.call("GET", "/api/numbers", tenant=tenant)).text)
    rows = await everything(database)
    assert number in rows
    for secret in SECRETS.values():
        assert secret not in rows
        assert not [text for text in texts if secret in text]


async def test_a_connection_is_told_with_a_token_that_only_the_master_key_opens(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    answer = await gateway.call("POST", "/api/numbers", BODY, tenant)
    (event,) = await gateway.told()
    assert isinstance(event, NumberConnected)
    assert (event.number_id, event.revision, event.provider_url) == (answer.body["id"], 1, "https://graph.facebook.com")
    opened = Sealer(MASTER_KEY).open(
        TenantId(tenant.tenant_id), "numbers.access_token", event.number_id, event.sealed_access_token
    )
    assert opened == SECRETS["access_token"]


async def test_a_change_is_told_under_the_next_revision(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number = await gateway.connect(tenant, "1001")
    await gateway.call("PATCH", f"/api/numbers/{number}", {"messages_per_second": 7}, tenant)
    (event,) = await gateway.told()
    assert isinstance(event, NumberConnected)
    assert (event.revision, event.messages_per_second) == (2, 7)


async def test_a_number_is_connected_once(gateway: Gateway) -> None:
    one, other = await gateway.new_tenant("One"), await gateway.new_tenant("Other")
    await gateway.connect(one, "1001")
    for tenant in (one, other):
        assert (await gateway.call("POST", "/api/numbers", BODY, tenant)).status == 409
    assert await gateway.told() == []


@pytest.mark.parametrize("token", ["line\nbreak", "trailing\n", "a b", "é", "nul\0"])
async def test_a_token_that_no_header_can_carry_is_refused_by_name(token: str, gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    answer = await gateway.call("POST", "/api/numbers", {**BODY, "access_token": token}, tenant)
    assert answer.status == 422
    assert [fault["pointer"] for fault in answer.body["errors"]] == ["/access_token"]
    assert await gateway.told() == []


async def test_the_handshake_needs_a_verify_token_of_a_number(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")

    async def shake(mode: str, token: str, challenge: str = "1158201444") -> tuple[int, str]:
        answer = await gateway.call("GET", f"{WEBHOOK}?hub.mode={mode}&hub.verify_token={token}&hub.challenge={challenge}")
        return answer.status, answer.text

    assert await shake("subscribe", "verify-1001") == (200, "1158201444")
    assert (await shake("subscribe", "verify-1002"))[0] == 403
    assert (await shake("unsubscribe", "verify-1001"))[0] == 403
    for challenge in ("%3Cscript%3E", "7%209", "é" * 200):
        assert (await shake("subscribe", "verify-1001", challenge))[0] == 200, "text/plain, whatever it says"
    for challenge in ("", "1%0A2", "1%002", "x" * 201):
        assert (await shake("subscribe", "verify-1001", challenge))[0] == 403
    assert (await shake("subscribe", "%00%ED%A0%80"))[0] == 403


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://evil.example", "provider.origin_not_allowed"),
        ("https://graph.facebook.com:444", "provider.origin_not_allowed"),
        ("http://169.254.169.254/latest", "provider.origin_not_allowed"),
        ("https://graph.facebook.com@evil.example", "field.format"),
        ("https://user:word@graph.facebook.com", "field.format"),
        ("https://graph.facebook.com?to=evil", "field.format"),
        ("https://graph.facebook.com#evil", "field.format"),
    ],
)
async def test_a_token_goes_only_where_the_operator_allows(url: str, code: str, gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number = await gateway.connect(tenant, "1002")
    for method, path, body in (
        ("POST", "/api/numbers", {**BODY, "provider_url": url}),
        ("PATCH", f"/api/numbers/{number}", {"provider_url": url, "access_token": "EAAother"}),
    ):
        answer = await gateway.call(method, path, body, tenant)
        assert answer.status == 422
        (fault,) = answer.body["errors"]
        assert (fault["pointer"], fault["code"]) == ("/provider_url", code)
        assert code == "field.format" or "CHASQUI_GATEWAY__PROVIDER_ORIGINS" in fault["detail"]
    assert await gateway.told() == []


async def test_a_stored_token_is_never_sent_to_a_new_place(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number = await gateway.connect(tenant, "1001")
    moved = {"provider_url": "http://127.0.0.1:9"}
    answer = await gateway.call("PATCH", f"/api/numbers/{number}", moved, tenant)
    assert answer.status == 422
    assert [(fault["pointer"], fault["code"]) for fault in answer.body["errors"]] == [("/access_token", "field.missing")]
    assert await gateway.told() == []
    answer = await gateway.call("PATCH", f"/api/numbers/{number}", {**moved, "access_token": "EAAnew"}, tenant)
    assert (answer.status, answer.body["provider_url"]) == (200, "http://127.0.0.1:9")


TWILIO = {
    "provider": "twilio",
    "account_id": "AC" + "0123456789abcdef" * 2,
    "display_number": "+1 (555) 078-3881",
    "access_token": "auth-token-of-twilio",
}


async def test_a_number_is_told_with_all_its_limits(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    limits = {
        "messages_per_second": 1000,
        "profile": "device",
        "calls_per_hour": 5000,
        "portfolio_id": "portfolio-1",
        "unique_users_per_day": 250,
    }
    answer = await gateway.call("POST", "/api/numbers", {**BODY, **limits}, tenant)
    assert answer.status == 201, answer.text
    assert {name: answer.body[name] for name in limits} == limits
    (event,) = await gateway.told()
    assert isinstance(event, NumberConnected)
    assert {name: event.model_dump()[name] for name in limits} == limits
    assert (event.provider, event.account_id, event.callback_url, event.paused) == ("cloud_api", "1", None, None)
    gone = {"calls_per_hour": None, "unique_users_per_day": None, "messages_per_second": None, "profile": None}
    changed = await gateway.call("PATCH", f"/api/numbers/{answer.body['id']}", gone, tenant)
    assert changed.body == {
        name: value for name, value in answer.body.items() if name not in {"calls_per_hour", "unique_users_per_day"}
    }
    for wrong in ({"calls_per_hour": 0}, {"profile": "pigeon"}, {"portfolio_id": ""}, {"messages_per_second": 1001}):
        refused = await gateway.call("PATCH", f"/api/numbers/{answer.body['id']}", wrong, tenant)
        assert [fault["pointer"] for fault in refused.body["errors"]] == [f"/{name}" for name in wrong]


async def test_a_twilio_number_is_told_where_to_report(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    answer = await gateway.call("POST", "/api/numbers", TWILIO, tenant)
    assert answer.status == 201, answer.text
    (event,) = await gateway.told()
    assert isinstance(event, NumberConnected)
    assert (event.provider, event.account_id, event.phone_number_id) == ("twilio", TWILIO["account_id"], "15550783881")
    assert (event.display_number, event.provider_url) == ("+15550783881", "https://api.twilio.com")
    assert event.callback_url == answer.body["callback_url"]
    assert event.callback_url.endswith(f"/api/webhooks/twilio/{event.number_id}")
    assert answer.body["account_id"] == TWILIO["account_id"]
    assert "waba_id" not in answer.body


async def test_a_new_auth_token_signs_twilios_callbacks_too(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number = (await gateway.call("POST", "/api/numbers", TWILIO, tenant)).body["id"]

    async def secret() -> str:
        sealed = await gateway.pool.fetchval("SELECT sealed_app_secret FROM numbers WHERE id = $1", number)
        return Sealer(MASTER_KEY).open(TenantId(tenant.tenant_id), "numbers.app_secret", number, sealed)

    assert await secret() == TWILIO["access_token"]
    assert (await gateway.call("PATCH", f"/api/numbers/{number}", {"access_token": "another"}, tenant)).status == 200
    assert await secret() == "another"
    refused = await gateway.call("PATCH", f"/api/numbers/{number}", {"app_secret": "x"}, tenant)
    assert [(fault["pointer"], fault["code"]) for fault in refused.body["errors"]] == [("/app_secret", "field.surplus")]


async def test_a_number_says_what_its_provider_lacks(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    answer = await gateway.call("POST", "/api/numbers", {**TWILIO, "account_id": None, "waba_id": "1"}, tenant)
    assert answer.status == 422
    assert {(fault["pointer"], fault["code"]) for fault in answer.body["errors"]} == {
        ("/account_id", "field.missing"),
        ("/waba_id", "field.surplus"),
    }
    assert await gateway.told() == []
