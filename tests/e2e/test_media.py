"""Files on the whole platform: uploaded once and sent often, received, fetched and given out."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest

from tests.support.files import PDF, grown
from tests.support.platform import Api, Platform, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def upload(api: Api, data: bytes, mime_type: str) -> dict[str, Any]:
    async with api.session.post(f"{api.url}/api/media", data=BytesIO(data), headers={"Content-Type": mime_type}) as answer:
        view: dict[str, Any] = await answer.json()
        assert answer.status == 201, view
        return view


async def test_a_file_is_uploaded_once_and_sent_to_many(api: Api) -> None:
    data = grown(PDF, 300_000)
    view = await upload(api, data, "application/pdf")
    document = {"type": "document", "document": {"id": view["id"], "filename": "terms.pdf"}}
    messages = [{"to": f"+1555777{n:04}", **document} for n in range(5)]
    status, answer = await api.call("POST", "/api/messages/batch", messages)
    assert status == 202, answer
    for message_id in [item["id"] for item in answer["results"]]:
        message = await api.until_status(message_id, "read", "delivered", "failed")
        assert message["status"] != "failed", message
        assert message["content"]["document"]["id"] == view["id"]


async def test_a_file_that_cannot_be_sent_so_is_refused_when_it_is_accepted(api: Api) -> None:
    view = await upload(api, PDF, "application/pdf")
    for part in ({"id": view["id"]}, {"id": "med_" + "0" * 26}):
        status, problem = await api.call("POST", "/api/messages", {"to": "+15551234567", "type": "image", "image": part})
        assert status == 422, problem
        assert problem["errors"][0]["pointer"] == "/image/id"


async def test_what_somebody_sends_can_be_downloaded(api: Api, platform: Platform) -> None:
    url = f"http://127.0.0.1:{platform.ports['CHASQUI_SANDBOX__PORT']}/control/inbound"
    async with api.session.post(url, json={"from": "15557770001", "type": "image"}) as answer:
        assert answer.status == 200, await answer.text()

    async def fetched() -> dict[str, Any] | None:
        found: list[dict[str, Any]] = (await api.get("/api/media?kind=image"))["data"]
        return next((view for view in found if view.get("wamid")), None)

    view = await until(fetched, "the file to be fetched")
    async with api.session.get(view["url"], headers={"Authorization": ""}) as answer:
        assert answer.status == 200
        assert len(await answer.read()) == view["size_bytes"]
