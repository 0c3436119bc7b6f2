"""What a run leaves: a table per scenario, and one JSON file with the machine's facts."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from bench.rig import ROOT
from bench.scenario import Report

RESULTS: Final = Path(__file__).parent / "results"
PACKAGES: Final = (
    "aiohttp", "aio-pika", "asyncpg", "uvloop", "pydantic", "orjson", "redis", "celery", "requests", "taskiq", "taskiq-aio-pika",
    "locust",
)  # fmt: skip


def surroundings() -> dict[str, Any]:
    """The machine, the versions, the commit."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "--porcelain") else ""),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def write(facts: Mapping[str, Any]) -> Path:
    """One file per run, named after its beginning."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{facts['at'].replace(':', '')}.json"
    path.write_text(json.dumps(facts, indent=1) + "\n")
    return path


def table(title: str, report: Report) -> str:
    """A line per row, a column per key that any row has, in the order they first appear."""
    columns = list(dict.fromkeys(key for row in report.rows.values() for key in row))
    heads = [column.replace("_", " ") for column in columns]
    body = [[name, *(_shown(row.get(column)) for column in columns)] for name, row in report.rows.items()]
    widths = [max(map(len, column)) for column in zip(["", *heads], *body, strict=True)]
    lines = ["  ".join(_padded(line, widths)).rstrip() for line in [["", *heads], *body]]
    return "\n".join((f"\n{title}", *lines, *(f"  {note}" for note in report.notes)))


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The first to the left, figures to the right."""
    return [f"{cell:>{width}}" if at else f"{cell:<{width}}" for at, (cell, width) in enumerate(zip(line, widths, strict=True))]


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
