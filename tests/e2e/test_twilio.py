"""A number that sends through Twilio: the same platform, another provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import pytest
import pytest_asyncio

from tests.support.assembly import Assembly, assembled, new_tenant
from tests.support.database import cloned_database
from tests.support.platform import Api, until
from tests.support.servers import Asking, need

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN: Final = "auth-token-of-the-account"
NEW_TOKEN: Final = "auth-token-after-the-change"
RESETS: Final = "+19991230006"
REFUSED: Final = "+19991230004"
OUTSIDE_WINDOW: Final = "+19991230020"


@dataclass(slots=True)
class Scene:
    """A tenant with one number, which is at Twilio."""

    assembly: Assembly
    api: Api
    account: str
    sender: str
    number_id: str = ""

    async def at_sandbox(self, method: str, path: str, body: Any = None) -> Any:
        url = f"{self.assembly.sandbox_url}/control/{path}"
        async with aiohttp.ClientSession() as session, session.request(method, url, json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def have_token(self, token: str) -> None:
        """Twilio takes this token for the account and no other."""
        await self.at_sandbox("PUT", f"twilio/senders/{self.sender}", {"account_id": self.account, "auth_token": token})

    async def received(self, message_id: str) -> int:
        """How often the sandbox took the message, whatever the attempt."""
        records = (await self.at_sandbox("GET", "ledger"))["data"]
        return sum(record["count"] for record in records if record["id"].startswith(f"{message_id}."))


@asynccontextmanager
async def at_twilio(assembly: Assembly, account: str, sender: str) -> AsyncIterator[Scene]:
    """A new tenant, and a number of its that Twilio knows."""
    async with assembly.api(await new_tenant(assembly.database.admin_url, "Sends through Twilio")) as api:
        scene = Scene(assembly, api, account, sender)
        await scene.have_token(TOKEN)
        status, number = await api.call(
            "POST",
            "/api/numbers",
            {
                "provider": "twilio",
                "account_id": account,
                "display_number": f"+{sender}",
                "access_token": TOKEN,
                "provider_url": assembly.sandbox_url,
            },
        )
        assert status == 201, number
        scene.number_id = number["id"]
        yield scene


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(
    postgres: str, role_password: str, servers: Asking, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(cloned_database(postgres, role_password))
        journal = tmp_path_factory.mktemp("twilio") / "journal"
        assembly = await stack.enter_async_context(assembled(database, need(servers, "valkey"), journal))
        yield await stack.enter_async_context(at_twilio(assembly, "AC" + "0a" * 16, "15550783881"))


async def test_a_message_is_read_and_its_answer_arrives(scene: Scene) -> None:
    message_id = await scene.api.send(to="+15551234567", text={"body": "Do you like quinoa?"})
    message = await scene.api.until_status(message_id, "read")
    assert message["provider_id"].startswith("SM")
    assert {"accepted", "sent", "delivered", "read"} <= {entry["status"] for entry in message["timeline"]}
    assert await scene.received(message_id) == 1

    async def answered() -> list[dict[str, Any]]:
        hits: list[dict[str, Any]] = (await scene.api.get("/api/search?q=quinoa"))["data"]
        return hits if len(hits) == 2 else []

    hits = await until(answered, "question and answer to be found")
    assert {hit["direction"] for hit in hits} == {"incoming", "outgoing"}
    assert len({hit["conversation_id"] for hit in hits}) == 1


async def test_what_has_no_answer_is_settled_by_a_callback_and_not_sent_again(scene: Scene) -> None:
    message_id = await scene.api.send(to=RESETS)
    message = await scene.api.until_status(message_id, "read")
    assert "unknown" in {entry["status"] for entry in message["timeline"]}
    assert await scene.received(message_id) == 1


async def test_a_refusal_and_a_failure_have_twilios_codes(scene: Scene) -> None:
    refused = await scene.api.until_status(await scene.api.send(to=REFUSED), "failed")
    assert refused["error"]["code"] == "provider.21211"
    failed = await scene.api.until_status(await scene.api.send(to=OUTSIDE_WINDOW), "failed")
    assert failed["error"]["code"] == "provider.63016"


async def test_a_template_goes_by_its_content_sid(scene: Scene) -> None:
    components = [{"type": "body", "parameters": [{"type": "text", "text": "Ana"}]}]
    template = {"language": {"code": "en"}, "components": components}

    async def send(name: str) -> str:
        return await scene.api.send(to="+15551230001", type="template", text=None, template={**template, "name": name})

    taken, named = await send("hx" + "0" * 32), await send("order_update")
    await scene.api.until_status(taken, "read")
    assert (await scene.api.until_status(named, "failed"))["error"]["code"] == "content.unsupported_by_provider"


async def test_a_dead_token_pauses_the_number_and_a_new_one_goes_on(scene: Scene) -> None:
    async with at_twilio(scene.assembly, "AC" + "1b" * 16, "15550783882") as mine:
        await mine.have_token(NEW_TOKEN)
        message_id = await mine.api.send(to="+15551230002")

        async def paused() -> dict[str, Any] | None:
            number: dict[str, Any] = await mine.api.get(f"/api/numbers/{mine.number_id}")
            return number if number["status"] == "paused" else None

        number = await until(paused, "the number to be paused")
        assert number["paused"]["code"] == "provider.20003"
        assert "token" in number["paused"]["detail"]
        assert (await mine.api.message(message_id))["status"] not in {"failed", "unknown"}

        status, changed = await mine.api.call("PATCH", f"/api/numbers/{mine.number_id}", {"access_token": NEW_TOKEN})
        assert status == 200, changed
        assert changed["status"] == "active"
        await mine.api.until_status(message_id, "sent", "delivered", "read")
        assert await mine.received(message_id) == 1
