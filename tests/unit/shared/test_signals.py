"""What signals do to a process, seen from outside."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

PROGRAM = """
import asyncio, sys, time
import shared.run
from shared.run import Stage, main

conduct = sys.argv[1]
# Only what is to be bitten is: the others have time, on a machine that stands still at times too.
shared.run.WATCHDOG_GRACE_SECONDS = 10 if conduct == "hangs" else 0.2

class Part:
    name, stage = "part", Stage.WORK

    async def run(self, stop):
        if conduct in {"fails", "fails, and hangs closing"}:
            raise ValueError("a bug")
        await stop.wait()
        print("stopping", flush=True)
        if conduct == "hangs":
            await asyncio.sleep(60)
        if conduct == "blocks":
            time.sleep(60)

async def build(stack):
    if conduct.endswith("hangs closing"):
        stack.push_async_callback(asyncio.sleep, 60)
    if conduct.startswith("unbuildable"):
        raise OSError("no server")
    stack.callback(lambda: print("closed", flush=True))
    return [Part()]

sys.exit(main([build], drain_seconds=float(sys.argv[2]), on_started=lambda: print("started", flush=True)))
"""


@contextmanager
def process(conduct: str, drain_seconds: float = 30) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), conduct, str(drain_seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        try:
            yield child
        finally:
            child.kill()


def said(child: subprocess.Popen[str], line: str) -> None:
    """Its next line of its own (logs are JSON or start with a time)."""
    assert child.stdout is not None
    for text in child.stdout:
        if text.strip() in {"started", "stopping", "closed"}:
            assert text.strip() == line
            return
    pytest.fail(f"it ended without saying {line}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(number: signal.Signals) -> None:
    with process("well") as child:
        said(child, "started")
        child.send_signal(number)
        said(child, "stopping")
        said(child, "closed")
        assert child.wait(60) == 0


def test_what_does_not_end_in_its_time_is_cut() -> None:
    with process("hangs", drain_seconds=0.1) as child:
        said(child, "started")
        child.terminate()
        said(child, "stopping")
        said(child, "closed")
        assert child.wait(60) == 0


def test_a_second_signal_ends_it_at_once() -> None:
    with process("hangs") as child:
        said(child, "started")
        child.send_signal(signal.SIGINT)
        said(child, "stopping")
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 130


def test_a_loop_that_stands_still_is_bitten_by_the_watchdog_which_says_where() -> None:
    with process("blocks", drain_seconds=0.1) as child:
        said(child, "started")
        child.terminate()
        said(child, "stopping")
        assert child.wait(60) == 70
        assert child.stderr is not None
        shown = child.stderr.read()
        assert "where each thread stood" in shown
        assert "in run" in shown


@pytest.mark.parametrize("conduct", ["fails, and hangs closing", "unbuildable, and hangs closing"])
def test_a_failure_whose_unwinding_hangs_is_bitten_too(conduct: str) -> None:
    with process(conduct, drain_seconds=0.1) as child:
        assert child.wait(60) == 70


@pytest.mark.parametrize("conduct", ["fails", "unbuildable"])
def test_a_failure_is_the_exit_code_one(conduct: str) -> None:
    with process(conduct) as child:
        assert child.wait(60) == 1
