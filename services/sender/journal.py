"""The departure journal: which attempts began to leave this process, kept where kill -9 does not reach.

An attempt is claimed in the database some milliseconds before its request is written. After a crash the database cannot tell the
claimed from the departed; all would have to be treated as perhaps sent. The journal tells: a line is appended right before the
request's bytes are written, to a file that outlives the process (not the machine; then all are perhaps sent, as before). So after a
restart what is not in the journal goes back to be sent, and what is in it waits for the provider's report.

One folder, one file per process and segment, named `<instance>.<segment>`, locked while the process lives. A full segment is
deleted once every attempt in it is settled.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from services.sender.domain.attempt import AttemptId, parse_attempt_id
from shared.ids import new_id

SEGMENT_LINES: Final = 20_000


class Segment:
    """One file. `open_attempts` are those in it that are not settled."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        self.open_attempts = 0
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        # Waits, for microseconds: somebody may be looking whether this new file is abandoned.
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def append(self, line: bytes) -> None:
        os.write(self._file, line)
        self.lines += 1
        self.open_attempts += 1

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self._file)


class Journal:
    """This process's journal in `folder`. Every call is one short system call; no fsync: the page cache outlives a process."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self.instance = new_id("snd")
        self._count = 0
        self._current = self._next_segment()
        self._segment_of: dict[AttemptId, Segment] = {}

    def departed(self, attempt: AttemptId) -> None:
        """The attempt's request is written next."""
        if self._current.lines >= SEGMENT_LINES:
            full, self._current = self._current, self._next_segment()
            if full.open_attempts == 0:
                full.discard()
        self._current.append(f"{attempt}\n".encode())
        self._segment_of[attempt] = self._current

    def settled(self, attempt: AttemptId) -> None:
        """The attempt's outcome is committed. An attempt that never departed is fine."""
        segment = self._segment_of.pop(attempt, None)
        if segment is None:
            return
        segment.open_attempts -= 1
        if segment.open_attempts == 0 and segment is not self._current:
            segment.discard()

    def close(self) -> None:
        """Leave nothing behind when everything is settled; otherwise the files stay for the next start to read."""
        unsettled = set(self._segment_of.values())
        if self._current not in unsettled:
            self._current.discard()

    def _next_segment(self) -> Segment:
        self._count += 1
        return Segment(self._folder / f"{self.instance}.{self._count}")


def abandoned(folder: Path) -> Iterator[tuple[str, set[AttemptId], list[Path]]]:
    """Of each process that is gone: its instance, the attempts that departed from it, and its files, to be deleted once the
    attempts are dealt with. A line cut off by the crash belongs to a request that was not written."""
    instances: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("snd_*.*")):
        instances.setdefault(path.name.partition(".")[0], []).append(path)
    for instance, paths in instances.items():
        if any(_is_locked(path) for path in paths):
            continue
        departed: set[AttemptId] = set()
        try:
            contents = [path.read_bytes() for path in paths]
        except FileNotFoundError:  # another replica has dealt with it meanwhile
            continue
        for content in contents:
            lines = content.split(b"\n")[:-1]
            parsed = (parse_attempt_id(line.decode("ascii", "replace")) for line in lines)
            departed.update(attempt for attempt in parsed if attempt is not None)
        yield instance, departed, paths


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True  # gone since: its process lives and has tidied up
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
