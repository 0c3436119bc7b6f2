"""Many users of the API at once, by Locust, beside what was measured before Chasqui."""

from __future__ import annotations

import asyncio
import csv
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

from bench.rig import ROOT, Rig
from bench.scenario import Report, Row, Scale, Scenario
from local.children import Child, last_lines

LOCUSTFILE: Final = Path(__file__).with_name("locustfile.py")
FORMER: Final[dict[int, Row]] = {
    100: {"rps": 450, "mean_ms": 45, "p95_ms": 89, "errors_percent": 0.0},
    500: {"rps": 980, "mean_ms": 78, "p95_ms": 156, "errors_percent": 0.1},
    1_000: {"rps": 1_850, "mean_ms": 145, "p95_ms": 298, "errors_percent": 0.5},
    2_000: {"rps": 3_200, "mean_ms": 289, "p95_ms": 580, "errors_percent": 1.2},
}
"""Requirement B's own figures, of its own machines: by users."""
SECONDS: Final = 30
SPAWN_SECONDS: Final = 10
END_SECONDS: Final = 30.0
CONTACTS: Final = 100
SETTINGS: Final = {"CHASQUI_GATEWAY__SCHEDULES_PER_MINUTE": "100000"}
"""All users share one API key, which may make 100 schedules a minute usually."""


async def run(rig: Rig, scale: Scale) -> Report:
    """Each number of users for as long, from few to many; what was stored stays, so the lists grow."""
    [number] = await rig.connect(1, per_second=80)
    subjects = {
        "CHASQUI_KEY": rig.facts["test_key"],
        "BENCH_NUMBER": number.id,
        "BENCH_DRAFT": await _draft(rig),
        "BENCH_GROUP": await _group(rig),
    }
    report = Report()
    for users in scale.of(tuple(FORMER), (20,)):
        report.rows[f"{users:,} users"] = await _locust(rig, users, scale.of(SECONDS, 5), subjects)
        if users in FORMER:
            report.rows[f"{users:,} users, before"] = FORMER[users]
    report.notes += (
        "3 lists of messages : 2 lists of schedules : 1 new schedule, 1 to 3 s apart: half as many requests a second as users",
        "at most, whatever answers them: the former figures cannot have had that pause. Locust is one process on these cores.",
    )
    return report


async def _draft(rig: Rig) -> str:
    body = {"name": "what users schedule", "type": "text", "text": {"body": "Hello from a schedule"}}
    return str((await rig.api("POST", "drafts", body))["id"])


async def _group(rig: Rig) -> str:
    contacts = [{"phone": f"+4915{100_000_000 + n}"} for n in range(CONTACTS)]
    stored = await rig.api("POST", "contacts/bulk", contacts)
    group_id = str((await rig.api("POST", "groups", {"name": "what users write to"}))["id"])
    await rig.api("POST", f"groups/{group_id}/members", {"contact_ids": [one["id"] for one in stored["results"]]})
    return group_id


async def _locust(rig: Rig, users: int, seconds: int, subjects: dict[str, str]) -> Row:
    """A process of its own; what happens while its users come is not counted. Raises `RuntimeError` where it says nothing."""
    prefix, log = rig.home / f"locust-{users}", rig.home / f"locust-{users}.log"
    spawning = min(SPAWN_SECONDS, seconds)
    child = Child.start(
        [
            *(sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--host", rig.facts["gateway_url"]),
            *("--headless", "--users", str(users), "--spawn-rate", str(max(1, users // spawning)), "--reset-stats"),
            *("--run-time", f"{spawning + seconds}s", "--stop-timeout", "10", "--only-summary", "--csv", str(prefix)),
            *("--exit-code-on-error", "0", "--loglevel", "WARNING"),
        ],
        env={**os.environ, **subjects},
        log_path=log,
        cwd=ROOT,
        death_signal=signal.SIGTERM,
    )
    try:
        async with asyncio.timeout(spawning + seconds + END_SECONDS):
            while child.running:
                await asyncio.sleep(0.2)
    finally:
        child.stop(signal.SIGINT, END_SECONDS)
    stats = prefix.with_name(f"{prefix.name}_stats.csv")
    if not stats.exists():
        raise RuntimeError(f"Locust has left no figures: {last_lines(log, 20)}")
    with stats.open(newline="") as file:
        return _row(next(line for line in csv.DictReader(file) if line["Name"] == "Aggregated"))


def _row(total: dict[str, Any]) -> Row:
    requests = int(total["Request Count"])
    return {
        "rps": round(float(total["Requests/s"])),
        "mean_ms": round(float(total["Average Response Time"])),
        "p95_ms": int(float(total["95%"])),
        "errors_percent": round(100 * int(total["Failure Count"]) / max(1, requests), 2),
        "requests": requests,
    }


SCENARIO: Final = Scenario(
    "users", "users of the API: lists and new schedules, by Locust", 180, run, apart=True, settings=SETTINGS
)
