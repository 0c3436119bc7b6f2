"""`make bench`: everything, one table, one JSON file."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.ceiling import bare_client
from bench.pipeline import alone, saturated
from bench.rig import ROOT, running_rig

RESULTS: Final = Path(__file__).parent / "results"
PACKAGES: Final = ("aiohttp", "aio-pika", "asyncpg", "uvloop", "pydantic", "orjson", "redis")


async def measure(count: int) -> dict[str, Any]:
    """All parts, one after the other, on one stack."""
    async with running_rig() as rig:
        facts = {"postgresql": await rig.database.fetchval("SHOW server_version"), "bus": "RabbitMQ"}
        _say("warming up")
        await saturated(rig, 2_000)
        results: dict[str, Any] = {}
        for name, part in (
            ("one message alone", alone(rig, 200, 0.02)),
            ("pipeline, saturated", saturated(rig, count)),
            ("bare aiohttp client", bare_client(rig, count)),
        ):
            _say(name)
            results[name] = await part
        return {"servers": facts, "results": results}


def surroundings() -> dict[str, Any]:
    """The machine, the versions, the commit."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "cores": os.cpu_count(),
        "processor": model,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def table(results: dict[str, dict[str, Any]]) -> str:
    """One line a part."""
    columns = ("messages", "messages_per_second", "p50_ms", "p95_ms", "p99_ms", "lost", "duplicates")
    lines = [" ".join((f"{'':22}", *(f"{name:>20}" for name in columns)))]
    for part, figures in results.items():
        lines.append(" ".join((f"{part:22}", *(f"{figures.get(name, ''):>20}" for name in columns))))
    pipeline, bare = results["pipeline, saturated"], results["bare aiohttp client"]
    share = pipeline["messages_per_second"] / bare["messages_per_second"]
    return "\n".join((*lines, f"the pipeline does {share:.0%} of what the bare client does in the same run"))


def _say(text: str) -> None:
    sys.stderr.write(f"… {text}\n")


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--messages", type=int, default=30_000)
    count: int = parser.parse_args().messages
    before = surroundings()
    measured = uvloop.run(measure(count))
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{before['at'].replace(':', '')}.json"
    path.write_text(json.dumps({**before, **measured}, indent=1) + "\n")
    sys.stdout.write(f"{table(measured['results'])}\nwritten to {path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
