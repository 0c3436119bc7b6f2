"""Each provider against the sandbox that plays it: what is asked, what is answered, and the report that brings the attempt back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import orjson
import pytest
from aiohttp import web

from services.gateway.domain import twilio, webhook
from services.gateway.domain.webhook import Inbound, Report
from services.sender.domain.attempt import AttemptId
from services.sender.domain.outcome import Outcome, PauseNumber, Rejected, Retry, Scope, Sent, Unknown
from services.sender.provider import call
from services.sender.provider.interface import Address, Request
from services.sender.provider.routes import open_route
from shared.auth.signatures import HEADER, verify
from shared.clock import SystemClock
from shared.events.values import DeliveryStatus, Provider
from shared.http.client import open_client
from shared.ids import MessageId, new_id
from tests.contract.sandbox.running import APP_SECRET, NUMBER, TOKEN, Client, running

ACCOUNT: Final = "AC" + "0a" * 16
SENDER: Final = "15550783881"
TRACEPARENT: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
DEADLINE_SECONDS: Final = 40.0


@dataclass(eq=False)
class Gateway:
    """Reads what the provider posts as the gateway does; a payload that is not signed as it must be is not read."""

    url: str = ""
    reports: list[Report] = field(default_factory=list)
    inbound: list[Inbound] = field(default_factory=list)
    unsigned: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        payload = self._of_twilio(request, body) if twilio.SIGNATURE_HEADER in request.headers else self._of_meta(request, body)
        reading = webhook.read(payload)
        async with self.changed:
            self.unsigned += payload is None
            self.reports += reading.reports
            self.inbound += reading.inbound
            self.changed.notify_all()
        return web.Response()

    def _of_twilio(self, request: web.Request, body: bytes) -> dict[str, Any] | None:
        fields = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True)
        target = urlsplit(self.url)._replace(path="").geturl() + request.raw_path
        if not twilio.verify(TOKEN, request.headers[twilio.SIGNATURE_HEADER], target, fields):
            return None
        return twilio.payload(fields, NUMBER, request.query.get(twilio.ATTEMPT_PARAMETER), SystemClock().now())

    def _of_meta(self, request: web.Request, body: bytes) -> Any:
        return orjson.loads(body) if verify(APP_SECRET, request.headers.get(HEADER), body) else None

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS), self.changed:
            await self.changed.wait_for(reached)
        assert self.unsigned == 0

    async def reported(self, attempt: AttemptId, *statuses: DeliveryStatus) -> set[str]:
        """Wait until these statuses of the attempt were told. Returns the ids that the provider gave it."""

        def told() -> list[Report]:
            return [r for r in self.reports if (r.message_id, r.attempt) == attempt]

        await self.until(lambda: {r.status for r in told()} >= set(statuses))
        return {r.wamid for r in told()}


@dataclass(eq=False)
class Stage:
    """A sandbox with a number that sends by a provider, a gateway that is reported to, and a client."""

    address: Address
    gateway: Gateway
    sandbox: Client
    session: aiohttp.ClientSession

    async def send(self, attempt: AttemptId, suffix: str, *, token: str = TOKEN) -> Outcome:
        """Send a text to the recipient whose conduct the suffix names."""
        route = open_route(self.address, token)
        request = route.request(attempt, f"+1999123{suffix}", {"type": "text", "text": {"body": "Grüße & Küsse"}})
        assert isinstance(request, Request)
        return await call.send(self.session, request, route.judge, lambda: None, TRACEPARENT)

    async def count(self, attempt: AttemptId) -> int:
        """How often the sandbox accepted it."""
        record = await self.sandbox.record(str(attempt))
        return record["count"] if record else 0


@asynccontextmanager
async def listening() -> AsyncIterator[Gateway]:
    gateway = Gateway()
    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_post("/hook", gateway.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        gateway.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield gateway
    finally:
        await runner.cleanup()


@pytest.fixture(params=list(Provider))
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with listening() as gateway, running(gateway.url) as sandbox, open_client() as session:
        address = Address(request.param, sandbox.base, NUMBER, ACCOUNT, f"+{SENDER}", gateway.url)
        await sandbox.control("PATCH", "behaviour", {"hang_seconds": 0.5})
        if request.param is Provider.TWILIO:
            status, _ = await sandbox.control(
                "PUT", f"twilio/senders/{SENDER}", {"account_id": ACCOUNT, "auth_token": TOKEN, "webhook_url": gateway.url}
            )
            assert status == 200
        yield Stage(address, gateway, sandbox, session)


@pytest.fixture
def attempt() -> AttemptId:
    return AttemptId(MessageId(new_id("msg")), 3)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "TOTAL_SECONDS", 1.0)
    monkeypatch.setattr(call, "_OPENING", aiohttp.ClientTimeout(connect=1.0, sock_connect=1.0))


async def test_a_message_is_taken_and_every_report_brings_its_attempt_back(stage: Stage, attempt: AttemptId) -> None:
    outcome = await stage.send(attempt, "0003")
    assert isinstance(outcome, Sent)
    ids = await stage.gateway.reported(attempt, DeliveryStatus.SENT, DeliveryStatus.DELIVERED, DeliveryStatus.READ)
    assert ids == {outcome.wamid}
    assert await stage.count(attempt) == 1


async def test_the_recipient_answers(stage: Stage, attempt: AttemptId) -> None:
    assert isinstance(await stage.send(attempt, "9999"), Sent)
    await stage.gateway.until(lambda: len(stage.gateway.inbound) == 1)
    (message,) = stage.gateway.inbound
    assert message.sender == "+19991239999"
    assert message.content["text"] == {"body": "You said: Grüße & Küsse"}
    assert message.sender_name


async def test_a_refusal_is_final(stage: Stage, attempt: AttemptId) -> None:
    outcome = await stage.send(attempt, "0004")
    assert isinstance(outcome, Rejected)
    assert await stage.count(attempt) == 0


async def test_a_failure_after_the_acceptance_is_reported_with_its_code(stage: Stage, attempt: AttemptId) -> None:
    assert isinstance(await stage.send(attempt, "0020"), Sent)
    await stage.gateway.reported(attempt, DeliveryStatus.FAILED)
    assert {report.error_code for report in stage.gateway.reports} <= {"provider.131047", "provider.63016"}


async def test_a_throttled_message_is_taken_later(stage: Stage, attempt: AttemptId) -> None:
    outcome = await stage.send(attempt, "0008")
    assert isinstance(outcome, Retry)
    assert (outcome.counted, outcome.scope) == (False, Scope.NUMBER)
    assert isinstance(await stage.send(attempt, "0008"), Sent)
    assert await stage.count(attempt) == 1


async def test_a_wrong_token_pauses_the_number(stage: Stage, attempt: AttemptId) -> None:
    assert isinstance(await stage.send(attempt, "0003", token="not-the-token"), PauseNumber)
    assert await stage.count(attempt) == 0


@pytest.mark.parametrize("suffix", ["0005", "0006", "0009"], ids=["hangs", "resets", "breaks"])
async def test_what_was_taken_without_an_answer_is_unknown_until_a_report(
    stage: Stage, attempt: AttemptId, suffix: str, impatient: None
) -> None:
    assert isinstance(await stage.send(attempt, suffix), Unknown)
    await stage.gateway.reported(attempt, DeliveryStatus.SENT)
    assert await stage.count(attempt) == 1


async def test_a_broken_answer_to_what_was_not_taken_is_unknown_too(stage: Stage, attempt: AttemptId) -> None:
    assert isinstance(await stage.send(attempt, "0007"), Unknown)
    assert await stage.count(attempt) == 0


async def test_an_unavailable_service_is_no_refusal(stage: Stage, attempt: AttemptId) -> None:
    outcome = await stage.send(attempt, "0018")
    assert isinstance(outcome, Retry | Unknown)
    assert outcome.sick
    assert await stage.count(attempt) == 0
