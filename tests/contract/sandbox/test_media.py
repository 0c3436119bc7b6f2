"""Files: uploaded, described, fetched for a while, deleted; and what is no file that may be sent."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import aiohttp
import pytest

from services.sandbox.domain.files import FILES
from tests.contract.sandbox.running import NUMBER, TOKEN, Client, receiving, running

PNG = FILES["image/png"]
UPLOAD = f"/v23.0/{NUMBER}/media"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


async def upload(
    client: Client, content: bytes = PNG, mime_type: str = "image/png", *, path: str = UPLOAD, **fields: str
) -> tuple[int, Any]:
    form = aiohttp.FormData()
    form.add_field("file", io.BytesIO(content), filename="/home/someone/picture.png", content_type=mime_type)
    for name, value in {"messaging_product": "whatsapp", **fields}.items():
        if value:
            form.add_field(name, value)
    async with client.session.post(client.base + path, data=form, headers=HEADERS) as response:
        return response.status, await response.json()


async def ask(client: Client, method: str, path: str, **headers: str) -> tuple[int, Any]:
    async with client.session.request(method, client.base + path, headers=headers or HEADERS) as response:
        return response.status, await response.json()


async def test_a_file_is_uploaded_described_fetched_and_deleted() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        status, answer = await upload(client, type="image/png")
        assert status == 200
        assert answer.keys() == {"id"}
        media_id = answer["id"]
        assert media_id.isdigit()
        _, info = await ask(client, "GET", f"/v23.0/{media_id}?phone_number_id={NUMBER}")
        assert info.keys() == {"messaging_product", "url", "mime_type", "sha256", "file_size", "id"}
        assert (info["mime_type"], info["file_size"]) == ("image/png", len(PNG))
        assert info["sha256"] == hashlib.sha256(PNG).hexdigest()
        async with client.session.get(info["url"], headers=HEADERS) as response:
            assert response.status == 200
            assert await response.read() == PNG
            assert response.content_type == "image/png"
            assert response.headers["Content-Disposition"] == "inline;filename=picture.png"
        async with client.session.get(info["url"]) as response:
            assert response.status == 401
        assert await ask(client, "DELETE", f"/v23.0/{media_id}") == (200, {"success": True})
        async with client.session.get(info["url"], headers=HEADERS) as response:
            assert response.status == 404
        status, gone = await ask(client, "GET", f"/v23.0/{media_id}")
        assert (status, gone["error"]["error_subcode"]) == (400, 33)


async def test_an_address_ends_and_another_one_is_given() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        _, answer = await upload(client)
        await client.control("PATCH", "behaviour", {"media_url_seconds": 0})
        _, info = await ask(client, "GET", f"/{answer['id']}")
        async with client.session.get(info["url"], headers=HEADERS) as response:
            assert response.status == 404
        await client.control("PATCH", "behaviour", {"media_url_seconds": 300})
        _, info = await ask(client, "GET", f"/{answer['id']}")
        for wrong in (info["url"] + "0", info["url"].replace("ext=", "ext=9"), info["url"].replace("mid=", "mid=1")):
            async with client.session.get(wrong, headers=HEADERS) as response:
                assert response.status == 404
        async with client.session.get(info["url"], headers=HEADERS) as response:
            assert response.status == 200
        await client.control("POST", "media/expire")
        async with client.session.get(info["url"], headers=HEADERS) as response:
            assert response.status == 404


async def test_the_product_may_stand_in_the_query() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        status, _ = await upload(client, path=f"{UPLOAD}?messaging_product=whatsapp", messaging_product="")
        assert status == 200


@pytest.mark.parametrize(
    ("content", "mime_type", "fields", "code", "named"),
    [
        (PNG, "image/png", {"messaging_product": ""}, 100, "messaging_product"),
        (PNG, "image/gif", {}, 100, "image/gif"),
        (PNG, "", {}, 100, "octet-stream"),
        (PNG, "image/jpeg", {}, 131053, "image/jpeg"),
        (PNG, "image/png", {"type": "video/mp4"}, 131053, "video/mp4"),
        (b"", "text/plain", {}, 131053, "empty"),
        (PNG + bytes(5 * 1024 * 1024), "image/png", {}, 131053, "too large"),
        (FILES["image/webp"] + bytes(100 * 1024), "image/webp", {}, 131053, "too large"),
        (PNG, "image/png", {"ttl_minutes": "x"}, 100, "ttl_minutes"),
    ],
)
async def test_a_file_that_does_not_fit_is_refused(
    content: bytes, mime_type: str, fields: dict[str, str], code: int, named: str
) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        status, answer = await upload(client, content, mime_type, **fields)
        assert (status, answer["error"]["code"]) == (400, code)
        assert named in answer["error"]["error_data"]["details"]
        assert (await client.control("GET", "media"))[1]["data"] == []


async def test_a_document_may_be_large_and_of_any_type_where_that_is_wanted() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        assert (await upload(client, bytes(20 * 1024 * 1024), "text/plain"))[0] == 200
        assert (await upload(client, b"a,b", "text/csv"))[0] == 400
        await client.control("PATCH", "behaviour", {"any_document": True})
        assert (await upload(client, b"a,b", "text/csv"))[0] == 200


async def test_a_body_beyond_the_largest_file_is_refused_without_keeping_it() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        status, answer = await upload(client, bytes(103 * 1024 * 1024), "text/plain")
        assert (status, answer["error"]["code"]) == (413, 100)


async def test_the_oldest_files_make_room() -> None:
    async with receiving() as receiver, running(receiver.url, media_bytes=3 * len(PNG)) as client:
        ids = [(await upload(client))[1]["id"] for _ in range(4)]
        _, kept = await client.control("GET", "media")
        assert [file["id"] for file in kept["data"]] == ids[1:]


async def test_the_body_must_be_multipart() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        for content_type in ("application/json", "multipart/form-data", "multipart/form-data; boundary=x"):
            headers = {**HEADERS, "Content-Type": content_type}
            async with client.session.post(client.base + UPLOAD, data=b"--x\r\n\r\nabc", headers=headers) as response:
                assert (response.status, (await response.json())["error"]["code"]) == (400, 100)


async def test_another_account_sees_nothing_of_it() -> None:
    other = {
        "access_token": "other-token",
        "app_secret": "s",
        "verify_token": "v",
        "webhook_url": "http://127.0.0.1:1/",
        "waba_id": "2",
        "display_phone_number": "15550000002",
    }
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("PUT", "numbers/2222", other)
        media_id = (await upload(client))[1]["id"]
        for method in ("GET", "DELETE"):
            status, answer = await ask(client, method, f"/{media_id}", Authorization="Bearer other-token")
            assert (status, answer["error"]["code"]) == (403, 10)
        status, answer = await ask(client, "GET", f"/{media_id}?phone_number_id=2222")
        assert answer["error"]["error_subcode"] == 33


async def test_ids_end_earlier_where_time_is_sped_up() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("PATCH", "behaviour", {"time_scale": 10_000_000})
        media_id = (await upload(client, ttl_minutes="1"))[1]["id"]
        assert (await ask(client, "GET", f"/{media_id}"))[1]["error"]["error_subcode"] == 33
