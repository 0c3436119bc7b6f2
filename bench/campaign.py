"""A campaign that is paused, resumed and robbed of its processes again and again: everybody gets it exactly once, or not."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from bench import ledger
from bench.rig import Rig
from bench.scenario import Report, Row, Scale, Scenario

PER_SECOND: Final = 1_000
BULK: Final = 5_000
PATIENCE_SECONDS: Final = 300.0
KILLED: Final = ("scheduler", "sender")
DISTURBANCES: Final = ("pause", "pause", *KILLED)
LONGEST_CALM_SECONDS: Final = 3.0
LONGEST_PAUSE_SECONDS: Final = 2.0
SETTLED: Final = ("completed", "failed", "canceled")
SEED: Final = 20


async def run(rig: Rig, scale: Scale) -> Report:
    """One undisturbed, one through pauses and kills, one that is canceled in the middle."""
    [number] = await rig.connect(1, per_second=PER_SECOND)
    size, disturbances = scale.of((100_000, 20), (2_000, 4))
    group_id, contacts_per_second = await _audience(rig, size)
    rows: dict[str, Row] = {}
    for name, times in (("undisturbed", 0), (f"{disturbances} disturbances", disturbances)):
        await ledger.forget(rig)
        campaign_id = await _draft(rig, number.id, group_id, name)
        began = time.monotonic()
        await rig.api("POST", f"campaigns/{campaign_id}/start", {})
        done = await _disturb(rig, campaign_id, times)
        campaign = await _until_settled(rig, campaign_id)
        rows[name] = await _counted(rig, campaign, time.monotonic() - began) | {"done": done}
    rows["canceled halfway"] = await _cancel_halfway(rig, number.id, group_id, size)
    return Report(
        rows,
        [
            f"{size:,} recipients of one group, one number of {PER_SECOND:,}/s; contacts stored at {contacts_per_second:,.0f}/s.",
            "terminal: recipients with a terminal state; sent: those that say sent; arrived: recipients in the sandbox's ledger.",
            "disagree: recipients of whom ledger and campaign say different things. cancel s: until nothing more arrived.",
            "unknown: killed between the intent and the wire, and after 20 s of grace nobody knows; they are sent nothing more.",
        ],
    )


async def _audience(rig: Rig, size: int) -> tuple[str, float]:
    """A group of so many contacts, and how many a second were stored."""
    contacts = [{"phone": _phone(n), "name": f"Nobody {n}"} for n in range(size)]
    ids: list[str] = []
    began = time.monotonic()
    for start in range(0, size, BULK):
        answer = await rig.api("POST", "contacts/bulk", contacts[start : start + BULK])
        ids += [one["id"] for one in answer["results"]]
    seconds = time.monotonic() - began
    group_id = str((await rig.api("POST", "groups", {"name": f"everybody {size}"}))["id"])
    for start in range(0, size, BULK):
        await rig.api("POST", f"groups/{group_id}/members", {"contact_ids": ids[start : start + BULK]})
    return group_id, size / seconds


def _phone(n: int) -> str:
    return f"+4915{200_000_000 + n}"


async def _draft(rig: Rig, number_id: str, group_id: str, name: str) -> str:
    body = {
        "name": name,
        "from": number_id,
        "audience": {"group_id": group_id},
        "content": {"type": "text", "text": {"body": "Hello {{name}}, this is a campaign."}},
    }
    return str((await rig.api("POST", "campaigns", body))["id"])


async def _disturb(rig: Rig, campaign_id: str, times: int) -> str:
    """Pauses, each with its resumption, and kills, at random moments while the campaign runs; says what was done."""
    chance = random.Random(SEED)  # noqa: S311  # the same moments in every run
    done: Counter[str] = Counter()
    for _ in range(times):
        await asyncio.sleep(chance.uniform(0.2, LONGEST_CALM_SECONDS))
        what = chance.choice(DISTURBANCES)
        if (await _api(rig, "GET", f"campaigns/{campaign_id}"))["state"] in SETTLED:
            break
        if what == "pause":
            await _api(rig, "POST", f"campaigns/{campaign_id}/pause", {})
            await asyncio.sleep(chance.uniform(0.1, LONGEST_PAUSE_SECONDS))
            await _api(rig, "POST", f"campaigns/{campaign_id}/resume", {})
        else:
            _kill(rig.pids(what))
        done[what] += 1
    return ", ".join(f"{count} {what}" for what, count in sorted(done.items())) or "nothing"


async def _api(rig: Rig, method: str, path: str, body: Any = None) -> Any:
    """Ask until there is an answer: the scheduler may just be starting again. A pause, a resumption or a cancellation that was done
    before its answer was lost is refused when asked for again, and done all the same."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await rig.api(method, path, body)
        except RuntimeError as error:
            if "campaign.wrong_state" in str(error):
                return None
            if "answered 503" not in str(error) or time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.2)


def _kill(pids: Sequence[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # it is being started again


async def _until_settled(rig: Rig, campaign_id: str) -> dict[str, Any]:
    """Everybody's way is over, or patience is."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        campaign: dict[str, Any] = await _api(rig, "GET", f"campaigns/{campaign_id}")
        progress = campaign["progress"]
        is_over = campaign["state"] in SETTLED and sum(progress["ended"].values()) == progress["total"]
        if is_over or time.monotonic() > deadline:
            return campaign
        await asyncio.sleep(0.2)


async def _counted(rig: Rig, campaign: dict[str, Any], seconds: float) -> Row:
    progress = campaign["progress"]
    received = await ledger.entries(rig)
    arrived = {entry.to.lstrip("+") for entry in received}
    said = await _said_sent(rig, campaign["id"])
    return {
        "state": campaign["state"],
        "recipients": progress["total"],
        "terminal": sum(progress["ended"].values()),
        "sent": progress["ended"].get("sent", 0),
        "unknown": progress["ended"].get("unknown", 0),
        "arrived": len(arrived),
        "duplicates": ledger.repeats(received) + len(received) - len(arrived),
        "disagree": len(arrived ^ said),
        "seconds": round(seconds, 1),
        "per_second": round(progress["total"] / seconds),
    }


async def _said_sent(rig: Rig, campaign_id: str) -> set[str]:
    """The phones of those of whom the campaign says that they were sent to, without the plus sign."""
    found: set[str] = set()
    path = f"campaigns/{campaign_id}/recipients?state=sent&limit=500"
    next_path: str | None = path
    while next_path is not None:
        page = await _api(rig, "GET", next_path)
        found |= {str(one["to"]).lstrip("+") for one in page["data"]}
        next_path = f"{path}&cursor={page['next_cursor']}" if page.get("next_cursor") else None
    return found


async def _cancel_halfway(rig: Rig, number_id: str, group_id: str, size: int) -> Row:
    await ledger.forget(rig)
    campaign_id = await _draft(rig, number_id, group_id, "to be canceled")
    began = time.monotonic()
    await rig.api("POST", f"campaigns/{campaign_id}/start", {})
    await ledger.until_accepted(rig, size // 4, PATIENCE_SECONDS)
    asked_at = time.time()
    await _api(rig, "POST", f"campaigns/{campaign_id}/cancel", {})
    row = await _counted(rig, await _until_settled(rig, campaign_id), time.monotonic() - began)
    await asyncio.sleep(LONGEST_CALM_SECONDS)
    last = max((entry.at for entry in await ledger.entries(rig)), default=asked_at)
    return row | {"cancel_s": round(max(0.0, last - asked_at), 2)}


SCENARIO: Final = Scenario(
    "campaign",
    "100,000 recipients, twenty pauses and kills, one cancellation",
    420,
    run,
    apart=True,
    settings={"CHASQUI_SENDER__UNKNOWN_GRACE_SECONDS": "20"},
)
