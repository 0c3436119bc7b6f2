"""`make run` as a user meets it: refusals in one sentence, Ctrl-C, and what is there the next time."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.platform import Api, Platform, until


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[Platform]:
    """A platform of the test's own, not started."""
    platform = Platform(tmp_path)
    yield platform
    platform.end()


def sentence(output: str) -> str:
    """The refusal: the last line, behind lines of progress; no traceback."""
    assert "Traceback" not in output, output
    return output.strip().splitlines()[-1]


async def test_a_taken_port_is_named_with_the_way_out(own: Platform) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        own.ports["CHASQUI_HTTP__PORT"] = str(port)
        code, output = await own.refused()
    assert code == 1
    assert sentence(output) == f"Port {port} is taken: stop what listens there, or choose another one with CHASQUI_HTTP__PORT."


async def test_a_misspelt_setting_is_named_with_the_likely_one(own: Platform) -> None:
    own.settings["CHASQUI_HTP__PORT"] = "8080"
    code, output = await own.refused()
    assert code == 1
    assert sentence(output) == "CHASQUI_HTP__PORT is no setting; did you mean CHASQUI_HTTP__PORT?"
    assert not descendants(os.getpid(), inside=str(own.folder)), "its servers ended with it"


async def test_a_setting_out_of_range_is_named(own: Platform) -> None:
    own.settings["CHASQUI_SENDER__CONCURRENCY"] = "0"
    code, output = await own.refused()
    assert code == 1
    assert sentence(output).startswith("CHASQUI_SENDER__CONCURRENCY: ")


async def test_a_port_that_is_no_number_is_named(own: Platform) -> None:
    own.ports["CHASQUI_ARCHIVE__PORT"] = "eighty"
    code, output = await own.refused()
    assert (code, sentence(output)) == (1, "CHASQUI_ARCHIVE__PORT must be a port number, not 'eighty'.")


async def test_a_second_start_in_the_same_folder_is_refused_and_disturbs_nobody(own: Platform) -> None:
    await own.start()
    second = Platform(own.folder)
    process = second.launch()
    await until(lambda: process.poll() is not None, "the refusal")
    assert process.wait() == 1
    assert own.process is not None
    said = sentence(own.output.read_text())
    assert said == f"Another run (process {own.process.pid}) uses {own.folder / 'home'}: stop that one first."
    async with own.api() as api:
        await api.until_status(await api.send(to="+15551234567"), "read")
    assert own.stop() == 0


async def test_ctrl_c_ends_everything_and_the_next_start_finds_what_was_there(own: Platform) -> None:
    await own.start()
    key = own.run["test_key"]
    async with own.api() as api:
        read = await api.send(to="+15551234567", text={"body": "first day"})
        await until(lambda: hits(api), "the message and its answer to be found")
        due = datetime.now(UTC) + timedelta(seconds=3)
        waiting = await api.send(to="+15551234568", scheduled_time=due.isoformat())
        numbers = await api.get("/api/numbers")
    assert own.process is not None
    begun = descendants(own.process.pid)
    assert len(begun) >= 3, "the process, PostgreSQL and Valkey"
    assert own.stop() == 0
    assert own.output.read_text().endswith("Stopped.\n")
    assert not (own.folder / "home" / "run.json").exists()
    assert not [pid for pid in begun if Path(f"/proc/{pid}").exists()], "left behind"

    began = time.monotonic()
    await own.start()
    sys.stdout.write(f"later start: {time.monotonic() - began:.1f} s\n")
    assert own.run["test_key"] == key
    async with own.api() as api:
        assert await api.get("/api/numbers") == numbers
        assert (await api.message(read))["status"] == "read"
        assert await hits(api)
        assert_not_early(await api.until_status(waiting, "read"), due)
    assert own.stop() == 0


async def test_ctrl_c_during_the_start_ends_everything_too(own: Platform) -> None:
    process = own.launch()
    await until(lambda: "PostgreSQL" in own.output.read_text(), "the start to have begun")
    begun = descendants(process.pid)
    assert own.stop() in {0, 130}
    assert "Traceback" not in own.output.read_text()
    # A server that was just being started has its death signal, and ends a moment after us.
    await until(lambda: not [pid for pid in begun if Path(f"/proc/{pid}").exists()], "everything to end")


async def test_ctrl_c_during_a_start_in_the_background_ends_it_too(own: Platform) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as shells have it for what ends with &
    try:
        process = own.launch()
    finally:
        signal.signal(signal.SIGINT, before)
    await until(lambda: "PostgreSQL" in own.output.read_text(), "the start to have begun")
    begun = descendants(process.pid)
    assert own.stop() in {0, 130}
    await until(lambda: not [pid for pid in begun if Path(f"/proc/{pid}").exists()], "everything to end")


async def test_no_scheduled_message_is_early(own: Platform) -> None:
    await own.start()
    async with own.api() as api:
        base = datetime.now(UTC) + timedelta(seconds=1)
        dues = [base + timedelta(milliseconds=137 * n) for n in range(10)]
        ids = [await api.send(to=f"+1555123{n:04d}", scheduled_time=due.isoformat()) for n, due in enumerate(dues)]
        late = [assert_not_early(await api.until_status(i, "read"), due) for i, due in zip(ids, dues, strict=True)]
    sys.stdout.write(f"lateness: {sorted(round(one * 1000) for one in late)} ms\n")
    assert own.stop() == 0


async def hits(api: Api) -> bool:
    """Whether both sides of the conversation are found."""
    return len((await api.get("/api/search?q=first+day"))["data"]) == 2


def assert_not_early(message: dict[str, object], due: datetime) -> float:
    """Neither released nor sent before its time; returns by how many seconds the sending began late."""
    timeline = message["timeline"]
    assert isinstance(timeline, list)
    moments = {entry["status"]: datetime.fromisoformat(entry["at"]) for entry in timeline}
    assert moments["queued"] >= due
    assert moments["sending"] >= due
    return (moments["sending"] - due).total_seconds()


def descendants(ancestor: int, inside: str | None = None) -> list[int]:
    """Itself and every process begun by it, directly or not; with `inside`, those whose command line names it."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it has just ended
    found, fresh = {ancestor}, {ancestor}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh}
        found |= fresh
    return sorted(pid for pid in found if inside is None or inside in command_of(pid))


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
