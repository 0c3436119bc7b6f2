"""The departure journal: what it says after a crash, and what it leaves behind."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from services.sender import journal as module
from services.sender.domain.attempt import AttemptId
from services.sender.journal import Journal, abandoned
from shared.ids import MessageId, new_id

DIES = """
import os, signal, sys
from pathlib import Path
from services.sender import journal
from services.sender.domain.attempt import AttemptId

journal.SEGMENT_LINES = 40
book = journal.Journal(Path(sys.argv[1]))
print(book.instance, flush=True)
for number in range(100):
    attempt = AttemptId(sys.argv[2], number + 1)
    book.departed(attempt)
    if number < 50:
        book.settled(attempt)
print("departed", flush=True)
if sys.argv[3] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
sys.stdin.read()
"""


def attempts(count: int) -> list[AttemptId]:
    return [AttemptId(MessageId(new_id("msg")), 1) for _ in range(count)]


def left(folder: Path) -> dict[str, set[AttemptId]]:
    return {instance: departed for instance, departed, _ in abandoned(folder)}


def crash(journal: Journal) -> None:
    """What a crash does to a journal: its locks are gone, its files stay."""
    segments: Iterable[Any] = {id(s): s for s in (journal._current, *journal._segment_of.values())}.values()
    for segment in segments:
        os.close(segment._file)


def process(folder: Path, message: str, conduct: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", DIES, str(folder), message, conduct], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_a_killed_process_leaves_what_departed_from_it(tmp_path: Path) -> None:
    message = new_id("msg")
    with process(tmp_path, message, "killed") as child:
        assert child.stdout is not None
        instance = child.stdout.readline().strip()
        assert child.wait(20) == -signal.SIGKILL
    (found,) = left(tmp_path).items()
    assert found[0] == instance
    # the first segment, of 40 lines, was all settled and is gone
    assert found[1] == {AttemptId(MessageId(message), number) for number in range(41, 101)}


def test_a_living_process_is_not_taken_for_gone_until_it_dies(tmp_path: Path) -> None:
    with process(tmp_path, new_id("msg"), "lives") as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert child.stdout.readline() == "departed\n"
        assert left(tmp_path) == {}
        child.kill()
        child.wait(20)
        assert len(left(tmp_path)) == 1


def test_a_process_does_not_take_itself_for_gone(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.departed(attempts(1)[0])
    assert left(tmp_path) == {}
    journal.close()


def test_full_segments_vanish_when_all_in_them_is_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_LINES", 10)
    journal, gone = Journal(tmp_path), attempts(35)
    for attempt in gone:
        journal.departed(attempt)
    assert len(list(tmp_path.iterdir())) == 4
    for attempt in gone[5:]:
        journal.settled(attempt)
    assert len(list(tmp_path.iterdir())) == 2, "the first has open attempts, the last is being written"
    for attempt in gone[:5]:
        journal.settled(attempt)
    assert len(list(tmp_path.iterdir())) == 1
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_a_segment_that_is_settled_before_it_is_full_vanishes_when_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEGMENT_LINES", 10)
    journal = Journal(tmp_path)
    for attempt in attempts(100):
        journal.departed(attempt)
        journal.settled(attempt)
    assert len(list(tmp_path.iterdir())) == 1
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_an_end_with_open_attempts_leaves_them_to_be_read(tmp_path: Path) -> None:
    journal, (one, other) = Journal(tmp_path), attempts(2)
    journal.departed(one)
    journal.departed(other)
    journal.settled(one)
    journal.close()
    crash(journal)
    assert set(left(tmp_path)) == {journal.instance}
    assert other in left(tmp_path)[journal.instance]


def test_settling_what_never_departed_or_twice_is_fine(tmp_path: Path) -> None:
    journal, (one, other) = Journal(tmp_path), attempts(2)
    journal.settled(one)
    journal.departed(other)
    journal.settled(other)
    journal.settled(other)
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_a_line_cut_off_by_the_crash_is_passed_over(tmp_path: Path) -> None:
    whole, cut = attempts(2)
    path = tmp_path / f"{new_id('snd')}.1"
    for length in range(len(f"{cut}\n")):
        path.write_bytes(f"{whole}\n".encode() + f"{cut}\n".encode()[:length])
        assert list(left(tmp_path).values()) == [{whole}]


def test_lines_that_are_no_attempts_are_passed_over(tmp_path: Path) -> None:
    (whole,) = attempts(1)
    (tmp_path / f"{new_id('snd')}.1").write_bytes(b"\xff\xfe\n\n\0\0\0\n" + f"{whole}\n".encode() + b"msg_x.1\n")
    assert list(left(tmp_path).values()) == [{whole}]


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("x")
    assert left(tmp_path) == {}
    assert left(tmp_path / "absent") == {}


def test_a_segment_is_made_even_while_somebody_looks_whether_it_is_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every process of the machine, this one too, looks through the folder every few seconds: a new file is soon seen."""
    flock, looks = fcntl.flock, []

    def looked_at(descriptor: int, operation: int) -> None:
        if operation & fcntl.LOCK_EX and not looks:
            looks.append(os.open(next(tmp_path.iterdir()), os.O_RDONLY))
            flock(looks[0], fcntl.LOCK_SH)
            with pytest.raises(BlockingIOError):
                flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if operation & fcntl.LOCK_NB:
                raise BlockingIOError
            flock(looks[0], fcntl.LOCK_UN)  # a look lasts some microseconds
            os.close(looks[0])
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", looked_at)
    journal = Journal(tmp_path)
    assert left(tmp_path) == {}
    journal.close()
