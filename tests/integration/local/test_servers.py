"""PostgreSQL and Valkey as child processes: they start anywhere, keep what they promise, and never outlive their parent."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis

from local.accounts import Account, unprivileged
from local.children import Child
from local.errors import LocalError
from local.postgres import Postgres
from local.valkey import Valkey

ROOT = Path(__file__).resolve().parents[3]
Server = Postgres | Valkey


@pytest.fixture(params=[Postgres, Valkey])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    server: Server = request.param(tmp_path / "data")
    yield server
    server.stop()


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    server = Postgres(tmp_path / "data")
    yield server
    server.stop()


@contextmanager
def parent(data: Path, become: Sequence[str] = ()) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A process with both servers as its children, and what it says about them."""
    argv = [*become, sys.executable, "-m", "tests.support.parent", str(data)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """A zombie that nobody has waited for yet is gone too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def ask(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def test_starts_and_stops_many_times_on_one_port(server: Server) -> None:
    server.start()
    port = server.port
    for _ in range(3):
        server.restart()
        assert server.port == port
        assert server.pid is not None
    server.start()
    server.stop()
    server.stop()
    assert server.pid is None


def test_comes_back_after_it_crashed(server: Server) -> None:
    server.start()
    crashed = server.pid
    server.kill()
    assert server.pid is None
    server.start()
    assert server.pid not in {None, crashed}


async def test_what_was_committed_survives_a_crash(postgres: Postgres) -> None:
    postgres.start()
    await ask(postgres.admin_url, "CREATE TABLE kept AS SELECT 1 AS number")
    postgres.kill()
    postgres.start()
    assert await ask(postgres.admin_url, "SELECT number FROM kept") == 1


async def test_a_killed_parent_takes_its_servers_along_and_the_next_finds_the_data(tmp_path: Path) -> None:
    with parent(tmp_path) as (process, found):
        await ask(found["postgres"], "CREATE TABLE kept AS SELECT 1 AS number")
        process.kill()
    with parent(tmp_path) as (process, again):  # at once: the former may still be stopping
        assert await ask(again["postgres"], "SELECT number FROM kept") == 1
        assert set(again["pids"]).isdisjoint(found["pids"])
        process.terminate()
        assert process.wait(90) == 0
    assert all(is_gone(pid) for pid in [*found["pids"], *again["pids"]])


def test_a_folder_belongs_to_one_run(server: Server, tmp_path: Path) -> None:
    server.start()
    second = type(server)(tmp_path / "data")
    with pytest.raises(LocalError, match=f"process {os.getpid()}.*stop that one first"):
        second.start()
    assert server.pid is not None


def test_a_taken_port_is_said_in_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for server in (Postgres(tmp_path / "postgres", port=port), Valkey(tmp_path / "valkey", port=port)):
            with pytest.raises(LocalError, match=f"Port {port} is taken"):
                server.start()


def test_an_interrupted_initdb_leaves_no_half_cluster(postgres: Postgres, tmp_path: Path) -> None:
    half = tmp_path / "data" / "cluster.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    postgres.start()
    assert not half.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system, which only root may")
def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody mount a file system")
    try:
        with pytest.raises(LocalError, match=r"is full: free at least 1 GB"):
            Postgres(disk / "data").start()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


async def test_durable_by_default_and_overridden_by_options(tmp_path: Path, postgres: Postgres) -> None:
    postgres.start()
    assert await ask(postgres.admin_url, "SHOW fsync") == "on"
    assert await ask(postgres.admin_url, "SHOW synchronous_commit") == "on"
    fast = Postgres(tmp_path / "fast", options={"fsync": "off"})
    fast.start()
    assert await ask(fast.admin_url, "SHOW fsync") == "off"
    fast.stop()


async def test_nobody_comes_in_without_the_password(server: Server) -> None:
    server.start()
    if isinstance(server, Postgres):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await ask(f"postgresql://postgres:wrong@127.0.0.1:{server.port}/postgres", "SELECT 1")
    else:
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            connection.sendall(b"PING\r\n")
            assert connection.recv(100).startswith(b"-NOAUTH")


def test_the_password_is_the_owners_alone(server: Server, tmp_path: Path) -> None:
    server.start()
    assert stat.S_IMODE((tmp_path / "data" / "password").stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR


def test_valkey_keeps_nothing_and_evicts_nothing(tmp_path: Path) -> None:
    server = Valkey(tmp_path / "data")
    server.start()
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        client.set("mark", 1)
    server.restart()
    with redis.Redis.from_url(server.url) as client:
        assert client.get("mark") is None
    server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("mode", [0o700, 0o755])
async def test_root_drops_its_rights_and_still_reaches_a_closed_folder(mode: int, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(mode)
    with parent(closed) as (_, found):
        for pid in found["pids"]:
            status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            assert "0" not in status["Uid"].split()
            assert int(status["CapPrm"], 16) in {0, 1 << 1, 1 << 2}, "more than the one capability to reach its files"
        assert await ask(found["postgres"], "SELECT 1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become two other users")
def test_users_of_one_machine_do_not_meet() -> None:
    """Two plain users at once, each in a folder of its own."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as parents:
        top = Path(directory)
        top.chmod(0o755)
        found = []
        for user in map(pwd.getpwnam, ("daemon", "bin")):
            data = top / user.pw_name
            data.mkdir(mode=0o700)
            os.chown(data, user.pw_uid, user.pw_gid)
            account = Account(user.pw_uid, user.pw_gid, "dac_read_search")  # the interpreter may be in root's home
            process, servers = parents.enter_context(parent(data, become=["setpriv", *account.setpriv(), "--"]))
            found.append((process, servers))
            assert {Path(f"/proc/{pid}").stat().st_uid for pid in servers["pids"]} == {user.pw_uid}
        for process, _ in found:
            process.terminate()
            assert process.wait(90) == 0


def test_a_child_ends_when_its_parent_is_killed_even_if_a_thread_started_it(tmp_path: Path) -> None:
    code = f"""
import threading, time
from pathlib import Path
from local.children import Child

def start():
    child = Child.start(["sleep", "600"], env={{"PATH": "/bin:/usr/bin"}}, log_path=Path({str(tmp_path / "log")!r}))
    print(child.pid, flush=True)

thread = threading.Thread(target=start)
thread.start()
thread.join()
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert not is_gone(pid), "the thread that started it has ended, the process has not"
        process.kill()
    wait_until(lambda: is_gone(pid))


def test_a_child_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    argv = ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"]
    child = Child.start(argv, env={"PATH": os.defpath}, log_path=tmp_path / "log")
    wait_until(lambda: "ready" in (tmp_path / "log").read_text())
    child.stop(signal.SIGTERM, seconds=0.2)
    assert child.exit_code == -signal.SIGKILL


def test_a_program_that_is_missing_is_said(tmp_path: Path) -> None:
    child = Child.start(["/no/such/program"], env={}, log_path=tmp_path / "log")
    assert child.wait(60)
    assert child.exit_code == 127  # setpriv's, as a shell's


@pytest.mark.skipif(os.geteuid() == 0, reason="needs a plain user")
def test_a_plain_user_keeps_its_account(tmp_path: Path) -> None:
    assert unprivileged(tmp_path) is None
