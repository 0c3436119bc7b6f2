"""A provider that is slow, breaks off, lies or throttles: nothing sent twice, and what is unknown is said to be."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import pytest
import pytest_asyncio

from tests.fault.account import SETTLED, received_by_provider, send_batch, until_all_are, until_books_balance
from tests.fault.conftest import Scene, open_scene
from tests.support.platform import PATIENCE_SECONDS, Sandbox, until

pytestmark = [pytest.mark.timeout(400), pytest.mark.asyncio(loop_scope="module")]

NO_FAULTS: Final = {"hang_after_accept": 0.0, "reset_after_accept": 0.0, "http_500": 0.0, "http_500_after_accept": 0.0}
HANG_SECONDS: Final = 10.0
"""What the sender waits for an answer."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        yield await open_scene(stack, tmp_path_factory.mktemp("provider"), "run")


@pytest_asyncio.fixture(loop_scope="module")
async def sandbox(scene: Scene) -> AsyncIterator[Sandbox]:
    """Its faults end with the test."""
    try:
        yield scene.sandbox
    finally:
        await scene.sandbox.patch_behaviour(faults=NO_FAULTS)


async def until_no_call_is_open(scene: Scene) -> None:
    """Wait until the outcome of every attempt is recorded: after that nothing more can leave."""
    connection = await asyncpg.connect(scene.platform.run["servers"]["postgres"])
    try:

        async def all_recorded() -> bool:
            return not await connection.fetchval("SELECT count(*) FROM sender.attempts WHERE state = 'submitting'")

        await until(all_recorded, "all attempts to be recorded", HANG_SECONDS + PATIENCE_SECONDS)
    finally:
        await connection.close()


FAULTS_AFTER_ACCEPTANCE: Final = {
    "hang": ({"hang_after_accept": 0.05}, 1000),
    "reset": ({"reset_after_accept": 0.05}, 2000),
    "server error": ({"http_500_after_accept": 0.05}, 3000),
    "all of them": ({"hang_after_accept": 0.03, "reset_after_accept": 0.03, "http_500_after_accept": 0.03}, 4000),
}


@pytest.mark.parametrize(("faults", "start"), FAULTS_AFTER_ACCEPTANCE.values(), ids=FAULTS_AFTER_ACCEPTANCE.keys())
async def test_what_was_accepted_is_settled_by_its_report_whatever_the_answer(
    scene: Scene, sandbox: Sandbox, faults: Mapping[str, float], start: int
) -> None:
    await sandbox.patch_behaviour(seed=start, faults={**NO_FAULTS, **faults})
    async with scene.platform.api() as api:
        ids = await send_batch(api, scene, 400, start)
        await until_books_balance(api, scene, ids)


async def test_a_call_that_hangs_is_waited_for_at_the_end_and_never_made_again(scene: Scene, sandbox: Sandbox) -> None:
    await sandbox.patch_behaviour(seed=7, faults={**NO_FAULTS, "hang_after_accept": 0.05})
    async with scene.platform.api() as api:
        ids = await send_batch(api, scene, 200, 7000)
        await until_books_balance(api, scene, ids)
    assert scene.platform.stop() == 0
    assert not list((scene.platform.folder / "home" / "journal").iterdir()), "a call is not accounted for"
    await sandbox.patch_behaviour(faults=NO_FAULTS)
    await scene.platform.start()
    async with scene.platform.api() as api:
        await until_books_balance(api, scene, ids)


async def test_what_may_have_left_and_did_not_stays_unknown_and_is_never_sent_again(scene: Scene, sandbox: Sandbox) -> None:
    await sandbox.patch_behaviour(seed=5, faults={**NO_FAULTS, "http_500": 0.05, "http_500_after_accept": 0.05})
    async with scene.platform.api() as api:
        ids = await send_batch(api, scene, 400, 5000)
        await until_no_call_is_open(scene)
        messages = await until_all_are(api, ids, SETTLED | {"unknown"})

        async def only_the_lost_are_unknown() -> bool:
            nonlocal messages
            messages = await until_all_are(api, ids, SETTLED | {"unknown"})
            return {m["id"] for m in messages if m["status"] == "unknown"} == set(ids) - received.keys()

        received = await received_by_provider(scene, ids)
        assert max(received.values()) == 1
        assert 0 < len(received) < len(ids), "the sandbox was to lose some"
        await until(only_the_lost_are_unknown, "the reports to settle all that arrived")
    errors = {message["error"]["code"] for message in messages if message["status"] == "unknown"}
    assert errors == {"provider.http_500"}


async def test_a_provider_slower_than_agreed_gets_every_message_once(scene: Scene, sandbox: Sandbox) -> None:
    """Its number takes much less than we were told, or than a slow machine sends: what is throttled (130429) comes back."""
    number = dict(Sandbox.NUMBER)
    display = str(number.pop("display_number")).removeprefix("+")
    at_sandbox = {
        **number,
        "display_phone_number": display,
        "webhook_url": f"{scene.platform.run['gateway_url']}/api/webhooks/whatsapp",
    }
    path = f"/control/numbers/{at_sandbox.pop('phone_number_id')}"
    await sandbox.put(path, {**at_sandbox, "messages_per_second": 40})
    try:
        async with scene.platform.api() as api:
            ids = await send_batch(api, scene, 200, 6000)
            await until_books_balance(api, scene, ids)
    finally:
        await sandbox.put(path, at_sandbox)
    refused = (await sandbox.get("/control/ledger/summary"))["refused"]
    assert refused["130429"] > 0


@dataclass(frozen=True, slots=True)
class Scripted:
    """What becomes of a message to a scripted recipient. `passed` are states that its timeline must show, in this order, with the
    code where one is given; `never` are states it must not show."""

    status: str
    passed: tuple[str, ...]
    error: str | None = None
    never: tuple[str, ...] = ()
    copies: int = 1


BEFORE: Final = ("accepted", "queued")
SENT: Final = (*BEFORE, "sending", "sent")
SCRIPT: Final = {
    "0001": Scripted("delivered", (*SENT, "delivered"), never=("read", "unknown")),
    "0002": Scripted("failed", (*SENT, "failed provider.131026"), "provider.131026", ("delivered",)),
    "0003": Scripted("read", (*SENT, "delivered", "read"), never=("unknown", "failed")),
    "0004": Scripted("failed", (*BEFORE, "failed provider.131030"), "provider.131030", ("sent",), copies=0),
    "0005": Scripted("read", (*BEFORE, "sent", "delivered", "read"), never=("failed",)),
    "0006": Scripted("read", (*BEFORE, "sent", "delivered", "read"), never=("failed",)),
    "0007": Scripted("unknown", (*BEFORE, "sending", "unknown provider.http_500"), "provider.http_500", ("sent",), copies=0),
    "0008": Scripted("read", (*BEFORE, "scheduled provider.130429", "sent", "delivered", "read"), never=("failed", "unknown")),
    "0009": Scripted("read", (*BEFORE, "sent", "delivered", "read"), never=("failed",)),
    "0010": Scripted("read", (*BEFORE, "scheduled provider.131056", "sent", "delivered", "read"), never=("failed", "unknown")),
    "0011": Scripted("read", (*SENT, "read"), never=("delivered",)),
    "0012": Scripted("read", (*SENT, "read")),  # "delivered" comes after it, with a second of its own perhaps
    "0013": Scripted("sent", SENT, never=("delivered", "read", "failed")),
    "0014": Scripted("sent", SENT, never=("delivered", "read", "failed")),
    "0015": Scripted("read", (*BEFORE, "sent", "delivered", "read"), never=("unknown", "failed")),
    "0016": Scripted("failed", (*SENT, "failed provider.131000"), "provider.131000", ("delivered",)),
    "0017": Scripted("delivered", (*SENT, "failed provider.131000", "delivered")),
    "0018": Scripted("read", (*BEFORE, "scheduled provider.2", "sent", "delivered", "read"), never=("failed", "unknown")),
    "0019": Scripted("failed", (*SENT, "failed provider.131049"), "provider.131049", ("delivered",)),
    "0020": Scripted("failed", (*SENT, "failed provider.131047"), "provider.131047", ("delivered",)),
    "0000": Scripted("read", (*SENT, "delivered", "read"), never=("unknown", "failed")),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scripted(scene: Scene) -> Mapping[str, str]:
    """Suffix → message; all of them are under way at once."""
    async with scene.platform.api() as api:
        return {suffix: await api.send(to=f"+1999555{suffix}", **{"from": scene.number_id}) for suffix in SCRIPT}


@pytest.mark.parametrize("suffix", SCRIPT)
async def test_each_conduct_of_a_recipient_has_its_status(scene: Scene, scripted: Mapping[str, str], suffix: str) -> None:
    expected, message_id = SCRIPT[suffix], scripted[suffix]
    async with scene.platform.api() as api:

        async def arrived() -> dict[str, Any] | None:
            message = await api.message(message_id)
            return message if message["status"] == expected.status and not missing(message, expected) else None

        try:
            message = await until(arrived, f"{message_id} to be {expected.status}")
        except AssertionError as error:
            message = await api.message(message_id)
            raise AssertionError(f"{error}: {message['status']}, {entries(message)}, error {message.get('error')}") from None
    assert (message.get("error") or {}).get("code") == expected.error
    shown = {entry["status"] for entry in message["timeline"]}
    assert not shown & set(expected.never), entries(message)
    received = await received_by_provider(scene, [message_id])
    assert received == Counter({message_id: expected.copies} if expected.copies else {})


def entries(message: Mapping[str, Any]) -> list[str]:
    """The timeline: each state, with its code where it has one."""
    return [f"{entry['status']} {entry['code']}" if entry.get("code") else entry["status"] for entry in message["timeline"]]


def missing(message: Mapping[str, Any], expected: Scripted) -> list[str]:
    """What of `expected.passed` the timeline does not show in that order. A second within which things happen has no order."""
    shown = iter(entries(message))
    return [entry for entry in expected.passed if not any(entry == one for one in shown)]
