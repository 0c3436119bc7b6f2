"""Hangs after acceptance, server errors, and a sender killed every ten seconds: what is lost, doubled, or never known."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from itertools import cycle
from typing import Final

from bench import ledger, records
from bench.ledger import Entry
from bench.offer import Message, steady, text
from bench.rig import Rig
from bench.scenario import Report, Row, Scale, Scenario
from bench.senders import more_senders
from local.supervise import Supervised

NUMBERS: Final = 12
PER_SECOND: Final = 300.0
FAULTS: Final = {"hang_after_accept": 0.05, "graph_500": 0.05}
SENDERS: Final = 3
GRACE_SECONDS: Final = 20
"""Before the policy of a message of unknown outcome decides; the usual quarter of an hour would only lengthen the run."""
PATIENCE_SECONDS: Final = 90.0
"""For what is under way when the load ends: time-outs, reports, grace, retries."""
POLICIES: Final = ("wait", "resend")
SETTLING_SECONDS: Final = 10.0
ENDED: Final = ("read", "failed")
UNDER_WAY: Final = ("accepted", "scheduled", "queued", "sending")


async def run(rig: Rig, scale: Scale) -> Report:
    """A steady load under faults and kills, then quiet, then the count."""
    seconds, every_seconds = scale.of((120.0, 10.0), (12.0, 4.0))
    numbers = await rig.connect(NUMBERS, per_second=1_000)
    await ledger.forget(rig)
    kills: list[str] = []

    def make(n: int) -> Message:
        return text(numbers[n % NUMBERS], f"+1333{n:07d}", on_unknown=_policy(n))

    async with more_senders(rig, SENDERS - 1) as others:
        await rig.behave(faults=FAULTS)
        async with asyncio.TaskGroup() as group:
            killing = group.create_task(_kill(rig, others, every_seconds, kills))
            ids = await steady(rig, make, per_second=PER_SECOND, seconds=seconds)
            killing.cancel()
        await rig.behave()
        by_policy = {policy: [one for n, one in enumerate(ids) if _policy(n) == policy] for policy in POLICIES}
        await records.until_only(rig, by_policy["resend"], ENDED, scale.of(PATIENCE_SECONDS, 60.0))
        await records.until_only(rig, by_policy["wait"], ENDED, SETTLING_SECONDS)
        received, summary = await ledger.entries(rig), await ledger.summary(rig)
        rows = {f"policy {policy}": await _counted(rig, some, received) for policy, some in by_policy.items()}
    killed = f"{SENDERS} senders, one killed (-9) every {every_seconds:.0f} s: {len(kills)} kills"
    notes = [
        f"{PER_SECOND:.0f} msg/s for {seconds:.0f} s; {_percent(FAULTS)}: {sum(summary['fates'].values()):,} calls; {killed}.",
        f"An outcome unknown for {GRACE_SECONDS} s: half of the messages wait on (the default policy), half are sent again.",
        "lost: taken by us, not at the sandbox, and not told as failed, under way or unknown. unknown, arrived: the sandbox has it",
        "and we do not know. unknown, never arrived: killed between the intent and the wire; nobody will report, policy decides.",
    ]
    return Report(rows, notes)


async def _kill(rig: Rig, others: Sequence[Supervised], every_seconds: float, kills: list[str]) -> None:
    """One of the senders in turn, wherever it is just then."""
    for turn in cycle(range(len(others) + 1)):
        await asyncio.sleep(every_seconds)
        pids = rig.pids("sender") if turn == 0 else [pid] if (pid := others[turn - 1].process.pid) else []
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it is being started again
            kills.append(f"sender {turn}")


def _policy(n: int) -> str:
    """Of the nth message; every number has both."""
    return POLICIES[n // NUMBERS % len(POLICIES)]


async def _counted(rig: Rig, ids: Sequence[str], received: Sequence[Entry]) -> Row:
    mine = set(ids)
    here = [entry for entry in received if entry.message_id in mine]
    arrived = {entry.message_id for entry in here}
    unknown = await records.in_state(rig, ids, "unknown")
    untold = await records.in_state(rig, ids, "failed", *UNDER_WAY, "unknown")
    states = await records.states(rig, ids)
    return {
        "messages": len(ids),
        "lost": len(mine - arrived - untold),
        "duplicates": ledger.repeats(here),
        "unknown_arrived": len(unknown & arrived),
        "unknown_never_arrived": len(unknown - arrived),
        "under_way": sum(states.get(name, 0) for name in UNDER_WAY),
        "states": records.named(states),
    }


def _percent(faults: dict[str, float]) -> str:
    return ", ".join(f"{share:.0%} {name.replace('_', ' ')}" for name, share in faults.items())


SCENARIO: Final = Scenario(
    "chaos",
    "hangs, server errors and kill -9 of a sender every ten seconds",
    240,
    run,
    apart=True,
    settings={"CHASQUI_SENDER__UNKNOWN_GRACE_SECONDS": str(GRACE_SECONDS)},
)
