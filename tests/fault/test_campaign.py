"""A campaign on `make stack` that is paused, resumed and robbed of its processes: everybody gets it, nobody gets it twice."""

from __future__ import annotations

import csv
import io
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from tests.fault.conftest import Scene, open_scene
from tests.support.platform import Api, until
from tests.support.servers import Asking, need

pytestmark = pytest.mark.timeout(600)

PEOPLE: Final = 2_000
PER_MINUTE: Final = 3_000
"""Slow enough for all of what happens to it, each after some more have been sent, on a busy machine too."""
BLOWS: Final = (*("pause",) * 6, *("scheduler",) * 2, *("sender",) * 2, "gateway", "paused scheduler")
SENT_BETWEEN: Final = (20, 60)
GRACE_SECONDS: Final = 25
"""A call that a killed sender had under way, and that never arrived, is made again after that. Of one that did arrive the report
has to be quicker, past a gateway that is just starting again."""
AWAY: Final = frozenset({502, 503, 504})


@pytest.fixture
async def scene(tmp_path: Path, servers: Asking) -> AsyncIterator[Scene]:
    need(servers, "rabbitmq")
    async with AsyncExitStack() as stack:
        scene = await open_scene(stack, tmp_path, "stack", {"CHASQUI_SENDER__UNKNOWN_GRACE_SECONDS": str(GRACE_SECONDS)})
        await scene.sandbox.patch_behaviour(latency_ms=40, latency_spread=0.3)
        yield scene


async def insist(api: Api, method: str, path: str, body: Any = None, *, accept: Collection[int] = (200, 201, 202)) -> Any:
    """Ask until somebody answers: the gateway, or who stands behind it, may be just starting again."""

    async def answered() -> Any:
        try:
            status, answer = await api.call(method, path, body)
        except (aiohttp.ClientError, TimeoutError):
            return None
        assert status in {*accept, *AWAY}, answer
        return None if status in AWAY else (answer or True)

    return await until(answered, f"an answer to {method} {path}")


async def drafted(api: Api, scene: Scene) -> str:
    """To a group of contacts; its path."""
    contacts = [{"phone": f"+4915{200_000_000 + n}", "name": f"Nobody {n}"} for n in range(PEOPLE)]
    stored = await insist(api, "POST", "/api/contacts/bulk", contacts)
    group = await insist(api, "POST", "/api/groups", {"name": "everybody"})
    members = {"contact_ids": [one["id"] for one in stored["results"]]}
    await insist(api, "POST", f"/api/groups/{group['id']}/members", members)
    draft = {
        "name": "to everybody",
        "from": scene.number_id,
        "audience": {"group_id": group["id"]},
        "content": {"type": "text", "text": {"body": "Hello {{name}}"}},
        "pacing": {"messages_per_minute": PER_MINUTE},
        "on_unknown": "resend",
    }
    return f"/api/campaigns/{(await insist(api, 'POST', '/api/campaigns', draft))['id']}"


async def strike(api: Api, scene: Scene, campaign: str, blow: str) -> None:
    """A pause and a resumption, a kill -9, or one within the other. A request that is made again may find itself done."""
    pauses, victim = "pause" in blow, blow.removeprefix("paused ")
    if pauses:
        await insist(api, "POST", f"{campaign}/pause", accept=(200, 409))
    if victim != "pause":
        before = scene.platform.process_of(victim)
        os.kill(before["pid"], signal.SIGKILL)
        await until(has_another(scene, victim, before["pid"]), f"{victim} to be started again")
    if pauses:
        await insist(api, "POST", f"{campaign}/resume", accept=(200, 409))


def has_another(scene: Scene, name: str, pid: int) -> Callable[[], bool]:
    return lambda: scene.platform.process_of(name).get("pid") not in {None, pid}


async def ledger_of(api: Api, campaign: str) -> list[dict[str, str]]:
    async with api.session.get(f"{api.url}{campaign}/recipients.csv") as answer:
        assert answer.status == 200
        return list(csv.DictReader(io.StringIO(await answer.text())))


@pytest.mark.parametrize("seed", [4])
async def test_a_campaign_through_pauses_and_kills_reaches_everybody_once(seed: int, scene: Scene) -> None:
    chance = random.Random(seed)  # noqa: S311  # the same blows in every run
    blows = chance.sample(BLOWS, len(BLOWS))
    async with scene.platform.api() as api:
        campaign = await drafted(api, scene)
        await insist(api, "POST", f"{campaign}/start")
        for blow in blows:
            enough = await scene.sandbox.taken() + chance.randint(*SENT_BETWEEN)

            async def more_sent(enough: int = enough) -> bool:
                return await scene.sandbox.taken() >= enough

            await until(more_sent, f"{enough} to be sent, before {blow} of {blows}")
            await strike(api, scene, campaign, blow)
        assert await scene.sandbox.taken() < PEOPLE, "it was over before the last blow"
        await scene.platform.until_ready()

        async def completed() -> bool:
            return bool((await insist(api, "GET", campaign))["state"] == "completed")

        await until(completed, f"the campaign to be completed, after {blows}", 180)
        rows = await ledger_of(api, campaign)
        progress = (await insist(api, "GET", campaign))["progress"]
    received = await scene.sandbox.ledger()
    assert Counter(row["state"] for row in rows) == {"sent": PEOPLE}, "each ends once"
    assert progress["ended"] == {"sent": PEOPLE}
    times = Counter({f"+{one['to'].lstrip('+')}": 0 for one in received})
    for one in received:
        times[f"+{one['to'].lstrip('+')}"] += one["count"]
    assert times == {row["to"]: 1 for row in rows}, "nobody gets it twice, and nobody goes without"
    arrived = {(one["id"].rpartition(".")[0], f"+{one['to'].lstrip('+')}") for one in received}
    assert arrived == {(row["message_id"], row["to"]) for row in rows}, "the books agree to the message"
