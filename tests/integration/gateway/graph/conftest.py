"""A gateway whose numbers are at a sandbox, and a client of the Cloud API that knows nothing of either."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from tests.contract.sandbox.running import APP_SECRET, NUMBER, TOKEN, Client, running
from tests.integration.gateway.serving import WEBHOOK, Answer, Gateway, Tenant, serving
from tests.support.database import Database

ACCOUNT = "102290129340398"


@dataclass(slots=True)
class Front:
    """The front door as its tenant's client sees it, and what stands behind it."""

    gateway: Gateway
    sandbox: Client
    tenant: Tenant
    number_id: str

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        return await self.gateway.call(method, path, body, self.tenant, **headers)

    async def send(self, **members: Any) -> Answer:
        body = {"messaging_product": "whatsapp", "to": "15551234567", "type": "text", "text": {"body": "hello"}, **members}
        return await self.call("POST", f"/v23.0/{NUMBER}/messages", body)

    async def stored(self) -> list[asyncpg.Record]:
        return await self.gateway.pool.fetch("SELECT * FROM messages ORDER BY id")


def error_of(answer: Answer) -> dict[str, Any]:
    """The error of an envelope that is one, and nothing else."""
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert list(answer.body) == ["error"]
    error: dict[str, Any] = answer.body["error"]
    assert error["fbtrace_id"] == answer.headers["X-Fb-Request-Id"], answer.headers
    assert isinstance(error["code"], int)
    assert error["message"]
    assert error["type"] in {"OAuthException", "GraphMethodException"}
    return error


@pytest.fixture
async def front(database: Database) -> AsyncIterator[Front]:
    async with serving(database) as gateway, running(gateway.url + WEBHOOK) as sandbox:
        tenant = await gateway.new_tenant()
        number_id = await gateway.connect(
            tenant, NUMBER, waba_id=ACCOUNT, provider_url=sandbox.base, access_token=TOKEN, app_secret=APP_SECRET
        )
        yield Front(gateway, sandbox, tenant, number_id)
