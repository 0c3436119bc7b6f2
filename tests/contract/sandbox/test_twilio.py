"""Twilio's surface of the sandbox: who may send, what is refused with which code, and what is reported how."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web

from tests.contract.sandbox.running import DEADLINE_SECONDS, Client, running

ACCOUNT: Final = "AC" + "0a" * 16
TOKEN: Final = "auth-token-of-the-tests"
SENDER: Final = "15550783881"
READER: Final = "whatsapp:+19991230003"


@dataclass(eq=False)
class Forms:
    """What was posted: the URL with its query, the signature, the fields. `answers` are the next statuses, then 200."""

    url: str = ""
    taken: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def handle(self, request: web.Request) -> web.Response:
        fields = {name: str(value) for name, value in (await request.post()).items()}
        async with self.changed:
            if self.answers:
                return web.Response(status=self.answers.pop(0))
            url = self.url.removesuffix("/hook") + request.raw_path
            self.taken.append((url, request.headers["X-Twilio-Signature"], fields))
            self.changed.notify_all()
        return web.Response()

    @property
    def statuses(self) -> list[str]:
        return [fields["MessageStatus"] for _, _, fields in self.taken if "MessageStatus" in fields]

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS), self.changed:
            await self.changed.wait_for(reached)


@dataclass(eq=False)
class Twilio:
    """A sandbox with one sender, and where it reports."""

    client: Client
    forms: Forms

    async def send(
        self, to: str = READER, *, account: str = ACCOUNT, token: str = TOKEN, **changes: str | None
    ) -> tuple[int, dict[str, Any]]:
        """Send a text; `changes` replace fields, None takes one away."""
        fields = {
            "From": f"whatsapp:+{SENDER}",
            "To": to,
            "Body": "hello",
            "StatusCallback": f"{self.forms.url}?attempt=msg_1.1",
            **changes,
        }
        url = f"{self.client.base}/2010-04-01/Accounts/{account}/Messages.json"
        auth = aiohttp.encode_basic_auth(account, token)
        data = {name: value for name, value in fields.items() if value is not None}
        async with self.client.session.post(url, data=data, headers={"Authorization": auth}) as response:
            return response.status, await response.json()


@pytest.fixture
async def twilio() -> AsyncIterator[Twilio]:
    async with listening() as forms, running(forms.url) as client:
        status, _ = await client.control("PUT", f"twilio/senders/{SENDER}", {"account_id": ACCOUNT, "auth_token": TOKEN})
        assert status == 200
        yield Twilio(client, forms)


@asynccontextmanager
async def listening() -> AsyncIterator[Forms]:
    forms = Forms()
    app = web.Application()
    app.router.add_post("/hook", forms.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        forms.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield forms
    finally:
        await runner.cleanup()


def signature(url: str, fields: dict[str, str]) -> str:
    text = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.new(TOKEN.encode(), text.encode(), hashlib.sha1).digest()).decode()


async def test_a_message_is_queued_in_twilios_words(twilio: Twilio) -> None:
    status, answer = await twilio.send()
    assert status == 201
    assert answer["sid"].startswith("SM")
    assert len(answer["sid"]) == 34
    assert (answer["status"], answer["account_sid"], answer["error_code"]) == ("queued", ACCOUNT, None)
    assert (answer["from"], answer["to"], answer["body"]) == (f"whatsapp:+{SENDER}", READER, "hello")


async def test_signed_callbacks_follow_without_one_for_queued(twilio: Twilio) -> None:
    _, answer = await twilio.send(Body="¿qué? a&b=c 😀")
    await twilio.forms.until(lambda: len(twilio.forms.taken) == 3)
    assert sorted(twilio.forms.statuses) == ["delivered", "read", "sent"]
    for url, signed, fields in twilio.forms.taken:
        assert url == f"{twilio.forms.url}?attempt=msg_1.1"
        assert signed == signature(url, fields)
        assert fields["MessageSid"] == answer["sid"]
        assert fields["To"] == READER


async def test_a_recipient_answers_to_where_the_callbacks_go(twilio: Twilio) -> None:
    await twilio.send("whatsapp:+15551234567", Body="ping")
    await twilio.forms.until(lambda: len(twilio.forms.taken) == 4)
    ((url, signed, fields),) = [taken for taken in twilio.forms.taken if "MessageStatus" not in taken[2]]
    assert url == twilio.forms.url
    assert signed == signature(url, fields)
    assert (fields["From"], fields["To"], fields["Body"]) == (
        "whatsapp:+15551234567",
        f"whatsapp:+{SENDER}",
        "You said: ping",
    )
    assert fields["SmsStatus"] == "received"


@pytest.mark.parametrize(
    ("suffix", "status", "code"),
    [("0002", "failed", "63024"), ("0016", "undelivered", "63023"), ("0019", "failed", "63049"), ("0020", "failed", "63016")],
)
async def test_a_failure_comes_in_a_callback(twilio: Twilio, suffix: str, status: str, code: str) -> None:
    assert (await twilio.send(f"whatsapp:+1999123{suffix}"))[0] == 201
    await twilio.forms.until(lambda: status in twilio.forms.statuses)
    assert [fields["ErrorCode"] for _, _, fields in twilio.forms.taken if "ErrorCode" in fields] == [code]


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"token": "another"}, 401, 20003),
        ({"account": "AC" + "1b" * 16}, 401, 20003),
        ({"From": "whatsapp:+15550000000"}, 400, 63007),
        ({"From": f"+{SENDER}"}, 400, 63007),
        ({"to": "whatsapp:nobody"}, 400, 21211),
        ({"to": "+15551234567"}, 400, 21211),
        ({"to": f"whatsapp:+{SENDER}"}, 400, 63031),
        ({"Body": None}, 400, 21602),
        ({"Body": "x" * 1601}, 400, 21617),
        ({"StatusCallback": "not a url"}, 400, 21609),
        ({"ContentSid": "order_update"}, 400, 21655),
        ({"ContentSid": "HX" + "0" * 32, "ContentVariables": "[1]"}, 400, 21656),
        ({"to": "whatsapp:+19991230004"}, 400, 21211),
        ({"to": "whatsapp:+19991230008"}, 429, 20429),
        ({"to": "whatsapp:+19991230018"}, 503, 20503),
    ],
)
async def test_what_is_wrong_is_refused_with_twilios_code(
    twilio: Twilio, changes: dict[str, Any], status: int, code: int
) -> None:
    answered, answer = await twilio.send(**changes)
    assert (answered, answer["code"], answer["status"]) == (status, code, status)
    assert answer["message"]
    assert answer["more_info"] == f"https://www.twilio.com/docs/errors/{code}"
    _, summary = await twilio.client.control("GET", "ledger/summary")
    assert summary["accepted"] == 0
    assert summary["refused"] == {str(code): 1}


async def test_a_template_and_a_file_are_taken(twilio: Twilio) -> None:
    assert (await twilio.send(Body=None, ContentSid="HX" + "0" * 32, ContentVariables='{"1":"Ana"}'))[0] == 201
    assert (await twilio.send(Body=None, MediaUrl="https://x.example/a.png"))[0] == 201


async def test_the_ledger_counts_by_the_attempt_in_the_callback_url(twilio: Twilio) -> None:
    for _ in range(2):
        await twilio.send()
    await twilio.send(StatusCallback=None)
    record = await twilio.client.record("msg_1.1")
    assert record is not None
    assert (record["count"], record["answered"], record["to"]) == (2, 2, "19991230003")
    _, summary = await twilio.client.control("GET", "ledger/summary")
    assert (summary["accepted"], summary["duplicates"], summary["without_id"]) == (3, 1, 1)
    assert summary["numbers"][SENDER]["accepted"] == 3


async def test_a_callback_is_tried_again(twilio: Twilio) -> None:
    twilio.forms.answers += [503, 500]
    await twilio.send("whatsapp:+19991230013")
    await twilio.forms.until(lambda: twilio.forms.statuses == ["sent"])


async def test_faults_befall_it_too(twilio: Twilio) -> None:
    await twilio.client.control("PATCH", "behaviour", {"faults": {"token_dead": 1.0}})
    assert (await twilio.send())[1]["code"] == 20003
    await twilio.client.control("PATCH", "behaviour", {"faults": {"http_429": 1.0}})
    assert (await twilio.send())[1]["code"] == 20429
    await twilio.client.control("PATCH", "behaviour", {"faults": {"reset_after_accept": 1.0}})
    with pytest.raises(aiohttp.ClientError):
        await twilio.send()
    record = await twilio.client.record("msg_1.1")
    assert record is not None
    assert record["answered"] == 0


async def test_senders_come_and_go_and_show_no_token(twilio: Twilio) -> None:
    _, listed = await twilio.client.control("GET", "twilio/senders")
    assert [sender["number"] for sender in listed["data"]] == [SENDER]
    assert TOKEN not in str(listed)
    spec = {"account_id": ACCOUNT, "auth_token": TOKEN, "refusal": 63018}
    await twilio.client.control("PUT", f"twilio/senders/{SENDER}", spec)
    assert (await twilio.send())[1]["code"] == 63018
    assert (await twilio.client.control("DELETE", f"twilio/senders/{SENDER}"))[0] == 200
    assert (await twilio.send())[1]["code"] == 20003
    assert (await twilio.client.control("DELETE", f"twilio/senders/{SENDER}"))[0] == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("twilio/senders/abc", {"account_id": ACCOUNT, "auth_token": TOKEN}),
        ("twilio/senders/15550000000", {"account_id": "AC1", "auth_token": TOKEN}),
        ("twilio/senders/15550000000", {"account_id": ACCOUNT}),
        ("twilio/nothing", {}),
    ],
)
async def test_a_control_that_is_not_understood_is_a_graph_error(twilio: Twilio, path: str, body: dict[str, str]) -> None:
    status, answer = await twilio.client.control("PUT", path, body)
    assert status == 400
    assert answer["error"]["code"] == 100


async def test_a_user_can_write_first_where_somebody_listens(twilio: Twilio) -> None:
    written = {"from": "14133881111", "text": "hi", "name": "Ana"}
    assert (await twilio.client.control("POST", "twilio/inbound", written))[0] == 400
    spec = {"account_id": ACCOUNT, "auth_token": TOKEN, "webhook_url": twilio.forms.url}
    await twilio.client.control("PUT", f"twilio/senders/{SENDER}", spec)
    status, answer = await twilio.client.control("POST", "twilio/inbound", {**written, "to": SENDER})
    assert status == 200
    await twilio.forms.until(lambda: len(twilio.forms.taken) == 1)
    fields = twilio.forms.taken[0][2]
    assert (fields["MessageSid"], fields["WaId"], fields["ProfileName"]) == (answer["sid"], "14133881111", "Ana")


async def test_other_paths_are_not_found(twilio: Twilio) -> None:
    for path in ("/2010-04-01/Accounts", f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json"):
        async with twilio.client.session.post(twilio.client.base + path) as response:
            assert response.status == 404
            assert (await response.json())["code"] == 20404
