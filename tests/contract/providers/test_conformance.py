"""Every provider, one suite: whatever happens on the wire is an outcome, and the right one."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Final

import aiohttp
import pytest

from local.ports import free_port
from services.sender.domain.outcome import Outcome, PauseNumber, Rejected, Retry, Scope, Sent, Unknown
from services.sender.provider import call
from services.sender.provider.interface import Request
from services.sender.provider.routes import open_route
from shared.http.client import open_client
from tests.contract.providers.server import Conduct, answering, dripping, endless, hanging, resetting, serving, writing
from tests.contract.providers.subjects import ATTEMPT, CLOUD_API, TEXT, TO, TWILIO, Subject

TRACEPARENT: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNSAMPLED: Final = TRACEPARENT[:-2] + "00"


@pytest.fixture(params=[CLOUD_API, TWILIO], ids=lambda subject: subject.provider.value)
def subject(request: pytest.FixtureRequest) -> Subject:
    return request.param  # type: ignore[no-any-return]  # pytest leaves params untyped


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "TOTAL_SECONDS", 1.0)
    monkeypatch.setattr(call, "_OPENING", aiohttp.ClientTimeout(connect=1.0, sock_connect=1.0))


async def sending(subject: Subject, url: str, *, token: str = "token", traceparent: str = UNSAMPLED) -> tuple[Outcome, int]:  # noqa: S107  # opens nothing
    """The outcome, and how often the departure was told."""
    departures: list[None] = []
    route = open_route(subject.address(url), token)
    request = route.request(ATTEMPT, TO, TEXT)
    assert isinstance(request, Request)
    async with open_client() as session, asyncio.timeout(60):
        outcome = await call.send(session, request, route.judge, lambda: departures.append(None), traceparent)
    return outcome, len(departures)


async def met(subject: Subject, conduct: Conduct) -> Outcome:
    """The outcome of one call that left once and was received once: no second try, whatever happened."""
    async with serving(conduct) as server:
        outcome, departures = await sending(subject, server.url)
    assert departures == len(server.bodies) == 1
    return outcome


async def test_a_call_that_is_taken_is_sent_and_says_who_and_where(subject: Subject) -> None:
    async with serving(answering(*subject.sent)) as server:
        assert await sending(subject, server.url + "/") == (Sent(subject.message_id), 1)
    (head,), (body,) = server.heads, server.bodies
    assert head.startswith(b"POST " + subject.path + b" HTTP/1.1\r\n")
    assert b"\r\nAuthorization: " + subject.authorization + b"\r\n" in head
    assert b"\r\nContent-Type: " + subject.content_type + b"\r\n" in head
    assert b"traceparent" not in head.lower()
    assert subject.told(body) == ("Grüße & Küsse", TO, str(ATTEMPT))


async def test_a_traced_call_carries_its_trace_and_the_next_one_does_not(subject: Subject) -> None:
    route = open_route(subject.address("http://127.0.0.1"), "token")
    requests = [route.request(ATTEMPT, TO, TEXT) for _ in range(2)]
    async with serving(answering(*subject.sent)) as server:
        assert await sending(subject, server.url, traceparent=TRACEPARENT) == (Sent(subject.message_id), 1)
    assert f"\r\ntraceparent: {TRACEPARENT}\r\n".encode() in server.heads[0]
    assert all(isinstance(request, Request) and b"traceparent" not in (request.head or b"") for request in requests)


async def test_what_is_refused_is_rejected(subject: Subject) -> None:
    outcome = await met(subject, answering(*subject.refused))
    assert isinstance(outcome, Rejected)
    assert outcome.code == subject.refusal


async def test_a_throttle_slows_the_number_and_costs_the_message_nothing(subject: Subject) -> None:
    assert await met(subject, answering(*subject.throttled)) == Retry(subject.throttle, 1.0, counted=False, scope=Scope.NUMBER)
    assert await met(subject, answering(*subject.throttled, "retry-AFTER: 3")) == Retry(
        subject.throttle, 3.0, counted=False, scope=Scope.NUMBER
    )
    assert await met(subject, answering(429, b"slow down")) == Retry(
        "provider.http_429", 1.0, counted=False, scope=Scope.NUMBER
    )


async def test_a_dead_token_pauses_the_number(subject: Subject) -> None:
    outcome = await met(subject, answering(*subject.dead))
    assert isinstance(outcome, PauseNumber)
    assert outcome.code == subject.death


async def test_a_provider_that_never_answers_may_have_taken_it(subject: Subject, impatient: None) -> None:
    assert await met(subject, hanging) == Unknown("connection.TimeoutError")


async def test_a_reset_after_the_request_may_have_been_a_yes(subject: Subject) -> None:
    assert isinstance(await met(subject, resetting), Unknown)


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"mess', b"nonsense\r\n\r\n"],
)
async def test_an_answer_that_breaks_off_may_have_been_a_yes(subject: Subject, answer: bytes) -> None:
    assert isinstance(await met(subject, writing(answer)), Unknown)


async def test_an_answer_that_drips_for_ever_ends_with_the_time(subject: Subject, impatient: None) -> None:
    assert await met(subject, dripping()) == Unknown("connection.TimeoutError")


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]", b"null", b"\xff", b'{"messages":[]}', b'{"sid":5}'])
async def test_garbage_under_200_may_have_been_a_yes(subject: Subject, body: bytes) -> None:
    assert await met(subject, answering(subject.sent[0], body)) == Unknown("provider.unreadable_answer")


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_an_error_of_the_server_without_a_body_leaves_it_open(subject: Subject, status: int) -> None:
    assert await met(subject, answering(status, b"<html>")) == Unknown(f"provider.http_{status}")


async def test_an_error_of_the_server_with_a_body_means_what_its_provider_says(subject: Subject) -> None:
    assert await met(subject, answering(*subject.broken)) == subject.breakage


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed_with_the_token(subject: Subject, status: int) -> None:
    async with serving(answering(*subject.sent)) as elsewhere:
        outcome = await met(subject, answering(status, b"", f"Location: {elsewhere.url}/x"))
    assert outcome == Unknown(f"provider.http_{status}")
    assert elsewhere.heads == []


@pytest.mark.parametrize("length", [True, False])
async def test_of_an_endless_answer_only_so_much_is_read(subject: Subject, length: bool) -> None:
    written: list[int] = []
    assert await met(subject, endless(written, length=length)) == Unknown("provider.unreadable_answer")
    assert sum(written) < 50_000_000


async def test_a_refused_connection_has_not_left(subject: Subject) -> None:
    outcome, departures = await sending(subject, f"http://127.0.0.1:{free_port()}")
    assert outcome == Retry("connection.ClientConnectorError", call.UNREACHABLE_SECONDS, counted=False, sick=True)
    assert departures == 0


@pytest.mark.parametrize("url", ["http://provider.invalid", f"http://{'x' * 64}.example", "provider", "http://"])
async def test_a_place_that_cannot_be_found_has_not_left(subject: Subject, url: str) -> None:
    outcome, departures = await sending(subject, url)
    assert isinstance(outcome, Retry)
    assert not outcome.counted
    assert departures == 0


async def test_a_connection_that_is_never_taken_has_not_left(subject: Subject, impatient: None) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.socket() as first, socket.socket() as second:
            for filler in (first, second):
                filler.setblocking(False)
                with suppress(BlockingIOError):
                    filler.connect(full.getsockname())
            outcome, departures = await sending(subject, f"http://127.0.0.1:{full.getsockname()[1]}")
    assert isinstance(outcome, Retry)
    assert outcome.sick
    assert departures == 0


async def test_a_call_that_is_cancelled_is_cancelled(subject: Subject) -> None:
    entered = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        entered.set()
        await reader.read()

    async with serving(hang) as server, asyncio.TaskGroup() as group:
        task = group.create_task(sending(subject, server.url))
        await entered.wait()
        task.cancel()
    assert task.cancelled()


@pytest.mark.parametrize("token", ["line\nbreak", "line\r\nX-Injected: 1", "nul\0"])
async def test_no_token_can_write_headers(subject: Subject, token: str) -> None:
    async with serving(answering(*subject.dead)) as server:
        outcome, _ = await sending(subject, server.url, token=token)
    assert isinstance(outcome, PauseNumber)
    assert not any(b"X-Injected" in head for head in server.heads)


def test_a_route_and_a_request_show_no_secret(subject: Subject) -> None:
    route = open_route(subject.address("https://provider.example"), "s3cr3t")
    request = route.request(ATTEMPT, TO, TEXT)
    for shown in (repr(route), repr(request)):
        assert "s3cr3t" not in shown
        assert TO not in shown
        assert "Authorization" not in shown
