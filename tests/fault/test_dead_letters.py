"""A process that dies while it replays dead letters: whichever step it was at, each letter is still dead or is handled."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence

import pytest

from shared.bus.interface import Bus
from shared.bus.rabbit import open_rabbit
from shared.errors import Permanent
from shared.events.codec import encode
from shared.events.event import Event
from tests.contract.bus.events import happened, seq
from tests.contract.bus.harness import Recorder, consuming, settled, subscription, until
from tests.support.platform import ROOT

LETTERS = 60
DYING = subscription("test.dying")
REPLAY = """
import asyncio, os, signal, sys
from shared.bus import publisher
from shared.bus.rabbit import open_rabbit
from aio_pika.message import IncomingMessage
import tests.contract.bus.events

url, step, at = sys.argv[1], sys.argv[2], int(sys.argv[3])
done = 0

def counted(original, before):
    async def call(*given, **named):
        global done
        done += 1
        number = done
        if before and number == at:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await original(*given, **named)
        if not before and number == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    return call

if step == "sending":
    publisher.Publisher.publish = counted(publisher.Publisher.publish, before=True)
elif step == "sent":
    publisher.Publisher.publish = counted(publisher.Publisher.publish, before=False)
else:
    IncomingMessage.ack = counted(IncomingMessage.ack, before=False)

async def replay():
    async with open_rabbit(url) as bus:
        await bus.settle_dead_letters("test.dying", lambda _: True, replay=True)

asyncio.run(replay())
"""


async def dead(bus: Bus) -> Sequence[int]:
    return [seq(event) for letter in (await bus.dead_letters(DYING.name)).letters for event in letter.events]


@pytest.mark.parametrize("step", ["sending", "sent", "acknowledged"])
@pytest.mark.parametrize("at", [1, 30])
async def test_a_replay_that_is_killed_loses_no_letter(rabbit_url: str, step: str, at: int) -> None:
    deadly = True

    async def fail(events: Sequence[Event]) -> None:
        if deadly:
            raise Permanent("test.never")
        handled.extend(seq(event) for event in events)

    handled: list[int] = []
    async with open_rabbit(rabbit_url) as bus:
        await bus.declare([DYING])
        async with consuming(bus, DYING, Recorder(fail)):
            for batch in encode(happened(range(LETTERS))):
                await bus.publish(batch)
            await settled(bus, DYING, dead=LETTERS)
            deadly = False
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", REPLAY, rabbit_url, step, str(at)), cwd=ROOT, stderr=asyncio.subprocess.DEVNULL
            )
            assert await process.wait() == -signal.SIGKILL

            async def all_accounted_for() -> bool:
                return {*await dead(bus), *handled} == set(range(LETTERS))

            await until(all_accounted_for)  # the broker takes back what the dead process had in hand
            await until(lambda: _replayed(bus))
            await until(lambda: set(handled) == set(range(LETTERS)))
            await settled(bus, DYING)


async def _replayed(bus: Bus) -> bool:
    await bus.settle_dead_letters(DYING.name, lambda _: True, replay=True)
    return (await bus.stats(DYING)).dead == 0
