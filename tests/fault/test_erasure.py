"""kill -9 in the middle of an erasure: it goes on where it was, and nothing is left."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.fault.account import send_batch
from tests.fault.conftest import Scene
from tests.support.leftovers import leftovers
from tests.support.platform import Api, until

pytestmark = pytest.mark.timeout(480)

PHONE: Final = "+15558642097"
WORD: Final = "Zephyrquill"
MESSAGES: Final = 40


async def view(api: Api, erasure_id: str) -> dict[str, Any]:
    return dict(await api.get(f"/api/erasures/{erasure_id}"))


@pytest.mark.parametrize("moment", ["right after the answer", "between two services", "before the last count"])
async def test_an_erasure_outlives_the_process(embedded: Scene, moment: str) -> None:
    async with embedded.platform.api() as api:
        await send_batch(api, embedded, 100)
        bodies = [{"to": PHONE, "from": embedded.number_id, "text": {"body": f"{WORD} {n}"}} for n in range(MESSAGES)]
        status, _ = await api.call("POST", "/api/messages/batch", bodies)
        assert status == 202
        status, _ = await api.call("POST", "/api/contacts", {"phone": PHONE, "name": WORD})
        assert status == 201

        async def archived() -> bool:
            return len((await api.get(f"/api/search?q={WORD}&limit=50"))["data"]) >= MESSAGES

        await until(archived, "the messages to be archived")
        status, erasure = await api.call("POST", "/api/erasures", {"phone": PHONE})
        assert status == 202, erasure

        async def reached() -> bool:
            now = await view(api, erasure["id"])
            assert now["state"] == "running", "it was over before the blow"
            erased = now["erased"]
            return moment == "right after the answer" or (
                bool(erased) if moment == "between two services" else "archive" in erased
            )

        await until(reached, moment)
    embedded.platform.kill()
    await embedded.platform.start()
    async with embedded.platform.api() as api:

        async def done() -> bool:
            return bool((await view(api, erasure["id"]))["state"] == "completed")

        await until(done, "the erasure to be completed", 120)
        assert (await view(api, erasure["id"]))["remaining"] == {}
        assert (await api.get(f"/api/search?q={WORD}"))["data"] == []
    assert await leftovers(embedded.platform.run["servers"]["postgres"], [WORD, PHONE[1:]]) == set()
