"""WhatsApp's templates, read from a provider that need not be honest, and what its webhooks say of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from shared.events.catalogue import TemplateChanged
from tests.integration.gateway.serving import Gateway, Tenant, serving
from tests.support.database import Database

DEADLINE_SECONDS = 60.0
BODY = [{"type": "BODY", "text": "Hello {{1}}"}]


def template(name: str = "order", status: str = "APPROVED", **more: Any) -> dict[str, Any]:
    return {"id": "77", "name": name, "language": "en_US", "status": status, "category": "UTILITY", "components": BODY, **more}


@dataclass(eq=False)
class Provider:
    """Lists `templates` in pages of two, or answers with `answer`."""

    url: str = ""
    templates: list[Any] = field(default_factory=list)
    answer: Callable[[web.Request], web.StreamResponse] | None = None
    calls: list[tuple[str, str, str]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.calls.append((request.path, request.query.get("after", ""), request.headers.get("Authorization", "")))
        if self.answer is not None:
            return self.answer(request)
        start = int(request.query.get("after", "0"))
        page: dict[str, Any] = {"data": self.templates[start : start + 2]}
        if self.templates:
            page["paging"] = {"cursors": {"before": str(start), "after": str(start + 2)}}
        if start + 2 < len(self.templates):
            page["paging"]["next"] = "http://169.254.169.254/latest/meta-data"
        return web.json_response(page)


@asynccontextmanager
async def providing() -> AsyncIterator[Provider]:
    provider, app = Provider(), web.Application()
    app.router.add_route("*", "/{path:.*}", provider.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        provider.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield provider
    finally:
        await runner.cleanup()


@pytest.fixture
async def gateway(database: Database) -> AsyncIterator[Gateway]:
    async with serving(database, reads_templates=True) as gateway:
        yield gateway


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with providing() as provider:
        yield provider


async def connected(gateway: Gateway, provider: Provider, **changes: Any) -> Tenant:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001", **{"provider_url": provider.url, **changes})
    return tenant


async def synced(gateway: Gateway, tenant: Tenant) -> dict[str, Any]:
    """Ask for a reading and wait for its end; returns what is said of the account."""
    asked = await gateway.call("POST", "/api/templates/sync", tenant=tenant)
    assert asked.status == 202, asked.text
    due_at = asked.body["data"][0]["due_at"]
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            account: dict[str, Any] = (await gateway.call("GET", "/api/templates/sync", tenant=tenant)).body["data"][0]
            if "fault" in account or account.get("synced_at", "") >= due_at:
                return account
            await asyncio.sleep(0.01)


async def listed(gateway: Gateway, tenant: Tenant, query: str = "") -> list[dict[str, Any]]:
    answer = await gateway.call("GET", f"/api/templates?kind=whatsapp{query}", tenant=tenant)
    found: list[dict[str, Any]] = answer.body["data"]
    return found


async def changes(gateway: Gateway) -> list[tuple[str, str | None, str | None]]:
    """What was told since the last look: name, category, held."""
    events = [event for event in await gateway.told() if isinstance(event, TemplateChanged)]
    return [(event.name, event.category, event.held) for event in events]


def notice(value: dict[str, Any], at: float | None = None, account: str = "1", name: str = "order") -> dict[str, Any]:
    about = {"message_template_id": 77, "message_template_name": name, "message_template_language": "en_US"}
    change = {"field": "message_template_status_update", "value": {**about, **value}}
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": account, "time": int(time.time() if at is None else at), "changes": [change]}],
    }


async def noticed(gateway: Gateway, *payloads: dict[str, Any]) -> None:
    """Deliver webhooks and wait until they are read."""
    for payload in payloads:
        assert (await gateway.webhook(payload, "secret-1001")).status == 200
    async with asyncio.timeout(DEADLINE_SECONDS):
        while await gateway.pool.fetchval("SELECT count(*) FROM webhooks WHERE quarantined IS NULL"):
            await asyncio.sleep(0.01)


async def test_every_page_is_read_by_its_cursor_and_never_by_the_address_given(gateway: Gateway, provider: Provider) -> None:
    provider.templates = [template(f"t{number}", quality_score={"score": "GREEN"}) for number in range(5)]
    tenant = await connected(gateway, provider)
    assert "fault" not in await synced(gateway, tenant)
    assert provider.calls == [("/v23.0/1/message_templates", after, "Bearer token-1001") for after in ("", "2", "4")]
    found = await listed(gateway, tenant)
    assert [one["name"] for one in found] == [f"t{number}" for number in range(5)]
    assert {key: found[0][key] for key in ("status", "category", "quality", "provider_id", "account_id", "components")} == {
        "status": "approved",
        "category": "utility",
        "quality": "green",
        "provider_id": "77",
        "account_id": "1",
        "components": BODY,
    }
    assert found[0]["variables"] == ["1"]
    assert await changes(gateway) == [(f"t{number}", "utility", None) for number in range(5)]


async def test_a_second_reading_tells_what_changed_and_nothing_else(gateway: Gateway, provider: Provider) -> None:
    provider.templates = [template("a"), template("b"), template("c"), template("d")]
    tenant = await connected(gateway, provider)
    await synced(gateway, tenant)
    await changes(gateway)
    provider.templates = [
        template("a"),
        template("b", "PAUSED"),
        template("c", category="MARKETING"),
        template("e", "REJECTED", rejected_reason="SCAM"),
    ]
    await synced(gateway, tenant)
    assert sorted(await changes(gateway)) == [
        ("b", "utility", "template.paused"),
        ("c", "marketing", None),
        ("d", "utility", "template.deleted"),
        ("e", "utility", "template.rejected"),
    ]
    assert [one["reason"] for one in await listed(gateway, tenant, "&name=e")] == ["SCAM"]
    provider.templates[1] = template("b")
    await synced(gateway, tenant)
    assert await changes(gateway) == [("b", "utility", None)]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (lambda _: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}), "provider.http_302"),
        (lambda _: web.Response(text="<html>"), "provider.answer_unreadable"),
        (lambda _: web.json_response({"data": {}}), "provider.answer_unreadable"),
        (lambda _: web.json_response([]), "provider.answer_unreadable"),
        (lambda _: web.json_response({"error": {"code": 190}}, status=401), "provider.190"),
        (lambda _: web.Response(status=500), "provider.http_500"),
        (lambda _: web.Response(body=b" " * (8 * 1024 * 1024 + 1)), "provider.answer_too_large"),
        (
            lambda _: web.json_response({"data": [], "paging": {"next": "x", "cursors": {"after": "same"}}}),
            "provider.answer_unreadable",
        ),
    ],
)
async def test_a_reading_that_fails_changes_nothing(
    gateway: Gateway, provider: Provider, answer: Callable[[web.Request], web.StreamResponse], fault: str
) -> None:
    provider.templates = [template()]
    tenant = await connected(gateway, provider)
    await synced(gateway, tenant)
    before = await listed(gateway, tenant)
    provider.answer = answer
    assert (await synced(gateway, tenant))["fault"] == fault
    assert await listed(gateway, tenant) == before
    provider.answer = None
    assert "fault" not in await synced(gateway, tenant)


async def test_an_unreachable_provider_is_a_fault_of_the_account_only(gateway: Gateway, provider: Provider) -> None:
    tenant = await connected(gateway, provider, provider_url="http://127.0.0.1:1")
    assert (await synced(gateway, tenant))["fault"] == "provider.unreachable"


async def test_items_that_cannot_be_read_cost_themselves_only(gateway: Gateway, provider: Provider) -> None:
    deep: Any = []
    for _ in range(40):
        deep = [deep]
    provider.templates = [
        None,
        "x",
        {},
        {"name": "a\x00b", "language": "en", "status": "APPROVED"},
        template("deep", components=[{"type": deep}]),
        template("nul", components=[{"type": "BODY", "text": "a\x00b"}]),
        template("odd", components={"a": 1}, quality_score=7),
        template(),
    ]
    tenant = await connected(gateway, provider)
    assert "fault" not in await synced(gateway, tenant)
    found = {one["name"]: one.get("components") for one in await listed(gateway, tenant)}
    assert found.keys() >= {"deep", "nul", "odd", "order"}
    assert found["deep"] is None
    assert found["odd"] is None
    assert found["order"] == BODY


async def test_webhooks_hold_a_template_and_let_it_go(gateway: Gateway, provider: Provider) -> None:
    provider.templates = [template()]
    tenant = await connected(gateway, provider)
    await synced(gateway, tenant)
    await changes(gateway)
    for event, status, held in (("PAUSED", "paused", "template.paused"), ("REINSTATED", "approved", None)):
        await noticed(gateway, notice({"event": event, "reason": None}))
        (one,) = await listed(gateway, tenant)
        assert (one["status"], one.get("held")) == (status, held)
        assert await changes(gateway) == [("order", "utility", held)]
    await noticed(
        gateway, notice({"event": "FLAGGED"}), notice({"new_quality_score": "RED", "previous_quality_score": "GREEN"})
    )
    (one,) = await listed(gateway, tenant)
    assert (one["status"], one["quality"]) == ("approved", "red")
    assert await changes(gateway) == []
    await noticed(gateway, notice({"previous_category": "UTILITY", "new_category": "MARKETING"}))
    assert await changes(gateway) == [("order", "marketing", None)]
    assert await gateway.pool.fetchval("SELECT count(*) FROM webhooks") == 0


async def test_an_older_notice_changes_nothing_and_many_of_one_moment_all_count(gateway: Gateway, provider: Provider) -> None:
    provider.templates = [template()]
    tenant = await connected(gateway, provider)
    await synced(gateway, tenant)
    await noticed(gateway, notice({"event": "PAUSED"}, at=time.time() - 60))
    assert [one["status"] for one in await listed(gateway, tenant)] == ["approved"]
    payload = notice({"event": "PAUSED"}, at=time.time() + 3600)
    for event in ("REINSTATED", "DISABLED"):
        payload["entry"] += notice({"event": event}, at=time.time() + 3600)["entry"]
    await changes(gateway)
    await noticed(gateway, payload)
    assert [one["status"] for one in await listed(gateway, tenant)] == ["disabled"]
    told = [event for event in await gateway.told() if isinstance(event, TemplateChanged)]
    assert [event.held for event in told] == ["template.paused", None, "template.disabled"]
    moments = [event.changed_at for event in told]
    assert moments == sorted(set(moments))


async def test_a_template_that_only_a_webhook_named_is_known_from_then_on(gateway: Gateway, provider: Provider) -> None:
    tenant = await connected(gateway, provider)
    await noticed(gateway, notice({"event": "PAUSED"}, name="new"))
    (one,) = await listed(gateway, tenant)
    assert (one["name"], one["held"]) == ("new", "template.paused")
    assert await changes(gateway) == [("new", None, "template.paused")]


async def test_an_account_without_a_number_of_the_tenants_is_not_spoken_for(gateway: Gateway, provider: Provider) -> None:
    tenant = await connected(gateway, provider)
    payload = notice({"event": "PAUSED"})
    payload["entry"] += notice({"event": "PAUSED"}, account="999")["entry"]
    await noticed(gateway, payload)
    assert [one["account_id"] for one in await listed(gateway, tenant)] == ["1"]
    assert (await gateway.webhook(notice({"event": "PAUSED"}), "another secret")).status == 401


async def test_one_tenants_reading_leaves_anothers_templates_alone(gateway: Gateway, provider: Provider) -> None:
    provider.templates = [template()]
    tenant = await connected(gateway, provider)
    other = await gateway.new_tenant("Other")
    await gateway.connect(other, "2002", provider_url=provider.url)
    await synced(gateway, tenant)
    await synced(gateway, other)
    provider.templates = []
    await synced(gateway, other)
    assert [one["status"] for one in await listed(gateway, tenant)] == ["approved"]
    assert [one["status"] for one in await listed(gateway, other)] == ["deleted"]


async def test_whatsapps_own_are_not_changed_here(gateway: Gateway, provider: Provider) -> None:
    provider.templates = [template()]
    tenant = await connected(gateway, provider)
    await synced(gateway, tenant)
    (one,) = await listed(gateway, tenant)
    path = f"/api/templates/{one['id']}"
    for method, body in (("PATCH", {"body": "x"}), ("DELETE", None)):
        answer = await gateway.call(method, path, body, tenant)
        assert (answer.status, answer.body["code"]) == (409, "template.of_provider")
    rendered = await gateway.call("POST", f"{path}/render", {"variables": {"1": "Ana"}}, tenant)
    assert rendered.body["content"]["template"]["components"][0]["parameters"] == [{"type": "text", "text": "Ana"}]


async def test_a_draft_of_a_known_template_is_checked_against_it(gateway: Gateway, provider: Provider) -> None:
    provider.templates = [template()]
    tenant = await connected(gateway, provider)
    await synced(gateway, tenant)
    draft = {"type": "template", "template": {"name": "order", "language": {"code": "en_US"}}}
    answer = await gateway.call("POST", "/api/drafts", draft, tenant)
    assert answer.status == 422
    assert answer.body["errors"][0]["code"] == "template.parameter_count"
    draft["template"]["components"] = [{"type": "body", "parameters": [{"type": "text", "text": "{{name}}"}]}]  # type: ignore[index]  # free JSON
    assert (await gateway.call("POST", "/api/drafts", draft, tenant)).status == 201
    unknown = {"type": "template", "template": {"name": "nobody_knows", "language": {"code": "en_US"}}}
    assert (await gateway.call("POST", "/api/drafts", unknown, tenant)).status == 201
