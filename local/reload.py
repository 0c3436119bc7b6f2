"""`make reload`: each service of the stack that is up is replaced by a new process, in turn; no request fails meanwhile."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

from local.errors import LocalError
from local.home import Home

RELOAD_SECONDS: Final = 240.0


def reload(facts: Path) -> str:
    """Ask the stack behind this `run.json` and wait; returns what it said about it. Raises `LocalError`."""
    before = _read(facts)
    if before.get("mode") != "stack":
        raise LocalError("Only what `make stack` started can be reloaded; restart `make run` instead.")
    try:
        os.kill(before["pid"], signal.SIGUSR2)
    except ProcessLookupError:
        raise LocalError("The stack is not running any more: start it with make stack.") from None
    deadline = time.monotonic() + RELOAD_SECONDS
    while time.monotonic() < deadline:
        told: list[str] = _read(facts)["reloads"]
        if len(told) > len(before["reloads"]):
            if told[-1]:
                raise LocalError(told[-1])
            return "Every service was replaced."
        time.sleep(0.1)
    raise LocalError(f"The services were not replaced within {RELOAD_SECONDS:.0f} s; see what the stack says.")


def _read(facts: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(facts.read_text())
    except FileNotFoundError:
        raise LocalError("Nothing runs here: start make stack first.") from None
    return found


def entry() -> int:
    """Faults that the user can mend are one sentence."""
    try:
        sys.stdout.write(reload(Home.from_environment().path / "run.json") + "\n")
    except LocalError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(entry())
