"""What people wrote, who they are and what opens doors is in no log line, no span, no refusal, and in no table in the clear."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import asyncpg
import pytest
import pytest_asyncio
import structlog
from aiohttp import web
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from local.ports import free_port
from shared.telemetry.logging import setup_logging
from tests.support.assembly import Assembly, assembled
from tests.support.database import cloned_database
from tests.support.platform import Api, until
from tests.support.servers import Asking, need

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Nothing of this stands anywhere else: whoever finds one of them knows where it comes from.
PERSONAL: Final = {
    "text": "Zephyrquill meets at the old mill",
    "scheduled text": "Brackenwaite comes later",
    "parameter": "Parameter-Quollvex",
    "phone": "15558642097",
    "scripted phone": "19997530004",
    "name": "Wilhelmina Xanthippe",
    "inbound text": "Inbound Fjordlynx says hello",
    "inbound phone": "491718642097",
    "reference": "Reference-Mirrowick",
    "metadata": "Metadata-Gropthorn",
    "search": "Searchterm-Yttervane",
}
NUMBER: Final = {
    "phone_number_id": "700000000000001",
    "waba_id": "700000000000002",
    "display_number": "+15550007777",
    "access_token": "plain-token-Hesperquill",
    "app_secret": "plain-secret-Hesperquill",
    "verify_token": "plain-verify-Hesperquill",
}
CHANGED: Final = {"access_token": "changed-token-Hesperquill", "app_secret": "changed-secret-Hesperquill"}
# Raises an error that quotes the row, as PostgreSQL itself does in its details.
BREAK: Final = """
CREATE OR REPLACE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'refused: %', NEW USING DETAIL = 'the row was ' || NEW::text; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION public.refuse()
"""


@dataclass(slots=True)
class Life:
    """A platform to which everything has happened, and what can be seen of it."""

    assembly: Assembly
    logs: io.StringIO
    exporter: InMemorySpanExporter
    refusals: dict[str, str] = field(default_factory=dict)

    def keys(self) -> dict[str, str]:
        """What opens doors."""
        mine = {
            f"own {name}": value for name, value in NUMBER.items() if name in {"access_token", "app_secret", "verify_token"}
        }
        changed = {f"changed {name}": value for name, value in CHANGED.items()}
        return {**self.assembly.secrets, **mine, **changed, "role password": self.assembly.database.role_password}


@pytest.fixture(scope="module")
def logs() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    setup_logging("debug", stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def life(
    postgres: str, role_password: str, servers: Asking, logs: io.StringIO, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Life]:
    exporter = InMemorySpanExporter()
    journal = tmp_path_factory.mktemp("secrets") / "journal"
    async with (
        cloned_database(postgres, role_password) as database,
        assembled(database, need(servers, "valkey"), journal, exporter) as assembly,
        talkative_provider() as provider_url,
        assembly.api() as api,
    ):
        life = Life(assembly, logs, exporter)
        await send_and_receive(api, assembly)
        await connect_and_change(life, api, provider_url)
        await be_refused(life, api)
        await send_to_a_talkative_provider(api)
        await break_tables(life, api)
        yield life


@asynccontextmanager
async def talkative_provider() -> AsyncIterator[str]:
    """Its errors repeat the request, token and all."""

    async def answer(request: web.Request) -> web.Response:
        said = f"{await request.text()} {request.headers['Authorization']}"
        if PERSONAL["scripted phone"] in said:
            return web.Response(status=500, text=said)
        error = {"message": said, "type": "OAuthException", "code": 131030, "error_data": {"details": said}}
        return web.json_response({"error": error}, status=400)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def send_and_receive(api: Api, assembly: Assembly) -> None:
    """Everything that goes well."""
    phone = f"+{PERSONAL['phone']}"
    extra = {"reference": PERSONAL["reference"], "metadata": {"key": PERSONAL["metadata"]}}
    read = await api.send(to=phone, text={"body": PERSONAL["text"]}, **extra)
    later = await api.send(to=phone, text={"body": PERSONAL["scheduled text"]}, scheduled_time="2031-01-01T00:00:00Z")
    template = {
        "name": "order_update",
        "language": {"code": "en"},
        "components": [{"type": "body", "parameters": [{"type": "text", "text": PERSONAL["parameter"]}]}],
    }
    templated = {"to": phone, "type": "template", "template": template}
    status, answer = await api.call("POST", "/api/messages", templated, **{"Idempotency-Key": "template-1"})
    assert status == 202, answer
    status, _ = await api.call("POST", "/api/messages/batch", [{"to": phone, "text": {"body": PERSONAL["text"]}}] * 3)
    assert status == 202
    for message_id in (read, answer["id"]):
        await api.until_status(message_id, "read")
    await api.call("POST", f"/api/messages/{later}/cancel")
    await api.until_status(later, "canceled")
    refused = await api.send(to=f"+{PERSONAL['scripted phone']}")
    await api.until_status(refused, "failed")
    inbound = {"from": PERSONAL["inbound phone"], "text": PERSONAL["inbound text"], "name": PERSONAL["name"]}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{assembly.sandbox_url}/control/inbound", json=inbound) as sent,
    ):
        assert sent.status == 200, await sent.text()
    await until(lambda: found(api, "Fjordlynx"), "the inbound message to be found")
    assert not await found(api, PERSONAL["search"])


async def found(api: Api, words: str) -> list[dict[str, Any]]:
    hits: list[dict[str, Any]] = (await api.get(f"/api/search?q={words}"))["data"]
    return hits


async def connect_and_change(life: Life, api: Api, provider_url: str) -> None:
    body = {**NUMBER, "provider_url": provider_url}
    status, number = await api.call("POST", "/api/numbers", body, **{"Idempotency-Key": "number-1"})
    assert status == 201, number
    status, again = await api.call("POST", "/api/numbers", body, **{"Idempotency-Key": "number-1"})
    assert (status, again) == (201, number)
    status, twice = await api.call("POST", "/api/numbers", body)
    assert status == 409
    life.refusals["connected twice"] = json.dumps(twice)
    status, changed = await api.call("PATCH", f"/api/numbers/{number['id']}", CHANGED)
    assert status == 200, changed


async def be_refused(life: Life, api: Api) -> None:
    """Bad requests that hold secrets where nobody expects them."""
    text, phone, key = PERSONAL["text"], PERSONAL["phone"], life.assembly.secrets["test_key"]
    good = {"to": f"+{phone}", "text": {"body": text}}
    webhook = {
        "object": "whatsapp_business_account",
        "entry": [{"changes": [{"value": {"metadata": {"x": text}, "to": phone}}]}],
    }
    bodies: dict[str, tuple[str, bytes]] = {
        "unknown field": ("/api/messages", json.dumps({**good, "colour": text}).encode()),
        "bad phone": ("/api/messages", json.dumps({**good, "to": f"tel:{phone}:{text}"}).encode()),
        "bad type": ("/api/messages", json.dumps({**good, "text": text}).encode()),
        "bad priority": ("/api/messages", json.dumps({**good, "priority": text}).encode()),
        "bad time": ("/api/messages", json.dumps({**good, "scheduled_time": text}).encode()),
        "bad number": ("/api/messages", json.dumps({**good, "from": text}).encode()),
        "several numbers": ("/api/messages", json.dumps(good).encode()),
        "not JSON": ("/api/messages", f'{{"text": {text} {phone}'.encode()),
        "not UTF-8": ("/api/messages", text.encode() + b"\xff"),
        "bad batch": ("/api/messages/batch", json.dumps([{**good, "colour": text}, text]).encode()),
        "bad token": ("/api/numbers", json.dumps({**NUMBER, "access_token": [NUMBER["access_token"]]}).encode()),
        "bad url": ("/api/numbers", json.dumps({**NUMBER, "provider_url": f"ftp://{text}"}).encode()),
        "unsigned webhook": ("/api/webhooks/whatsapp", json.dumps(webhook).encode()),
        "unknown path": (f"/api/{phone}/{key}", b"{}"),
        "wrong method": (f"/api/search?q={phone}", b"{}"),
    }
    for what, (path, body) in bodies.items():
        await refuse(life, api, what, "POST", path, data=body, headers={"Content-Type": "application/json"})
    gets: dict[str, str] = {
        "bad cursor": f"/api/messages?cursor={phone}",
        "bad limit": f"/api/messages?limit={phone}",
        "unknown message": f"/api/messages/{phone}",
        "bad search": f"/api/search?q={PERSONAL['search']}&from={phone}",
        "bad handshake": f"/api/webhooks/whatsapp?hub.mode=subscribe&hub.challenge=1&hub.verify_token={phone}",
    }
    for what, path in gets.items():
        await refuse(life, api, what, "GET", path)
    other = {"Authorization": f"Bearer {key[:-1]}"}
    await refuse(life, api, "wrong key", "GET", "/api/messages", headers=other)
    await refuse(life, api, "key in a strange place", "GET", f"/api/messages?api_key={key}", headers={"Authorization": ""})
    await quarantine(life, api)


async def refuse(life: Life, api: Api, what: str, method: str, path: str, **request: Any) -> None:
    async with api.session.request(method, f"{api.url}{path}", **request) as answer:
        assert 400 <= answer.status < 500, (what, answer.status)
        life.refusals[what] = f"{dict(answer.headers)} {await answer.text()}"


async def quarantine(life: Life, api: Api) -> None:
    """A payload that is signed and cannot be understood is set aside; the log says so."""
    value = {
        "metadata": {"phone_number_id": "106540352242922"},
        "messages": [{"from": PERSONAL["inbound phone"], "text": {"body": PERSONAL["inbound text"]}}],
        "contacts": [{"wa_id": PERSONAL["inbound phone"], "profile": {"name": PERSONAL["name"]}}],
    }
    body = json.dumps({"object": "whatsapp_business_account", "entry": [{"changes": [{"value": value}]}]}).encode()
    signature = hmac.new(life.assembly.secrets["app_secret"].encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": f"sha256={signature}", "Content-Type": "application/json"}
    async with api.session.post(f"{api.url}/api/webhooks/whatsapp", data=body, headers=headers) as answer:
        assert answer.status == 200
    await until(lambda: "webhook.quarantined" in life.logs.getvalue(), "the payload to be set aside")


async def send_to_a_talkative_provider(api: Api) -> None:
    numbers = (await api.get("/api/numbers"))["data"]
    number_id = next(one["id"] for one in numbers if one["phone_number_id"] == NUMBER["phone_number_id"])
    for phone, status in ((PERSONAL["phone"], "failed"), (PERSONAL["scripted phone"], "unknown")):
        message_id = await api.send(to=f"+{phone}", text={"body": PERSONAL["text"]}, **{"from": number_id})
        await api.until_status(message_id, status)


async def break_tables(life: Life, api: Api) -> None:
    """Errors from the database that quote what was to be written, in every service."""
    numbers = (await api.get("/api/numbers"))["data"]
    number_id = next(one["id"] for one in numbers if one["phone_number_id"] != NUMBER["phone_number_id"])
    body = {"to": f"+{PERSONAL['phone']}", "text": {"body": PERSONAL["text"]}, "from": number_id}
    connection = await asyncpg.connect(life.assembly.database.admin_url)
    try:
        for table, service in (
            ("archive.entries", "archive.record"),
            ("sender.attempts", "sender.deliver"),
            ("scheduler.holds", "scheduler.hold"),
        ):
            await connection.execute(BREAK.format(table=table))
            await api.call("POST", "/api/messages", body)
            await until(lambda name=service: failed(life, name), f"{service} to fail")
            await connection.execute(f"DROP TRIGGER refuse ON {table}")
        await connection.execute(BREAK.format(table="gateway.messages"))
        status, problem = await api.call("POST", "/api/messages", body)
        assert status == 500
        life.refusals["database error"] = json.dumps(problem)
        await connection.execute("DROP TRIGGER refuse ON gateway.messages")
    finally:
        await connection.close()


def failed(life: Life, subscription: str) -> bool:
    lines = [json.loads(line) for line in life.logs.getvalue().splitlines()]
    return any(line["level"] == "error" and line.get("subscription") == subscription for line in lines)


def assert_absent(secrets: Mapping[str, str], where: str, text: str) -> None:
    """Whole, in hex, or with the plus sign encoded."""
    for name, secret in secrets.items():
        for form in (secret, secret.encode().hex(), secret.replace(" ", "%20"), secret.replace(" ", "+")):
            at = text.find(form)
            assert at < 0, f"{name} is in {where}: …{text[max(0, at - 200) : at + 80]}…"


async def test_no_log_line_shows_them(life: Life) -> None:
    text = life.logs.getvalue()
    assert text.count("\n") > 50, "nothing was logged"
    for line in text.splitlines():
        json.loads(line)
    assert_absent({**PERSONAL, **life.keys()}, "the logs", text)
    assert "wamid." not in text


async def test_no_span_shows_them(life: Life) -> None:
    spans = life.exporter.get_finished_spans()
    assert len(spans) > 50, "nothing was recorded"
    text = "\n".join(span.to_json() for span in spans)
    assert_absent({**PERSONAL, **life.keys()}, "the spans", text)
    assert "wamid." not in text


async def test_no_refusal_repeats_what_it_refuses(life: Life) -> None:
    for what, answer in life.refusals.items():
        assert_absent({**PERSONAL, **life.keys()}, f"the answer to: {what}", answer)


async def test_a_number_never_shows_its_secrets(life: Life) -> None:
    async with life.assembly.api() as api:
        page = await api.get("/api/numbers")
        each = [await api.get(f"/api/numbers/{one['id']}") for one in page["data"]]
    assert len(each) == 2
    assert_absent(life.keys(), "the numbers", json.dumps([page, each]))


async def test_no_table_holds_a_key_in_the_clear(life: Life) -> None:
    """People's words and numbers are what the tables are for; keys are not."""
    connection = await asyncpg.connect(life.assembly.database.admin_url)
    try:
        tables = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
            " WHERE schemaname IN ('gateway', 'scheduler', 'sender', 'archive')"
        )
        assert len(tables) > 10
        for table in tables:
            rows = await connection.fetch(f"SELECT t::text AS row FROM {table['name']} AS t")  # noqa: S608  # a table's own name
            assert_absent(life.keys(), table["name"], "\n".join(row["row"] for row in rows))
    finally:
        await connection.close()
