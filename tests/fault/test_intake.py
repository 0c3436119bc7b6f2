"""Webhooks under load while the broker, the database and both are killed (-9): nothing lost, nothing told twice, no status going
down."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp
import asyncpg
import orjson
import pytest
import pytest_asyncio

from services.gateway.domain.status import RANKS, Status
from shared.auth.signatures import HEADER, sign
from shared.events.catalogue import MessageReceived
from shared.events.codec import decode
from tests.fault.account import until_all_are
from tests.fault.conftest import Scene, open_scene
from tests.support.platform import Api, until
from tests.support.servers import Asking, need

pytestmark = [pytest.mark.timeout(480), pytest.mark.asyncio(loop_scope="module")]

MESSAGES: Final = 200
INBOUND: Final = 1_000
POSTS_AT_ONCE: Final = 4
SECRET: Final = "outside-app-secret"  # of a sandbox's number
PHONE_NUMBER_ID: Final = "900000000000001"
STAMP: Final = 1_795_168_800
SERVICES: Final = ("gateway", "scheduler", "sender", "archive")
BLOWS: Final = {"broker": ("rabbitmq",), "database": ("postgres",), "both": ("rabbitmq", "postgres")}
SHARE: Final = 0.2
"""The part of the payloads that is taken when the blow falls."""
AGAIN_SECONDS: Final = 0.1
"""Meta waits longer, and comes again for days."""

WITNESS: Final = """
CREATE TABLE public.witness (body bytea NOT NULL);
CREATE FUNCTION public.keep_copy() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.witness VALUES (NEW.body);
    RETURN NULL;
END $$;
CREATE TRIGGER keep_copy AFTER INSERT ON gateway.outbox FOR EACH ROW WHEN (NEW.subject = 'message.received.v1')
    EXECUTE FUNCTION public.keep_copy();
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, servers: Asking) -> AsyncIterator[Scene]:
    need(servers, "rabbitmq")  # where this run has none, the stack would have none either
    async with AsyncExitStack() as stack:
        yield await open_scene(stack, tmp_path_factory.mktemp("intake"), "stack")


class Witness:
    """Keeps a copy of every `message.received` that the gateway has told, from the moment it is durable."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url

    async def look_on(self) -> None:
        """From here on."""
        connection = await asyncpg.connect(self._database_url)
        try:
            await connection.execute(WITNESS)
        finally:
            await connection.close()

    async def told(self) -> Counter[str]:
        """By wamid how often it was told, in all tests here."""
        connection = await asyncpg.connect(self._database_url)
        try:
            rows = await connection.fetch("SELECT body FROM public.witness")
        finally:
            await connection.close()
        events = [event for row in rows for event in decode(MessageReceived.subject(), row["body"])]
        return Counter(event.wamid for event in events if isinstance(event, MessageReceived))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def witness(scene: Scene) -> Witness:
    witness = Witness(scene.platform.run["servers"]["postgres"])
    await witness.look_on()
    return witness


@dataclass(slots=True)
class Provider:
    """Brings each of its payloads until it is answered 200. `done` are those that were."""

    url: str
    payloads: Sequence[bytes]
    done: int = 0
    answers: Counter[str] = field(default_factory=Counter)

    async def bring_all(self) -> None:
        left = iter(self.payloads)
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session, asyncio.TaskGroup() as group:
            for _ in range(POSTS_AT_ONCE):
                group.create_task(self._bring(session, left))

    async def _bring(self, session: aiohttp.ClientSession, left: Iterator[bytes]) -> None:
        for body in left:
            while (answer := await self._posted(session, body)) != "200":
                self.answers[answer] += 1
                await asyncio.sleep(AGAIN_SECONDS)
            self.done += 1

    async def _posted(self, session: aiohttp.ClientSession, body: bytes) -> str:
        try:
            async with session.post(self.url, data=body, headers={HEADER: sign(SECRET, body)}) as answer:
                return str(answer.status)
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            return type(error).__name__


def payloads_of(messages: Collection[str], wamids: Collection[str], rng: random.Random) -> list[bytes]:
    """All that is to be said, every part of it twice and in no order, one to five updates a payload."""
    parts: list[tuple[str, dict[str, Any]]] = [
        (
            "statuses",
            {
                "id": f"wamid.{message}",
                "status": status,
                "timestamp": str(STAMP + at),
                "recipient_id": "15551234567",
                "biz_opaque_callback_data": f"{message}.1",
            },
        )
        for message in messages
        for at, status in enumerate(("sent", "delivered", "read"))
    ]
    parts += [
        (
            "messages",
            {"id": wamid, "from": f"1555{n % 97:07d}", "timestamp": str(STAMP), "type": "text", "text": {"body": f"word {n}"}},
        )
        for n, wamid in enumerate(wamids)
    ]
    parts += parts
    rng.shuffle(parts)
    bodies = []
    while parts:
        value: dict[str, Any] = {"messaging_product": "whatsapp", "metadata": {"phone_number_id": PHONE_NUMBER_ID}}
        for kind, part in [parts.pop() for _ in range(min(len(parts), rng.randint(1, 5)))]:
            value.setdefault(kind, []).append(part)
        change = {"field": "messages", "value": value}
        entry = {"id": "900000000000002", "changes": [change]}
        bodies.append(orjson.dumps({"object": "whatsapp_business_account", "entry": [entry]}))
    return bodies


class Watcher:
    """Looks at every message again and again; what the API says of one must only climb."""

    def __init__(self, api: Api, oldest: str) -> None:
        self._api = api
        self._oldest = oldest
        self._highest: defaultdict[str, int] = defaultdict(int)
        self.looks = 0

    async def watch(self, ended: Callable[[], bool]) -> None:
        while not ended():
            try:
                found = await self._api.all_messages(self._oldest)
            except (AssertionError, aiohttp.ClientError, TimeoutError, ConnectionError):
                await asyncio.sleep(AGAIN_SECONDS)  # away, as they are to be
                continue
            self.looks += 1
            for message in found:
                rank = RANKS[Status(message["status"])]
                assert rank >= self._highest[message["id"]], f"{message['id']} went down to {message['status']}"
                self._highest[message["id"]] = rank
            await asyncio.sleep(AGAIN_SECONDS)


async def waiting_messages(api: Api, scene: Scene) -> list[str]:
    """Accepted and not to be sent for long: only what we report of them says more."""
    due = (datetime.now(UTC) + timedelta(days=300)).isoformat()
    batch = [
        {
            "to": f"+1777{n:07d}",
            "from": scene.number_id,
            "text": {"body": f"message {n}"},
            "scheduled_time": due,
        }
        for n in range(MESSAGES)
    ]
    status, body = await api.call("POST", "/api/messages/batch", batch)
    assert status == 202, body
    assert body["rejected"] == 0, body
    return [result["id"] for result in body["results"]]


async def strike(scene: Scene, provider: Provider, names: Sequence[str]) -> None:
    """Kill these under load and wait until they are back."""
    await until(lambda: provider.done >= SHARE * len(provider.payloads), f"{SHARE:.0%} of the payloads to be taken")
    before = [scene.platform.process_of(name) for name in names]
    for one in before:
        os.kill(one["pid"], signal.SIGKILL)
    assert provider.done < len(provider.payloads), "all had been brought before the blow"
    for one in before:
        await scene.platform.until_restarted(one["name"], one)


@pytest.mark.parametrize("blow", BLOWS)
async def test_nothing_is_lost_or_told_twice_or_goes_down(scene: Scene, witness: Witness, blow: str) -> None:
    rng = random.Random(blow)  # noqa: S311  # a shuffle
    await scene.platform.until_ready()
    services = {name: scene.platform.pid_of(name) for name in SERVICES}
    wamids = [f"wamid.{blow}{n:05d}" for n in range(INBOUND)]
    async with scene.platform.api() as api:
        ids = await waiting_messages(api, scene)
        provider = Provider(f"{scene.platform.run['gateway_url']}/api/webhooks/whatsapp", payloads_of(ids, wamids, rng))
        watcher, ended = Watcher(api, min(ids)), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(watcher.watch(ended.is_set))
            bringing = group.create_task(provider.bring_all())
            await strike(scene, provider, BLOWS[blow])
            await bringing
            await until_all_are(api, ids, {"read"})
            ended.set()
        assert watcher.looks > 1
        for message_id in ids[:20]:
            timeline = (await api.message(message_id))["timeline"]
            reported = [entry["status"] for entry in timeline if entry["status"] in {"sent", "delivered", "read"}]
            assert sorted(reported) == ["delivered", "read", "sent"], "each once"

        async def all_told() -> bool:
            return (await witness.told()).keys() >= set(wamids)

        await until(all_told, "every inbound message to be told")
    told = await witness.told()
    assert set(told.values()) == {1}, "told twice"
    await until_recorded(scene, len(told))
    assert services == {name: scene.platform.pid_of(name) for name in SERVICES}, "what is away ends nobody"
    assert "401" not in provider.answers
    if blow == "database":
        assert not provider.answers, "the broker stood in"


async def until_recorded(scene: Scene, count: int) -> None:
    """Wait until the archive has so many inbound messages; it counts each once, and no payload is left over."""
    connection = await asyncpg.connect(scene.platform.run["servers"]["postgres"])
    try:

        async def all_recorded() -> bool:
            return bool(await connection.fetchval("SELECT count(*) = $1 FROM archive.incoming", count))

        await until(all_recorded, "the archive to have them all")
        assert await connection.fetchval("SELECT sum(unread_count) FROM archive.conversations") == count
        assert await connection.fetchval("SELECT count(*) FROM gateway.webhooks") == 0, "set aside, or never read"
    finally:
        await connection.close()
