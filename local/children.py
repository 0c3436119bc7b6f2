"""Foreground child processes that cannot outlive this one, not even when it is killed with SIGKILL."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from local.accounts import Account
from local.errors import LocalError, explained

LOG_LIMIT_BYTES: Final = 10_000_000

# A parent that died before the death signal was asked for sends none: look once more, then become the program.
IF_PARENT_LIVES: Final = ("/bin/sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"')


class Child:
    """A started process, leader of a session: Ctrl-C in the terminal reaches only us, who stop it when its turn comes.

    The kernel sends `death_signal` when the *thread* that forked ends, so each child has a thread of its own: it forks and
    waits, and thus lives exactly as long as the child or this process does. Hence `start` may be called from any thread.
    """

    def __init__(self, process: subprocess.Popen[bytes], ended: threading.Event) -> None:
        self._process = process
        self._ended = ended
        self.pid = process.pid

    @classmethod
    def start(
        cls,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        log_path: Path,
        as_user: Account | None = None,
        cwd: Path | None = None,
        stdin: bytes = b"",
        death_signal: signal.Signals = signal.SIGKILL,
        descriptors: Sequence[int] = (),
    ) -> Child:
        """Start `argv` with exactly `env`, `stdin` (at most 64 kB), our open `descriptors` and both outputs appended to `log_path`.

        Raises `LocalError` when it cannot be executed; whether it then does its work is the caller's to see.
        """
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise LocalError("The program setpriv is missing: install the package util-linux.")
        account = as_user.setpriv() if as_user is not None else ()
        tied = (setpriv, "--pdeathsig", death_signal.name.removeprefix("SIG"), *account, "--")
        command = [*tied, *IF_PARENT_LIVES, str(os.getpid()), *argv]
        started: Future[subprocess.Popen[bytes]] = Future()
        ended = threading.Event()

        def tend() -> None:
            try:
                with log_path.open("ab") as log:
                    process = subprocess.Popen(
                        command,
                        env=dict(env),
                        cwd=cwd,
                        stdin=subprocess.PIPE,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                        pass_fds=descriptors,
                    )
            except OSError as error:
                started.set_exception(error)
                return
            started.set_result(process)
            process.wait()
            ended.set()

        with explained(log_path):
            if log_path.exists() and log_path.stat().st_size > LOG_LIMIT_BYTES:
                log_path.unlink()
            threading.Thread(target=tend, name=f"child {Path(argv[0]).name}", daemon=True).start()
            process = started.result()
        child = cls(process, ended)
        child._feed(stdin)
        return child

    def _feed(self, text: bytes) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            pipe.write(text)
            pipe.close()
        except BrokenPipeError:
            pass  # it ended at once; its exit code and log say why

    @property
    def running(self) -> bool:
        return not self._ended.is_set()

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number where a signal ended it."""
        return self._process.returncode if self._ended.is_set() else None

    def wait(self, seconds: float) -> bool:
        """Whether it ended within that time."""
        return self._ended.wait(seconds)

    def send(self, number: signal.Signals) -> None:
        """Nothing happens where it has ended already."""
        if self.running:
            self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 10) -> None:
        """Ask with `number`, wait, and past `seconds` kill it. Returns when it is gone. Twice is safe."""
        self.send(number)
        if not self.wait(seconds):
            self.kill()

    def kill(self) -> None:
        """SIGKILL to its whole process group. Returns when it is gone. Twice is safe."""
        if self.running:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has just ended
        self._ended.wait()


def end_former(directory: Path, name: str, *, patience_seconds: float) -> None:
    """Wait until no process called `name` works in `directory`; press harder as time passes.

    For the children of a run that was killed: they have had their death signal, so mostly waiting is enough. The caller must
    own the directory (`Folder.claim`), or it would end the servers of a run that is alive. Raises `LocalError` when one stays.
    """
    pids = _working_in(directory, name)
    for number, seconds in ((None, patience_seconds), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        if number is not None:
            _send_all(pids, number)
        deadline = time.monotonic() + seconds
        while pids and time.monotonic() < deadline:
            time.sleep(0.02)
            pids = _working_in(directory, name)
    if pids:
        raise LocalError(f"A former {name} still works in {directory}: end process {pids[0]} and start again.")


def _send_all(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue  # it has just ended


def _working_in(directory: Path, name: str) -> list[int]:
    found = []
    place = str(directory.resolve())
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            if (entry / "cwd").readlink().as_posix() == place and (entry / "comm").read_text().strip() == name:
                found.append(int(entry.name))
        except OSError:
            continue  # gone meanwhile, or another user's
    return found


def last_lines(log_path: Path, count: int = 3) -> str:
    """The end of a log, on one line, for an error's sentence."""
    try:
        lines = log_path.read_text(errors="replace").splitlines()
    except OSError:
        return "no log"
    return " | ".join(line.strip() for line in lines[-count:] if line.strip()) or "an empty log"
