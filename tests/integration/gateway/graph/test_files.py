"""Files at the front door, under digits, and at addresses that open without a token."""

from __future__ import annotations

import asyncio
import hashlib

import aiohttp
import orjson
import pytest
from yarl import URL

from shared.events.catalogue import MediaDeleted
from tests.contract.sandbox.running import NUMBER
from tests.integration.gateway.graph.conftest import Front, error_of

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde\x00\x00\x00\x0cIDATx\x9cc\xf8"
    b"\xcf\xc0\x00\x00\x03\x01\x01\x00\xc9\xfe\x92\xef\x00\x00\x00\x00IEND\xaeB`\x82"
)
PATH = f"/v23.0/{NUMBER}/media"


def form(*parts: tuple[str, str | bytes], name: str = "a.png", kind: str = "image/png") -> tuple[bytes, dict[str, str]]:
    body = b""
    for field, value in parts:
        disposition = f'--xyz\r\nContent-Disposition: form-data; name="{field}"'
        if isinstance(value, bytes):
            body += f'{disposition}; filename="{name}"\r\nContent-Type: {kind}\r\n\r\n'.encode() + value + b"\r\n"
        else:
            body += f"{disposition}\r\n\r\n{value}\r\n".encode()
    return body + b"--xyz--\r\n", {"Content-Type": "multipart/form-data; boundary=xyz"}


async def uploaded(front: Front) -> str:
    body, headers = form(("messaging_product", "whatsapp"), ("file", PNG), ("type", "image/png"))
    answer = await front.call("POST", PATH, body, **headers)
    assert answer.status == 200, answer.text
    assert list(answer.body) == ["id"]
    return str(answer.body["id"])


async def test_a_file_is_described_and_downloaded_without_a_token(front: Front) -> None:
    media_id = await uploaded(front)
    assert media_id.isdigit()
    assert int(media_id) < 2**53
    answer = await front.call("GET", f"/v14.0/{media_id}?phone_number_id={NUMBER}")
    assert answer.status == 200, answer.text
    described = dict(answer.body)
    url = described.pop("url")
    assert described == {
        "messaging_product": "whatsapp",
        "mime_type": "image/png",
        "sha256": hashlib.sha256(PNG).hexdigest(),
        "file_size": str(len(PNG)),
        "id": media_id,
    }
    assert url.startswith(front.gateway.url)
    async with aiohttp.ClientSession() as session, session.get(url) as download:
        assert (download.status, await download.read()) == (200, PNG)
    assert (await front.call("GET", f"/{media_id}?fields=mime_type")).body == {"mime_type": "image/png", "id": media_id}


async def test_it_is_sent_by_its_digits_and_kept_as_ours(front: Front) -> None:
    media_id = await uploaded(front)
    assert (await front.send(type="image", text=None, image={"id": media_id})).status == 200
    template = {
        "name": "sale",
        "language": {"code": "en_US"},
        "components": [{"type": "header", "parameters": [{"type": "image", "image": {"id": int(media_id)}}]}],
    }
    answer = await front.send(type="template", text=None, template=template)
    assert answer.status == 200, answer.text
    image, filled = [orjson.loads(row["content"]) for row in await front.stored()]
    own = image["image"]["id"]
    assert own.startswith("med_")
    assert filled["template"]["components"][0]["parameters"][0]["image"]["id"] == own
    assert (await front.send(type="image", text=None, image={"id": "123456789012345"})).status == 200


async def test_it_is_removed(front: Front) -> None:
    media_id = await uploaded(front)
    other = await front.gateway.new_tenant("Other")
    assert error_of(await front.gateway.call("DELETE", f"/v23.0/{media_id}", tenant=other))["error_subcode"] == 33
    assert (await front.call("DELETE", f"/v23.0/{media_id}")).body == {"success": True}
    assert sum(isinstance(event, MediaDeleted) for event in await front.gateway.told()) == 1
    assert (await front.gateway.pool.fetchval("SELECT count(*) FROM media")) == 0


async def test_forms_of_careless_clients(front: Front) -> None:
    body, headers = form(("file", PNG), name="/home/ana/a.png")
    answer = await front.call("POST", f"{PATH}?messaging_product=whatsapp", body, **headers)
    assert answer.status == 200, answer.text
    body, headers = form(("file", PNG), ("type", "image/png"), ("messaging_product", "whatsapp"))
    assert (await front.call("POST", f"{PATH}/", body, **headers)).status == 200
    names = await front.gateway.pool.fetch("SELECT file_name FROM media")
    assert {row["file_name"] for row in names} == {"a.png"}


async def test_one_upload_under_one_key(front: Front) -> None:
    body, headers = form(("messaging_product", "whatsapp"), ("file", PNG))
    first = await front.call("POST", PATH, body, **headers, **{"Idempotency-Key": "u1"})
    again = await front.call("POST", PATH, body, **headers, **{"Idempotency-Key": "u1"})
    assert first.body == again.body
    assert (await front.gateway.pool.fetchval("SELECT count(*) FROM media")) == 1


@pytest.mark.parametrize(
    ("parts", "kind", "code"),
    [
        ([("messaging_product", "whatsapp"), ("file", b"%PDF-1.7")], "image/png", 131053),
        ([("messaging_product", "whatsapp"), ("file", b"")], "image/png", 131053),
        ([("messaging_product", "whatsapp"), ("file", b"RIFF0000WEBPVP8 " + b"0" * 200_000)], "image/webp", 131053),
        ([("messaging_product", "whatsapp")], "image/png", 131008),
        ([("file", PNG)], "image/png", 100),
        ([("messaging_product", "x" * 10_000), ("file", PNG)], "image/png", 100),
    ],
)
async def test_what_cannot_be_taken_is_refused(
    front: Front, parts: list[tuple[str, str | bytes]], kind: str, code: int
) -> None:
    body, headers = form(*parts, kind=kind)
    answer = await front.call("POST", PATH, body, **headers)
    assert answer.status == 400
    assert error_of(answer)["code"] == code
    assert (await front.gateway.pool.fetchval("SELECT count(*) FROM media")) == 0


async def test_what_is_announced_too_large_is_not_waited_for(front: Front) -> None:
    url = URL(front.gateway.url)
    for edge in ("media", "messages"):
        reader, writer = await asyncio.open_connection(url.host, url.port)
        head = f"POST /v23.0/{NUMBER}/{edge} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {front.tenant.key}\r\n"
        head += "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 300000000\r\nExpect: 100-continue\r\n\r\n"
        try:
            writer.write(head.encode())
            async with asyncio.timeout(60):
                said = await reader.readuntil(b"}}")
        finally:
            writer.close()
            await writer.wait_closed()
        assert b" 413 " in said
        assert b'"fbtrace_id"' in said


@pytest.mark.parametrize(
    "body", [b"", b"--xyz", b"--xyz\r\n\r\n", b"--abc--", b"--xyz\r\nContent-Disposition: form-data\r\n\r\nx", b"\xff" * 99]
)
async def test_broken_forms_get_an_envelope(front: Front, body: bytes) -> None:
    answer = await front.call("POST", PATH, body, **{"Content-Type": "multipart/form-data; boundary=xyz"})
    assert answer.status == 400
    error_of(answer)
    answer = await front.call("POST", PATH, body, **{"Content-Type": "multipart/form-data"})
    assert answer.status == 400
    error_of(answer)
