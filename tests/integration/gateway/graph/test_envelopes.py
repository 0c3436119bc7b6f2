"""Whatever is wrong with a call at the front door, the answer is one envelope, and it names what the caller wrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
from yarl import URL

from tests.contract.sandbox.running import NUMBER
from tests.integration.gateway.graph.conftest import ACCOUNT, Front, error_of
from tests.integration.gateway.graph.test_passing import TOKEN, Provider, providing
from tests.integration.gateway.serving import Gateway, Tenant, serving
from tests.support.database import Database

PATH = f"/v23.0/{NUMBER}/messages"
TEXT = {"messaging_product": "whatsapp", "to": "15551234567", "type": "text", "text": {"body": "hello"}}
PUBLIC = "https://chat.example/in"


async def raw(gateway: Gateway, *parts: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer to bytes that no client would send."""
    url = URL(gateway.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0.05)
    async with asyncio.timeout(60):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
    writer.close()
    return head, body


@pytest.mark.parametrize("path", ["/vx/1/messages", f"/V23.0/{NUMBER}/messages", "/v", f"/v23.0.1/{NUMBER}", "/version"])
async def test_what_begins_like_a_version_is_answered_as_one(front: Front, path: str) -> None:
    for method in ("POST", "GET", "PROPFIND"):
        answer = await front.call(method, path)
        assert (answer.status, error_of(answer)["code"]) == (400, 2500)
    assert error_of(await front.gateway.call("POST", path))["code"] == 104


async def test_methods_that_nobody_knows_are_refused_in_an_envelope(front: Front) -> None:
    assert error_of(await front.call("PROPFIND", PATH))["code"] == 100
    for path in (PATH, f"/{NUMBER}/messages", "/vx", f"/V23.0/{NUMBER}"):
        head, body = await raw(front.gateway, f"FETCH {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
        assert orjson.loads(body)["error"]["code"] == 100
    head, body = await raw(front.gateway, b"FETCH /api/messages HTTP/1.1\r\nHost: x\r\n\r\n")
    assert orjson.loads(body)["code"] == "request.malformed"


async def test_headers_that_contradict_each_other_are_refused_in_an_envelope(front: Front) -> None:
    line = f"POST {PATH}?x=1 HTTP/1.1\r\n".encode()
    rest = b"Host: x\r\nContent-Type: application/json\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}"
    for parts in ([line + rest], [line[:20], line[20:], rest]):
        head, body = await raw(front.gateway, *parts)
        assert b"charset=UTF-8" in head
        assert orjson.loads(body)["error"]["code"] == 100
    ready = f"GET /v23.0/{NUMBER} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    _, body = await raw(front.gateway, ready)
    assert orjson.loads(body)["error"]["code"] == 104


async def test_a_packed_body_is_refused_in_whole_sentences(front: Front) -> None:
    async with front.gateway.session.post(
        front.gateway.url + PATH,
        data=b"{}",
        headers={"Authorization": f"Bearer {front.tenant.key}", "Content-Encoding": "gzip"},
        skip_auto_headers=("Content-Type",),
    ) as answer:
        details = (await answer.json())["error"]["error_data"]["details"]
    assert details == "Send the body without Content-Encoding."


async def test_what_cannot_be_stored_is_named_by_its_field(front: Front) -> None:
    answer = await front.call("POST", PATH, {**TEXT, "text": {"body": "a\x00"}})
    assert error_of(answer)["error_data"]["details"] == "text.body holds U+0000."
    form = b"messaging_product=whatsapp&to=%00"
    answer = await front.call("POST", PATH, form, **{"Content-Type": "application/x-www-form-urlencoded"})
    assert error_of(answer)["error_data"]["details"] == "to holds U+0000."


@pytest.mark.parametrize("slash", ["%2f", "%2F"])
async def test_an_encoded_slash_parts_nothing(front: Front, slash: str) -> None:
    head = f"POST /v23.0/{NUMBER}{slash}messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {front.tenant.key}\r\n"
    data = orjson.dumps(TEXT)
    _, body = await raw(
        front.gateway, head.encode() + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data) + data
    )
    assert orjson.loads(body)["error"]["code"] == 100
    assert await front.stored() == []


@pytest.fixture
async def public(database: Database) -> AsyncIterator[tuple[Gateway, Tenant, Provider]]:
    async with serving(database, public_url=PUBLIC) as gateway, providing() as provider:
        tenant = await gateway.new_tenant()
        await gateway.connect(tenant, NUMBER, waba_id=ACCOUNT, provider_url=provider.url, access_token=TOKEN)
        yield gateway, tenant, provider


async def test_addresses_are_below_the_public_url_whatever_host_is_asked(public: tuple[Gateway, Tenant, Provider]) -> None:
    gateway, tenant, provider = public
    provider.answers["/301"] = (200, {"id": "301", "url": "https://lookaside.fbsbx.com/x"})
    answer = await gateway.call("GET", "/v23.0/301", None, tenant, Host="evil.example")
    assert answer.body["url"].startswith(f"{PUBLIC}/api/media/")
    provider.answers[f"/{ACCOUNT}/flows"] = (
        200,
        {"data": [], "paging": {"next": f"{provider.url}/v23.0/{ACCOUNT}/flows?after=x"}},
    )
    answer = await gateway.call("GET", f"/v23.0/{ACCOUNT}/flows", None, tenant, Host="evil.example")
    assert answer.body["paging"]["next"] == f"{PUBLIC}/v23.0/{ACCOUNT}/flows?after=x"


@pytest.mark.parametrize("host", [b"a b", b"[::1", b"x:99999", b"", b'a"b', b"x/y", b"u:p@h", b"caf\xe9"])
async def test_a_host_that_is_none_is_no_fault_of_ours(front: Front, host: bytes) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    form = part % (b"messaging_product", b"", b"whatsapp") + part % (b"file", b'; filename="a.txt"', b"hello") + b"--b--\r\n"
    uploaded = await front.call("POST", f"/v23.0/{NUMBER}/media", form, **{"Content-Type": "multipart/form-data; boundary=b"})
    head = f"GET /v23.0/{uploaded.body['id']} HTTP/1.1\r\nAuthorization: Bearer {front.tenant.key}\r\nHost: ".encode()
    _, body = await raw(front.gateway, head + host + b"\r\n\r\n")
    assert orjson.loads(body)["error"]["code"] == 100
    _, body = await raw(front.gateway, head + b"files_1.example:8080\r\n\r\n")
    assert orjson.loads(body)["url"].startswith("http://files_1.example:8080/api/media/")
