"""Files by the public API: taken only for what they are, kept once, given out safely, gone when deleted."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from services.gateway.media import UPLOADS_OF_TENANT, Media
from shared.events.catalogue import MediaDeleted, MediaStored
from shared.ids import TenantId
from shared.objects.store import ObjectStore, open_objects
from tests.integration.gateway.serving import Answer, Gateway, Tenant
from tests.support.files import JPEG, MP4, PDF, PNG, STICKER, grown

MIB = 1024 * 1024


@pytest.fixture
async def tenant(gateway: Gateway) -> Tenant:
    return await gateway.new_tenant()


async def upload(
    gateway: Gateway, tenant: Tenant, data: bytes, mime_type: str = "image/png", name: str | None = None, **headers: str
) -> Answer:
    path = "/api/media" if name is None else f"/api/media?file_name={name}"
    sent = {"Authorization": f"Bearer {tenant.key}", "Content-Type": mime_type, **headers}
    async with gateway.session.post(gateway.url + path, data=BytesIO(data), headers=sent) as answer:
        text = await answer.text()
        return Answer(answer.status, orjson.loads(text), dict(answer.headers), text)


async def fetch(
    gateway: Gateway, path: str, tenant: Tenant | None = None, method: str = "GET", **headers: str
) -> tuple[int, bytes, Mapping[str, str]]:
    sent = dict(headers) if tenant is None else {"Authorization": f"Bearer {tenant.key}", **headers}
    url = path if path.startswith("http") else gateway.url + path
    async with gateway.session.request(method, url, headers=sent) as answer:
        return answer.status, await answer.read(), answer.headers


def objects_of(gateway: Gateway) -> ObjectStore:
    return open_objects(gateway.objects)


def kept(gateway: Gateway) -> list[Path]:
    return [path for path in Path(gateway.objects.url).glob("**/*") if path.is_file()]


async def test_an_uploaded_file_is_described_told_and_given_back(gateway: Gateway, tenant: Tenant) -> None:
    answer = await upload(gateway, tenant, PNG, name="a%20cat.png")
    assert answer.status == 201, answer.text
    view = answer.body
    assert {key: view[key] for key in ("kind", "mime_type", "size_bytes", "sha256", "file_name")} == {
        "kind": "image",
        "mime_type": "image/png",
        "size_bytes": len(PNG),
        "sha256": hashlib.sha256(PNG).hexdigest(),
        "file_name": "a cat.png",
    }
    assert 10**15 <= int(view["cloud_api_id"]) < 2**53
    assert (await gateway.call("GET", f"/api/media/{view['id']}", tenant=tenant)).body["id"] == view["id"]
    status, data, headers = await fetch(gateway, f"/api/media/{view['id']}/content", tenant)
    assert (status, data) == (200, PNG)
    assert headers["Content-Type"] == "image/png"
    [told] = [event for event in await gateway.told() if isinstance(event, MediaStored)]
    assert (told.media_id, told.tenant_id, told.sha256, told.wamid) == (view["id"], tenant.tenant_id, view["sha256"], None)
    assert b"".join([part async for part in await objects_of(gateway).get(told.object_key)]) == PNG


async def test_a_form_brings_a_file_with_its_name_and_type(gateway: Gateway, tenant: Tenant) -> None:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("something", "else")
    form.add_field("file", PDF, filename="Überweisung 1.pdf", content_type="application/pdf")
    async with gateway.session.post(
        f"{gateway.url}/api/media", data=form, headers={"Authorization": f"Bearer {tenant.key}"}
    ) as answer:
        assert answer.status == 201
        view = await answer.json()
    assert (view["kind"], view["file_name"]) == ("document", "Überweisung 1.pdf")
    _, _, headers = await fetch(gateway, f"/api/media/{view['id']}/content", tenant)
    assert headers["Content-Disposition"].startswith("attachment; ")
    assert "filename*=UTF-8''%C3%9Cberweisung%201.pdf" in headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("data", "mime_type", "status", "code"),
    [
        (b"", "image/png", 422, "media.empty"),
        (PDF, "image/png", 422, "media.type_mismatch"),
        (b"<svg onload=alert(1)>", "image/jpeg", 422, "media.type_mismatch"),
        (PNG, "application/pdf", 422, "media.type_mismatch"),
        (PNG, "image", 415, "media.type_malformed"),
        (grown(PNG, 5 * MIB + 1), "image/png", 413, "media.too_large"),
        (grown(STICKER, 101 * 1024), "image/webp", 413, "media.too_large"),
        (grown(MP4, 16 * MIB + 1), "video/mp4", 413, "media.too_large"),
    ],
)
async def test_a_file_that_is_not_what_it_may_be_is_refused_and_leaves_nothing(
    gateway: Gateway, tenant: Tenant, data: bytes, mime_type: str, status: int, code: str
) -> None:
    answer = await upload(gateway, tenant, data, mime_type)
    assert (answer.status, answer.body["code"]) == (status, code)
    assert kept(gateway) == []
    assert (await gateway.call("GET", "/api/media", tenant=tenant)).body["data"] == []


@pytest.mark.parametrize(
    "body", [b"", b"no form", b"--b\r\n", b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nhalf']
)
async def test_a_broken_form_is_the_senders_fault(gateway: Gateway, tenant: Tenant, body: bytes) -> None:
    answer = await upload(gateway, tenant, body, "multipart/form-data; boundary=b")
    assert answer.status in (400, 422), answer.text
    answer = await upload(gateway, tenant, body, "multipart/form-data")
    assert (answer.status, answer.body["code"]) == (400, "request.malformed"), answer.text
    assert "boundary" in answer.body["detail"]
    assert kept(gateway) == []


async def test_forms_in_forms_are_the_senders_fault(gateway: Gateway, tenant: Tenant) -> None:
    body = b"".join(b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (n, n + 1) for n in range(3_000))
    answer = await upload(gateway, tenant, body, "multipart/form-data; boundary=b0")
    assert answer.status == 422, answer.text


async def test_a_tenant_uploads_some_files_at_once_and_no_more(gateway: Gateway, tenant: Tenant) -> None:
    may_end = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield grown(PNG, 100_000)
        await may_end.wait()
        yield bytes(10)

    async def slowly() -> int:
        sent = {"Authorization": f"Bearer {tenant.key}", "Content-Type": "image/png"}
        async with gateway.session.post(f"{gateway.url}/api/media", data=slow(), headers=sent) as answer:
            return answer.status

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(slowly()) for _ in range(UPLOADS_OF_TENANT)]
        async with asyncio.timeout(60):
            while await gateway.pool.fetchval("SELECT count(*) FROM media_leftovers") < UPLOADS_OF_TENANT:
                await asyncio.sleep(0.02)
        refused = await upload(gateway, tenant, JPEG, "image/jpeg")
        assert (refused.status, refused.body["code"]) == (429, "media.too_many_uploads")
        assert int(refused.headers["Retry-After"]) > 0
        assert (await upload(gateway, await gateway.new_tenant("Other"), JPEG, "image/jpeg")).status == 201
        may_end.set()
    assert {task.result() for task in tasks} == {201}
    assert (await upload(gateway, tenant, JPEG, "image/jpeg")).status == 201


async def test_a_connection_that_breaks_off_leaves_nothing(gateway: Gateway, tenant: Tenant) -> None:
    has_begun = asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield grown(MP4, 7 * MIB)
        has_begun.set()
        raise OSError

    with pytest.raises((OSError, aiohttp.ClientError)):
        await gateway.session.post(
            f"{gateway.url}/api/media",
            data=parts(),
            headers={"Authorization": f"Bearer {tenant.key}", "Content-Type": "video/mp4"},
        )
    assert has_begun.is_set()
    async with asyncio.timeout(60):
        while kept(gateway):
            await asyncio.sleep(0.05)
    assert (await gateway.call("GET", "/api/media", tenant=tenant)).body["data"] == []


async def test_equal_bytes_of_a_tenant_are_kept_once_until_the_last_file_of_them_goes(gateway: Gateway, tenant: Tenant) -> None:
    first = (await upload(gateway, tenant, JPEG, "image/jpeg", "one.jpg")).body
    second = (await upload(gateway, tenant, JPEG, "image/jpeg", "two.jpg")).body
    other = await gateway.new_tenant("Other")
    third = (await upload(gateway, other, JPEG, "image/jpeg")).body
    assert len({first["id"], second["id"], third["id"]}) == 3
    keys = {event.object_key for event in await gateway.told() if isinstance(event, MediaStored)}
    assert len(keys) == 2
    await remove_leftovers(gateway, at_once=True)
    assert len(kept(gateway)) == 2
    assert (await gateway.call("DELETE", f"/api/media/{first['id']}", tenant=tenant)).status == 204
    assert (await gateway.call("DELETE", f"/api/media/{first['id']}", tenant=tenant)).status == 404
    assert (await fetch(gateway, f"/api/media/{first['id']}/content", tenant))[0] == 404
    await remove_leftovers(gateway)
    assert (await fetch(gateway, f"/api/media/{second['id']}/content", tenant))[1] == JPEG
    assert (await gateway.call("DELETE", f"/api/media/{second['id']}", tenant=tenant)).status == 204
    await remove_leftovers(gateway)
    assert [path.parent.name for path in kept(gateway)] == [other.tenant_id]


async def test_that_a_file_was_deleted_is_told_once(gateway: Gateway, tenant: Tenant) -> None:
    view = (await upload(gateway, tenant, PNG)).body
    other = await gateway.new_tenant("Other")
    assert (await gateway.call("DELETE", f"/api/media/{view['id']}", tenant=other)).status == 404
    for _ in range(2):
        await gateway.call("DELETE", f"/api/media/{view['id']}", tenant=tenant)
    told = [event for event in await gateway.told() if isinstance(event, MediaDeleted)]
    assert [(event.tenant_id, event.media_id) for event in told] == [(tenant.tenant_id, view["id"])]


async def remove_leftovers(gateway: Gateway, *, at_once: bool = False) -> None:
    if at_once:
        await gateway.pool.execute("UPDATE media_leftovers SET due_at = now()")
    await Media(gateway.pool, objects_of(gateway)).remove_leftovers()


async def test_deleting_and_uploading_the_same_bytes_at_once_loses_no_file(gateway: Gateway, tenant: Tenant) -> None:
    views = [(await upload(gateway, tenant, JPEG, "image/jpeg")).body for _ in range(4)]
    deletions = [gateway.call("DELETE", f"/api/media/{view['id']}", tenant=tenant) for view in views]
    uploads = [upload(gateway, tenant, JPEG, "image/jpeg") for _ in range(4)]
    answers = await asyncio.gather(*(one for pair in zip(deletions, uploads, strict=True) for one in pair))
    assert sorted(answer.status for answer in answers) == [201] * 4 + [204] * 4
    await remove_leftovers(gateway, at_once=True)
    for answer in answers:
        if answer.status == 201:
            assert (await fetch(gateway, f"/api/media/{answer.body['id']}/content", tenant))[:2] == (200, JPEG)
    assert len(kept(gateway)) == 1


async def test_a_crash_before_a_file_has_its_name_leaves_nothing_for_ever(gateway: Gateway, tenant: Tenant) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield PNG

    media = Media(gateway.pool, objects_of(gateway))
    await media.take(TenantId(tenant.tenant_id), parts(), claimed="image/png", file_name=None)
    await remove_leftovers(gateway)
    assert len(kept(gateway)) == 1  # its upload may still be going on
    await remove_leftovers(gateway, at_once=True)
    assert kept(gateway) == []


async def test_an_object_that_cannot_be_removed_is_in_no_others_way(gateway: Gateway, tenant: Tenant) -> None:
    view = (await upload(gateway, tenant, PNG)).body
    (Path(gateway.objects.url) / "media" / "stuck").mkdir()
    await gateway.pool.execute("INSERT INTO media_leftovers VALUES ('media/stuck', now() - interval '1 minute')")
    await gateway.call("DELETE", f"/api/media/{view['id']}", tenant=tenant)
    await remove_leftovers(gateway)
    assert kept(gateway) == []
    assert await gateway.pool.fetchval("SELECT object_key FROM media_leftovers") == "media/stuck"


async def test_an_idempotency_key_makes_one_file(gateway: Gateway, tenant: Tenant) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = await upload(gateway, tenant, PNG, **key)
    again = await upload(gateway, tenant, PNG, **key)
    other = await upload(gateway, tenant, JPEG, "image/jpeg", **key)
    assert (first.status, again.status, other.status) == (201, 201, 422)
    assert again.body["id"] == first.body["id"]
    assert len((await gateway.call("GET", "/api/media", tenant=tenant)).body["data"]) == 1


async def test_an_answer_that_is_given_again_has_an_address_that_opens(gateway: Gateway, tenant: Tenant) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = (await upload(gateway, tenant, PNG, **key)).body
    stale = {**first, "url": "https://old.example/", "url_expires_at": "2026-01-01T00:00:00Z"}
    await gateway.pool.execute("UPDATE idempotency_keys SET answer = $1", orjson.dumps(stale))
    again = await upload(gateway, tenant, PNG, **key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.body.keys() == first.keys()
    assert {name for name in first if again.body[name] != first[name]} <= {"url", "url_expires_at"}
    assert (await fetch(gateway, again.body["url"]))[:2] == (200, PNG)


@pytest.mark.parametrize(
    ("wanted", "status", "start", "end"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("bytes=10-", 206, 10, None),
        ("bytes=-7", 206, -7, None),
        ("bytes=0-", 206, 0, None),
        ("bytes=0-999999999", 206, 0, None),
        ("bytes=5-2", 200, 0, None),
        ("bytes=0-1,5-6", 200, 0, None),
        ("lines=1-2", 200, 0, None),
        ("bytes=-", 200, 0, None),
        ("bytes=99999999-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
    ],
)
async def test_a_part_of_a_file_can_be_asked_for(
    gateway: Gateway, tenant: Tenant, wanted: str, status: int, start: int, end: int | None
) -> None:
    view = (await upload(gateway, tenant, JPEG, "image/jpeg")).body
    answered, data, headers = await fetch(gateway, f"/api/media/{view['id']}/content", tenant, Range=wanted)
    assert answered == status
    if status == 416:
        assert headers["Content-Range"] == f"bytes */{len(JPEG)}"
    else:
        assert data == JPEG[start:end]
        assert headers["Content-Length"] == str(len(data))
        assert ("Content-Range" in headers) == (status == 206)


async def test_who_has_a_file_is_told_so_and_a_head_has_no_body(gateway: Gateway, tenant: Tenant) -> None:
    view = (await upload(gateway, tenant, JPEG, "image/jpeg")).body
    path = f"/api/media/{view['id']}/content"
    status, data, headers = await fetch(gateway, path, tenant, "HEAD", Range="bytes=0-1")  # a range is GET's only
    assert (status, data, headers["Content-Length"]) == (200, b"", str(len(JPEG)))
    assert (await fetch(gateway, path, tenant, **{"If-None-Match": "*"}))[0] == 304
    status, data, _ = await fetch(gateway, path, tenant, **{"If-None-Match": headers["ETag"]})
    assert (status, data) == (304, b"")
    status, data, _ = await fetch(gateway, path, tenant, **{"Range": "bytes=0-1", "If-Range": '"another"'})
    assert (status, data) == (200, JPEG)


async def test_what_a_stranger_made_runs_in_no_browser(gateway: Gateway, tenant: Tenant) -> None:
    page = b"<html><script>alert(1)</script></html>"
    view = (await upload(gateway, tenant, page, "text/html")).body
    _, _, headers = await fetch(gateway, f"/api/media/{view['id']}/content", tenant)
    assert headers["Content-Disposition"].startswith("attachment")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


async def test_a_list_of_addresses_to_play_is_not_played(gateway: Gateway, tenant: Tenant) -> None:
    view = (await upload(gateway, tenant, b"#EXTM3U\nhttps://elsewhere.example/x", "audio/x-mpegurl")).body
    _, _, headers = await fetch(gateway, f"/api/media/{view['id']}/content", tenant)
    assert headers["Content-Disposition"].startswith("attachment")


async def test_a_signed_address_opens_without_a_key_for_five_minutes_and_for_its_file_only(
    gateway: Gateway, tenant: Tenant
) -> None:
    view = (await upload(gateway, tenant, PNG)).body
    other = (await upload(gateway, tenant, JPEG, "image/jpeg")).body
    status, data, headers = await fetch(gateway, view["url"])
    assert (status, data) == (200, PNG)
    assert headers["Cache-Control"] == "private, max-age=300"
    for wrong in (
        view["url"].replace(view["id"], other["id"]),
        view["url"].replace("expires=", "expires=1"),
        view["url"][:-1] + ("0" if view["url"][-1] != "0" else "1"),
        view["url"].partition("&")[0] + "&signature=%ff",
    ):
        assert (await fetch(gateway, wrong))[0] == 404, wrong
    assert (await fetch(gateway, view["url"].partition("?")[0]))[0] == 422
    await gateway.call("DELETE", f"/api/media/{view['id']}", tenant=tenant)
    assert (await fetch(gateway, view["url"]))[0] == 404


async def test_nobody_sees_anothers_files(gateway: Gateway, tenant: Tenant) -> None:
    view = (await upload(gateway, tenant, PNG)).body
    other = await gateway.new_tenant("Other")
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        assert (await gateway.call(method, f"/api/media/{view['id']}{path}", tenant=other)).status == 404
    assert (await gateway.call("GET", "/api/media", tenant=other)).body["data"] == []
    media = Media(gateway.pool, objects_of(gateway))
    assert await media.known(TenantId(other.tenant_id), [view["id"]]) == {}
    assert await media.of_wire(TenantId(other.tenant_id), view["cloud_api_id"]) is None
    record = await media.of_wire(TenantId(tenant.tenant_id), view["cloud_api_id"])
    assert record is not None
    assert record.id == view["id"]


async def test_files_are_listed_newest_first_in_pages(gateway: Gateway, tenant: Tenant) -> None:
    ids = [(await upload(gateway, tenant, grown(PNG, 200 + n))).body["id"] for n in range(3)]
    ids.append((await upload(gateway, tenant, PDF, "application/pdf")).body["id"])
    first = (await gateway.call("GET", "/api/media?limit=3", tenant=tenant)).body
    rest = (await gateway.call("GET", f"/api/media?limit=3&cursor={first['next_cursor']}", tenant=tenant)).body
    assert [view["id"] for view in first["data"] + rest["data"]] == ids[::-1]
    assert "next_cursor" not in rest
    found = (await gateway.call("GET", "/api/media?kind=document", tenant=tenant)).body["data"]
    assert [view["id"] for view in found] == ids[3:]
    assert (await gateway.call("GET", "/api/media?cursor=x", tenant=tenant)).status == 400


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\\b\\c.png", "%00", "x" * 240, "\u202egnp.exe", '"; x="'])
async def test_a_files_name_can_do_no_harm(gateway: Gateway, tenant: Tenant, name: str) -> None:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("file", PNG, filename=name.replace('"', "%22"), content_type="image/png")
    async with gateway.session.post(
        f"{gateway.url}/api/media", data=form, headers={"Authorization": f"Bearer {tenant.key}"}
    ) as answer:
        assert answer.status == 201
        view: Any = await answer.json()
    assert "/" not in view.get("file_name", "")
    assert "\\" not in view.get("file_name", "")
    status, _, headers = await fetch(gateway, f"/api/media/{view['id']}/content", tenant)
    assert status == 200
    assert headers["Content-Disposition"].count('"') in (0, 2)


async def test_a_large_document_is_streamed_whole(gateway: Gateway, tenant: Tenant) -> None:
    data = PDF + os.urandom(12 * MIB)

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 100_000):
            yield data[start : start + 100_000]

    async with gateway.session.post(
        f"{gateway.url}/api/media",
        data=parts(),
        headers={"Authorization": f"Bearer {tenant.key}", "Content-Type": "application/pdf"},
    ) as answer:
        assert answer.status == 201
        view = await answer.json()
    status, back, _ = await fetch(gateway, f"/api/media/{view['id']}/content", tenant)
    assert status == 200
    assert back == data


async def test_a_store_that_is_away_is_503(gateway: Gateway, tenant: Tenant) -> None:
    view = (await upload(gateway, tenant, PNG)).body
    path = kept(gateway)[0]
    path.unlink()
    path.mkdir()  # no file can be read there
    assert (await fetch(gateway, f"/api/media/{view['id']}/content", tenant))[0] in (404, 503)
