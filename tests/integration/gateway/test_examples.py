"""The examples of the API reference do what they show."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.integration.gateway.serving import Gateway

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


async def operation(gateway: Gateway, method: str, path: str) -> dict[str, Any]:
    api = (await gateway.call("GET", "/api/openapi.json")).body
    return dict(api["paths"][path][method])


@pytest.mark.parametrize(
    ("path", "media"),
    [
        ("/api/numbers", "application/json"),
        ("/api/messages", "application/json"),
        ("/api/messages/batch", "application/json"),
        ("/api/contacts", "application/json"),
        ("/api/contacts/bulk", "application/json"),
        ("/api/contacts/import", "text/csv"),
        ("/api/drafts", "application/json"),
    ],
)
async def test_the_first_example_of_a_body_is_taken(path: str, media: str, gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    if path.startswith("/api/messages"):
        await gateway.connect(tenant, "1001")
    content = (await operation(gateway, "post", path))["requestBody"]["content"][media]
    example = next(iter(content["examples"].values()))["value"]
    body = example.encode() if isinstance(example, str) else orjson.dumps(example)
    answer = await gateway.call("POST", path, body, tenant, **{"Content-Type": media})
    assert 200 <= answer.status < 300, answer.text
    assert answer.body.get("rejected", 0) == 0


async def test_a_file_is_uploaded_as_the_example_says(gateway: Gateway) -> None:
    options = " ".join((await operation(gateway, "post", "/api/media"))["x-curl-options"])
    assert "'Content-Type: image/png'" in options
    tenant = await gateway.new_tenant()
    assert (await gateway.call("POST", "/api/media", PNG, tenant, **{"Content-Type": "image/png"})).status == 201


async def test_the_handshake_is_that_of_the_number_in_the_example(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    content = (await operation(gateway, "post", "/api/numbers"))["requestBody"]["content"]["application/json"]
    assert (await gateway.call("POST", "/api/numbers", content["examples"]["cloud_api"]["value"], tenant)).status == 201
    shown = (await operation(gateway, "get", "/api/webhooks/whatsapp"))["parameters"]
    query = "&".join(f"{parameter['name']}={parameter['example']}" for parameter in shown)
    assert (await gateway.call("GET", f"/api/webhooks/whatsapp?{query}")).text == "1158201444"


async def test_a_socket_opens_with_the_headers_of_the_example(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    options = " ".join((await operation(gateway, "get", "/api/events/ws"))["x-curl-options"])
    headers = dict(given.split(": ") for given in options.split("'")[1::2])
    answer = await gateway.call("GET", "/api/events/ws", None, tenant, **headers)
    assert answer.status == 503, "there is no Redis here, which is asked once the handshake is right"
    assert (await gateway.call("GET", "/api/events/ws", None, tenant)).status == 426
