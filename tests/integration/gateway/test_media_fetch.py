"""Files that people send: fetched from the provider within limits, kept, told of; or given up in the end."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.gateway import media_fetch
from services.gateway.domain.media import Wanted
from services.gateway.media import Media
from services.gateway.store import media as store
from shared.events.catalogue import MediaLost, MediaStored
from shared.events.event import Event
from shared.ids import NumberId, TenantId
from shared.objects.store import open_objects
from tests.integration.gateway.serving import Gateway, Tenant
from tests.support.files import JPEG, OPUS, PNG
from tests.support.platform import until
from tests.support.told import silent_outbox

WAMID = "wamid.HBgLMTY1MDU1NTEyMzQVAgASGBQ="


@dataclass
class Graph:
    """A provider with one file; answers as told."""

    data: bytes = JPEG
    mime_type: str = "image/jpeg"
    sha256: str | None = None
    url: str = ""
    error: dict[str, Any] | None = None
    stale: int = 0
    """So many downloads answer 404."""
    told_size: Any = None
    asked: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    encodings: set[str | None] = field(default_factory=set)
    """What downloads say that they take."""

    async def info(self, request: web.Request) -> web.Response:
        self.asked.append("info")
        self.tokens.add(request.headers.get("Authorization"))
        assert request.query["phone_number_id"] == "111"
        if self.error is not None:
            return web.json_response({"error": self.error}, status=400)
        return web.json_response(
            {
                "messaging_product": "whatsapp",
                "url": self.url or str(request.url.origin() / "files" / request.match_info["id"]),
                "mime_type": self.mime_type,
                "sha256": self.sha256 or hashlib.sha256(self.data).hexdigest(),
                "file_size": self.told_size or len(self.data),
                "id": request.match_info["id"],
            }
        )

    async def file(self, request: web.Request) -> web.Response:
        self.asked.append("file")
        self.encodings.add(request.headers.get("Accept-Encoding"))
        self.tokens.add(request.headers.get("Authorization"))
        if self.stale:
            self.stale -= 1
            return web.Response(status=404)
        return web.Response(body=self.data, content_type=self.mime_type)


@dataclass
class There:
    gateway: Gateway
    tenant: Tenant
    number_id: NumberId
    graph: Graph

    async def want(self, provider_id: str = "900", **changes: Any) -> None:
        wanted = Wanted(TenantId(self.tenant.tenant_id), provider_id, self.number_id, WAMID, "111", "image/jpeg", "a/cat.jpg")
        async with silent_outbox(self.gateway.pool, "gateway").transaction() as unit:
            await media_fetch.want(unit, [wanted._replace(**changes), wanted._replace(**changes)])

    async def told(self, kind: type[Event], count: int = 1) -> Sequence[Any]:
        found: list[Event] = []

        async def is_told() -> bool:
            found.extend(event for event in await self.gateway.told() if isinstance(event, kind))
            return len(found) >= count

        await until(is_told, f"{kind.event_name} to be told")
        return found

    async def until_put_off(self, tries: int) -> None:
        async def is_put_off() -> bool:
            row = await self.gateway.pool.fetchrow("SELECT tries, is_held FROM media_fetches")
            return row is not None and row["tries"] >= tries and not row["is_held"]

        await until(is_put_off, "the fetch to be put off")

    async def hasten(self) -> None:
        await self.gateway.pool.execute("UPDATE media_fetches SET due_at = now() WHERE NOT is_held")


@pytest.fixture
async def there(gateway: Gateway) -> AsyncIterator[There]:
    graph = Graph()
    app = web.Application()
    app.router.add_get("/{version}/{id}", graph.info)
    app.router.add_get("/files/{id}", graph.file)
    async with TestServer(app) as server:
        tenant = await gateway.new_tenant()
        number_id = await gateway.connect(tenant, "111", provider_url=str(server.make_url("")).rstrip("/"))
        yield There(gateway, tenant, NumberId(number_id), graph)


async def test_a_file_somebody_sent_is_fetched_once_with_the_token_and_told(there: There) -> None:
    await there.want()
    [event] = await there.told(MediaStored)
    assert (event.tenant_id, event.number_id, event.wamid) == (there.tenant.tenant_id, there.number_id, WAMID)
    assert (event.mime_type, event.size_bytes, event.file_name) == ("image/jpeg", len(JPEG), "cat.jpg")
    assert there.graph.asked == ["info", "file"]
    assert there.graph.tokens == {"Bearer token-111"}
    assert there.graph.encodings == {"identity"}
    found = (await there.gateway.call("GET", f"/api/media?number_id={there.number_id}", tenant=there.tenant)).body["data"]
    assert [(view["id"], view["wamid"]) for view in found] == [(event.media_id, WAMID)]
    await there.want()
    assert await there.gateway.pool.fetchval("SELECT count(*) FROM media_fetches") == 0, "what is there is not wanted"
    media = Media(there.gateway.pool, open_objects(there.gateway.objects))
    record = await media.of_wire(TenantId(there.tenant.tenant_id), "900")
    assert record is not None, "it is known by the provider's id too"
    assert record.id == event.media_id


async def test_an_address_that_is_too_old_is_asked_for_anew(there: There) -> None:
    there.graph.stale = 1
    await there.want()
    await there.told(MediaStored)
    assert there.graph.asked == ["info", "file", "info", "file"]


async def test_what_people_send_is_kept_for_what_it_is_whatever_they_say(there: There) -> None:
    there.graph.data = OPUS
    await there.want(mime_type="image/jpeg\0")
    [event] = await there.told(MediaStored)
    assert event.mime_type == "audio/ogg"


async def test_an_unknown_id_is_asked_for_some_times_and_given_up(there: There) -> None:
    there.graph.error = {"code": 100, "error_subcode": 33, "message": "Unsupported get request"}
    await there.want()
    for tries in range(1, media_fetch.GONE_TRIES):
        await there.until_put_off(tries)
        await there.hasten()
    [event] = await there.told(MediaLost)
    assert (event.number_id, event.wamid, event.code) == (there.number_id, WAMID, "provider.100")
    assert await there.gateway.pool.fetchval("SELECT count(*) FROM media_fetches") == 0


@pytest.mark.parametrize(
    "trouble",
    [
        {"error": {"code": 190, "message": "expired"}},
        {"sha256": "0" * 64},
        {"stale": 9},
        {"url": "http://169.254.169.254/latest/meta-data"},
        {"url": "https://evil.example/x"},
        {"url": "file:///etc/passwd"},
        {"url": "no url"},
    ],
)
async def test_trouble_is_waited_for_and_then_it_is_fetched(there: There, trouble: dict[str, Any]) -> None:
    good = {name: getattr(there.graph, name) for name in trouble}
    for name, value in trouble.items():
        setattr(there.graph, name, value)
    await there.want()
    await there.until_put_off(1)
    for name, value in good.items():
        setattr(there.graph, name, value)
    await there.hasten()
    await there.told(MediaStored)


async def test_too_large_a_file_is_given_up_at_once(there: There) -> None:
    there.graph.told_size = "104857601"
    await there.want()
    [event] = await there.told(MediaLost)
    assert event.code == "media.too_large"
    assert there.graph.asked == ["info"]


async def test_after_days_of_trouble_it_is_given_up(there: There) -> None:
    there.graph.error = {"code": 2, "message": "away"}
    await there.want()
    await there.until_put_off(1)
    await there.gateway.pool.execute("UPDATE media_fetches SET tries = $1, due_at = now()", len(media_fetch.WAITS))
    [event] = await there.told(MediaLost)
    assert event.code == "provider.2"


async def test_what_a_dead_process_had_in_hand_is_fetched_by_another_and_kept_once(there: There) -> None:
    await there.gateway.pool.execute(
        "INSERT INTO media_fetches (tenant_id, provider_id, number_id, wamid, phone_number_id, tries, is_held, due_at)"
        " VALUES ($1, '900', $2, $3, '111', 1, true, now() - interval '1 second')",
        there.tenant.tenant_id,
        there.number_id,
        WAMID,
    )
    await there.told(MediaStored)


async def test_who_asks_for_a_file_that_is_still_at_the_provider_gets_it(there: There) -> None:
    there.graph.data, there.graph.mime_type = PNG, "image/png"
    await there.want("901", mime_type=None)
    sent = {"Authorization": f"Bearer {there.tenant.key}"}
    async with there.gateway.session.get(f"{there.gateway.url}/v23.0/901", headers=sent) as answer:
        document = orjson.loads(await answer.read())
        assert answer.status == 200, document
    async with there.gateway.session.get(document["url"]) as answer:
        assert await answer.read() == PNG


async def test_many_are_fetched_at_once(there: There) -> None:
    async with asyncio.TaskGroup() as group:
        for n in range(12):
            group.create_task(there.want(str(800 + n), wamid=f"wamid.{n}"))
    assert len({event.media_id for event in await there.told(MediaStored, 12)}) == 12


async def test_nobody_waits_for_a_number_whose_provider_does_not_answer(there: There) -> None:
    never = asyncio.Event()

    async def silent(_: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/{version}/{id}", silent)
    async with TestServer(app) as server:
        number_id = NumberId(
            await there.gateway.connect(there.tenant, "222", provider_url=str(server.make_url("")).rstrip("/"))
        )
        for n in range(3 * media_fetch.WORKERS):
            await there.want(str(700 + n), wamid=f"wamid.{n}", number_id=number_id, phone_number_id="222")

        async def is_waited_for() -> bool:
            return bool(await there.gateway.pool.fetchval("SELECT count(*) FROM media_fetches WHERE is_held"))

        await until(is_waited_for, "the silent one to be asked")
        await there.want()
        [event] = await there.told(MediaStored)
        assert event.number_id == there.number_id
        never.set()


async def test_who_is_asked_for_is_before_its_numbers_others(there: There) -> None:
    for n in range(3):
        await there.gateway.pool.execute(
            "INSERT INTO media_fetches (tenant_id, provider_id, number_id, wamid, phone_number_id, due_at)"
            " VALUES ($1, $2, 'num_x', $2, '111', now() - interval '1 minute')",
            "tnt_x",
            str(n),
        )
    assert await store.hurry(there.gateway.pool, TenantId("tnt_x"), "2", most_tries=3)
    first = await there.gateway.pool.fetchval("SELECT provider_id FROM media_fetches ORDER BY due_at LIMIT 1")
    assert first == "2"


async def test_a_fault_of_ours_is_one_files_and_not_the_process(there: There, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_: object) -> None:
        raise IndexError

    with monkeypatch.context() as patch:
        patch.setattr("services.gateway.media.nature_of_received", faulty)
        await there.want()
        await there.until_put_off(1)
    await there.hasten()
    await there.told(MediaStored)


async def test_a_file_that_no_process_survives_is_given_up(there: There) -> None:
    await there.gateway.pool.execute(
        "INSERT INTO media_fetches (tenant_id, provider_id, number_id, wamid, phone_number_id, tries, is_held, due_at)"
        " VALUES ($1, '900', $2, $3, '111', $4, true, now() - interval '1 second')",
        there.tenant.tenant_id,
        there.number_id,
        WAMID,
        len(media_fetch.WAITS) + 1,
    )
    [event] = await there.told(MediaLost)
    assert event.code == "media.never_fetched"
    assert there.graph.asked == []
