"""The archive as the gateway meets it: over HTTP, events from the bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from local.ports import free_port
from services.archive.app import build
from services.archive.settings import ArchiveSecuritySettings, ArchiveSettings, Settings
from shared.bus.memory import MemoryBus
from shared.config import ObjectsSettings, ReplicaSettings, TelemetrySettings
from shared.events.codec import encode
from shared.events.event import Event
from shared.events.values import DeliveryStatus
from shared.http.server import HttpServer
from shared.ids import TenantId, new_id
from shared.run import run
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing
from tests.support.archive_events import (
    OTHER_TENANT,
    PHONE,
    TENANT,
    edited,
    lost,
    message_id,
    received,
    released,
    reported,
    revoked,
    sent,
    stored,
    text,
)
from tests.support.database import Database, cloned_database

TOKEN = "a token that the services share"


@dataclass(frozen=True)
class Archive:
    """The running service."""

    url: str
    bus: MemoryBus
    session: aiohttp.ClientSession

    async def tell(self, *events: Event) -> None:
        """Publish; with this bus that returns when they have been handled."""
        for batch in encode(events):
            await self.bus.publish(batch)

    async def get(self, path: str, query: Mapping[str, str] | None = None, tenant: TenantId = TENANT) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {TOKEN}", "X-Chasqui-Tenant": tenant}
        async with self.session.get(self.url + path, params=query or {}, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def pages(self, path: str, query: Mapping[str, str]) -> list[list[Any]]:
        """All pages, by their cursors."""
        pages: list[list[Any]] = []
        cursor = ""
        while True:
            status, page = await self.get(path, {**query, **({"cursor": cursor} if cursor else {})})
            assert status == 200, page
            pages.append(page["data"])
            if "next_cursor" not in page:
                return pages
            cursor = page["next_cursor"]


@asynccontextmanager
async def running(database: Database, replica_url: str = "") -> AsyncIterator[Archive]:
    with TemporaryDirectory(prefix="chasqui-test-") as objects:
        settings = Settings(
            security=ArchiveSecuritySettings(internal_token=SecretStr(TOKEN)),
            db=database.settings_for("archive"),
            db_replica=ReplicaSettings(url=replica_url),
            objects=ObjectsSettings(url=objects),
            archive=ArchiveSettings(port=0),
        )
        async with started(settings) as archive:
            yield archive


@asynccontextmanager
async def started(settings: Settings) -> AsyncIterator[Archive]:
    is_started, stop = asyncio.Event(), asyncio.Event()
    ports: list[int] = []
    tracing = Tracing("archive", TelemetrySettings())

    async with MemoryBus() as bus, asyncio.TaskGroup() as group:

        async def builder(stack: AsyncExitStack) -> Any:
            components = await build(stack, settings, bus, tracing, Metrics("archive"))
            ports.extend(component.port for component in components if isinstance(component, HttpServer))
            return components

        group.create_task(run([builder], drain_seconds=5, stop=stop, on_started=is_started.set))
        async with asyncio.timeout(60):
            await is_started.wait()
        try:
            async with aiohttp.ClientSession() as session:
                yield Archive(f"http://127.0.0.1:{ports[0]}", bus, session)
        finally:
            stop.set()
    tracing.close()


@pytest.fixture
async def archive(database: Database) -> AsyncIterator[Archive]:
    async with running(database) as archive:
        yield archive


async def test_a_message_can_be_read_and_found_once_its_events_are_in(archive: Archive) -> None:
    message = message_id()
    await archive.tell(released(message, "Where is my <b>parcel</b>?"), sent(message, "wamid.out"))
    await archive.tell(
        reported(message, "wamid.out", DeliveryStatus.READ, seconds=1), received("wamid.in", "At the door", seconds=2)
    )

    status, page = await archive.get("/api/conversations")
    assert status == 200
    assert "next_cursor" not in page
    (conversation,) = page["data"]
    assert conversation["contact"] == {"phone": PHONE, "name": "Ana"}
    assert conversation["last_entry"]["preview"] == "At the door"
    assert await archive.get(f"/api/conversations/{conversation['id']}") == (200, conversation)

    status, page = await archive.get(f"/api/conversations/{conversation['id']}/entries")
    assert status == 200
    incoming, outgoing = page["data"]
    assert incoming == {
        "id": incoming["id"],
        "conversation_id": conversation["id"],
        "direction": "incoming",
        "type": "text",
        "content": text("At the door"),
        "sent_at": "2026-11-20T12:00:02Z",
        "provider_id": "wamid.in",
    }
    assert (outgoing["message_id"], outgoing["provider_id"], outgoing["status"]) == (message, "wamid.out", "read")

    status, page = await archive.get("/api/search", {"q": "PARCEL"})
    assert status == 200
    (hit,) = page["data"]
    assert (hit["conversation_id"], hit["entry_id"]) == (conversation["id"], outgoing["id"])
    ((start, end),) = hit["snippet"]["highlights"]
    assert hit["snippet"]["text"] == "Where is my <b>parcel</b>?"
    assert hit["snippet"]["text"][start:end] == "parcel"


async def test_what_was_said_of_an_entry_later_is_shown_with_it(archive: Archive) -> None:
    await archive.tell(
        received("w1", content={"type": "image", "image": {"id": "1"}}), received("w2", seconds=1), received("w3", seconds=2)
    )
    await archive.tell(
        stored("w1", "med_1", file_name="a.jpg"), edited("w2", "mended", seconds=60), revoked("w3", seconds=90), lost("w2")
    )
    ((conversation,),) = await archive.pages("/api/conversations", {})
    assert (conversation["last_entry"]["type"], conversation["last_entry"]["preview"]) == ("revoked", "")
    ((third, second, first),) = await archive.pages(f"/api/conversations/{conversation['id']}/entries", {})
    assert first["media"] == {"media_id": "med_1", "mime_type": "image/jpeg", "size_bytes": 1234, "file_name": "a.jpg"}
    assert "edited_at" not in first
    assert (second["content"], second["edited_at"]) == (text("mended"), "2026-11-20T12:01:00Z")
    assert second["media"] == {"lost": "media.too_large"}
    assert (third["type"], third["content"], third["revoked_at"]) == ("revoked", {"type": "revoked"}, "2026-11-20T12:01:30Z")


async def test_tenants_see_nothing_of_each_other(archive: Archive) -> None:
    await archive.tell(received("wamid.1", "secret"))
    ((conversation,),) = await archive.pages("/api/conversations", {})
    assert await archive.get("/api/conversations", tenant=OTHER_TENANT) == (200, {"data": []})
    assert (await archive.get("/api/search", {"q": "secret"}, OTHER_TENANT))[1]["data"] == []
    for path in (f"/api/conversations/{conversation['id']}", f"/api/conversations/{conversation['id']}/entries"):
        assert (await archive.get(path))[0] == 200
        status, problem = await archive.get(path, tenant=OTHER_TENANT)
        assert (status, problem["code"]) == (404, "conversation.unknown")


_LISTS: tuple[tuple[str, dict[str, str]], ...] = (("/api/conversations", {}), ("/api/search", {"q": "word"}))


async def test_pages_go_on_where_the_last_one_ended_whatever_comes_in_between(archive: Archive) -> None:
    await archive.tell(*[received(f"wamid.{i}", f"word {i}", seconds=i, sender=f"+1555{i:07}") for i in range(9)])
    for path, query in _LISTS:
        pages = await archive.pages(path, {"limit": "4", **query})
        assert [len(page) for page in pages] == [4, 4, 1]
    _, first = await archive.get("/api/search", {"q": "word", "limit": "4"})
    await archive.tell(received("wamid.new", "word new", seconds=99))
    _, second = await archive.get("/api/search", {"q": "word", "limit": "4", "cursor": first["next_cursor"]})
    assert [hit["snippet"]["text"] for hit in first["data"] + second["data"]] == [f"word {i}" for i in range(8, 0, -1)]


async def test_entries_page_by_page(archive: Archive) -> None:
    await archive.tell(*[received(f"wamid.{i}", f"word {i}", seconds=i // 3, heard_after=1) for i in range(10)])
    ((conversation,),) = await archive.pages("/api/conversations", {})
    pages = await archive.pages(f"/api/conversations/{conversation['id']}/entries", {"limit": "4"})
    assert [entry["content"]["text"]["body"] for page in pages for entry in page] == [f"word {i}" for i in range(9, -1, -1)]


async def test_a_changed_cursor_is_refused(archive: Archive) -> None:
    await archive.tell(received("wamid.1", "word"), received("wamid.2", "word", seconds=1))
    _, page = await archive.get("/api/search", {"q": "word", "limit": "1"})
    cursor = page["next_cursor"]
    for changed in (cursor[:-1] + ("A" if cursor[-1] != "A" else "B"), cursor[1:], cursor + "=", "nonsense", "\u00e9", ""):
        status, problem = await archive.get("/api/search", {"q": "word", "limit": "1", "cursor": changed})
        assert (status, problem["code"]) == (400, "cursor.invalid"), changed
        assert problem["errors"][0]["pointer"] == "/cursor"


async def test_a_cursor_of_another_question_or_tenant_is_refused(archive: Archive) -> None:
    await archive.tell(received("wamid.1", "word"), received("wamid.2", "word", seconds=1))
    _, page = await archive.get("/api/search", {"q": "word", "limit": "1"})
    cursor = page["next_cursor"]
    assert (await archive.get("/api/search", {"q": "words", "limit": "1", "cursor": cursor}))[0] == 400
    assert (await archive.get("/api/search", {"q": "word", "limit": "1", "cursor": cursor}, OTHER_TENANT))[0] == 400
    assert (await archive.get("/api/conversations", {"cursor": cursor}))[0] == 400


BAD_REQUESTS: tuple[tuple[str, dict[str, str], int, str], ...] = (
    ("/api/search", {}, 422, "search.no_term"),
    ("/api/search", {"q": ""}, 422, "request.invalid"),
    ("/api/search", {"q": "x" * 401}, 422, "request.invalid"),
    ("/api/search", {"q": "?!"}, 422, "search.no_term"),
    ("/api/search", {"q": "a\x00"}, 422, "request.invalid"),
    ("/api/search", {"q": "a", "limit": "0"}, 422, "request.invalid"),
    ("/api/conversations", {"limit": "101"}, 422, "request.invalid"),
    ("/api/conversations", {"limit": "many"}, 422, "request.invalid"),
    ("/api/conversations", {"offset": "1"}, 422, "request.invalid"),
    ("/api/conversations/cnv_" + "0" * 26, {}, 404, "conversation.unknown"),
    ("/api/conversations/cnv_" + "0" * 26 + "/entries", {}, 404, "conversation.unknown"),
    ("/api/conversations/1", {}, 404, "route.unknown"),
)


FAULTS: tuple[tuple[str, dict[str, str], str], ...] = (
    ("/api/search", {"q": "-heavy"}, "Ask for a word that must occur, with a letter, a digit or an emoji, or give a filter."),
    ("/api/analytics", {"from": "2025-01-01", "to": "2020-01-01"}, "The query has a `from` that is after its `to`."),
    (
        "/api/conversations/cnv_" + "0" * 26 + "/entries",
        {"at": "2026-01-01T00:00:00Z", "around": "ent_" + "0" * 26},
        "The query names more than one place to begin at.",
    ),
    ("/api/analytics", {"time_zone": "localtime"}, "/time_zone is no time zone of the IANA database."),
)


async def test_what_is_wrong_is_said_in_one_sentence_about_what_was_sent(archive: Archive) -> None:
    for path, query, detail in FAULTS:
        answered, problem = await archive.get(path, query)
        assert (answered, problem["detail"]) == (422, detail), (path, query)


async def test_a_conversation_of_nobody_is_unknown_to_search_whatever_the_tenant_has(archive: Archive) -> None:
    asked: tuple[tuple[dict[str, str], str], ...] = (
        ({"conversation_id": "cnv_" + "0" * 26}, "conversation.unknown"),
        ({"participant_id": "prt_" + "0" * 26}, "participant.unknown"),
    )
    await archive.tell(received("wamid.1", "word"))
    for tenant in (TENANT, OTHER_TENANT):
        for query, code in asked:
            status, problem = await archive.get("/api/search", query, tenant)
            assert (status, problem["code"]) == (404, code), (tenant, query)


async def test_bad_requests_are_named(archive: Archive) -> None:
    for path, query, status, code in BAD_REQUESTS:
        answered, problem = await archive.get(path, query)
        assert (answered, problem["code"]) == (status, code), (path, query)


CALLERS: tuple[tuple[dict[str, str], int], ...] = (
    ({}, 401),
    ({"X-Chasqui-Tenant": TENANT}, 401),
    ({"Authorization": "Bearer", "X-Chasqui-Tenant": TENANT}, 401),
    ({"Authorization": f"Bearer {TOKEN[:-1]}", "X-Chasqui-Tenant": TENANT}, 401),
    ({"Authorization": "Bearer t\u00f6ken", "X-Chasqui-Tenant": TENANT}, 401),
    ({"Authorization": f"Bearer {TOKEN}"}, 400),
    ({"Authorization": f"Bearer {TOKEN}", "X-Chasqui-Tenant": new_id("msg")}, 400),
)


async def test_only_the_gateway_is_answered(archive: Archive) -> None:
    for headers, status in CALLERS:
        async with archive.session.get(archive.url + "/api/conversations", headers=headers) as response:
            assert response.status == status, headers


async def test_the_document_describes_every_route(archive: Archive) -> None:
    async with archive.session.get(archive.url + "/api/openapi.json") as response:
        document = await response.json()
    paths = {path for path in document["paths"] if path.startswith("/api/") and "docs" not in path}
    assert {
        "/api/conversations",
        "/api/conversations/{conversation_id}",
        "/api/conversations/{conversation_id}/entries",
        "/api/search",
    } <= paths


async def test_the_service_starts_and_stops_and_keeps_what_it_has(database: Database) -> None:
    async with running(database) as archive:
        await archive.tell(received("wamid.1", "kept"))
    async with running(database) as archive:
        await archive.tell(received("wamid.1", "kept"))
        ((conversation,),) = await archive.pages("/api/conversations", {})
    assert conversation["entry_count"] == 1


async def test_searches_are_read_at_the_replica_and_lists_at_the_primary(database: Database) -> None:
    """Another database of the same server is a replica that lies far behind."""
    async with cloned_database(database.admin_url, database.role_password) as behind, running(database, behind.url) as archive:
        await archive.tell(received("w1", "parcel"))
        status, page = await archive.get("/api/conversations")
        assert (status, len(page["data"])) == (200, 1)
        path = f"/api/conversations/{page['data'][0]['id']}"
        assert (await archive.get("/api/search", {"q": "parcel"}))[1]["data"] == []
        assert (await archive.get(f"{path}/media"))[0] == 200


async def test_without_its_replica_the_archive_starts_and_answers_everything(database: Database) -> None:
    async with running(database, f"postgresql://127.0.0.1:{free_port()}/nowhere") as archive:
        await archive.tell(received("w1", "parcel"))
        (hit,) = (await archive.get("/api/search", {"q": "parcel"}))[1]["data"]
        conversation_id = (await archive.get("/api/conversations"))[1]["data"][0]["id"]
        for path in ("/api/analytics", *(f"/api/conversations/{conversation_id}/{one}" for one in ("analytics", "media"))):
            assert (await archive.get(path))[0] == 200, path
        assert (await archive.get(f"/api/entries/{hit['entry_id']}"))[0] == 200
