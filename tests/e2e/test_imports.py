"""An exported chat through the gateway: at once, in parts, with the tenant's own zone."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest

from tests.integration.archive.importing import android, chat
from tests.support.platform import PATIENCE_SECONDS, Api, Platform, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def over(api: Api, import_id: str) -> dict[str, Any]:
    async def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = await api.get(f"/api/imports/{import_id}")
        return found if found["state"] in {"completed", "failed"} else None

    found: dict[str, Any] = await until(ended, "the import to end")
    return found


async def test_a_file_at_once_and_the_same_in_parts(platform: Platform) -> None:
    async with platform.api() as api:
        before = (await api.get("/api/settings"))["time_zone"]  # of the tenant that all journeys share
        status, _ = await api.call("PATCH", "/api/settings", {"time_zone": "America/Lima"})
        assert status == 200
        data = android(chat(50))
        url = f"{api.url}/api/imports"
        async with api.session.post(url, params={"title": "Ana and Bo", "file_name": "chat.txt"}, data=data) as answer:
            made = await answer.json()
            assert answer.status == 201, made
            assert answer.headers["Location"] == f"/api/imports/{made['id']}"
        await api.call("PATCH", "/api/settings", {"time_zone": before})
        assert made["time_zone"] == "America/Lima"
        done = await over(api, made["id"])
        assert (done["state"], done["entry_count"]) == ("completed", 50)
        entries = await api.get(f"/api/conversations/{done['conversation_id']}/entries")
        assert {entry["sent_at"][:13] for entry in entries["data"]} == {"2024-05-21T14"}

        wanted = {"file_name": "chat.txt", "size_bytes": len(data), "title": "Ana and Bo"}
        status, made = await api.call("POST", "/api/imports", wanted)
        assert status == 201, made
        for start in range(0, len(data), 1000):
            part = data[start : start + 1000]
            async with api.session.patch(
                api.url + made["upload_url"], data=part, headers={"Upload-Offset": str(start)}
            ) as answer:
                assert answer.status == 200, await answer.text()
                assert answer.headers["Upload-Offset"] == str(start + len(part))
        async with asyncio.timeout(PATIENCE_SECONDS), api.session.get(f"{api.url}/api/imports/{made['id']}/events") as answer:
            assert answer.content_type == "text/event-stream"
            last = (await answer.text()).strip().split("\n\n")[-1]
        assert last.startswith("event: end\n")
        done = await over(api, made["id"])
        assert (done["entry_count"], done["known_count"]) == (0, 50)


async def test_what_the_archive_refuses_is_passed_on(api: Api) -> None:
    async with api.session.post(
        f"{api.url}/api/imports", params={"day_order": "sideways"}, data=io.BytesIO(b"x" * 3_000_000)
    ) as answer:
        assert answer.status == 422, await answer.text()
        assert (await answer.json())["errors"][0]["pointer"] == "/day_order"
    status, problem = await api.call("POST", "/api/imports", {"file_name": "a.txt", "size_bytes": 2**52})
    assert (status, problem["code"]) == (422, "import.too_large")
