"""The archive killed in the middle of an import: nothing is lost, nothing is there twice, nothing goes on without it."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
import pytest

from local.ports import free_port
from tests.integration.archive.importing import TOKEN, android, chat
from tests.support.archive_events import TENANT
from tests.support.database import Database
from tests.support.platform import until

pytestmark = pytest.mark.timeout(400)

ROOT: Final = Path(__file__).resolve().parents[2]
RECORDS: Final = 60_000
BLOWS: Final = 3
HEADERS: Final = {"Authorization": f"Bearer {TOKEN}", "X-Chasqui-Tenant": TENANT}


class Service:
    """`python -m services.archive`, which can be killed and started again."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._url = f"http://127.0.0.1:{environment['CHASQUI_ARCHIVE__PORT']}"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.archive", env=self._environment, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
        )
        await until(self._is_up, "the archive to answer")

    async def kill(self) -> list[int]:
        """With SIGKILL; returns the processes that it had started."""
        assert self._process is not None
        children = children_of(self._process.pid)
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        return children

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def ask(self, method: str, path: str, **given: Any) -> Any:
        async with (
            aiohttp.ClientSession(headers=HEADERS) as session,
            session.request(method, self._url + path, **given) as response,
        ):
            assert response.status < 300, await response.text()
            return await response.json()

    async def _is_up(self) -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(self._url + "/ready") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False


def children_of(pid: int) -> list[int]:
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


@asynccontextmanager
async def running(database: Database, redis_url: str, folder: Path) -> AsyncIterator[Service]:
    service = Service(
        {
            "PATH": os.environ["PATH"],
            "CHASQUI_DB__URL": database.url,
            "CHASQUI_DB__PASSWORD": database.role_password,
            "CHASQUI_REDIS__URL": redis_url,
            "CHASQUI_BUS__URL": "memory://",
            "CHASQUI_SECURITY__INTERNAL_TOKEN": TOKEN,
            "CHASQUI_OBJECTS__URL": str(folder),
            "CHASQUI_ARCHIVE__PORT": str(free_port()),
            "CHASQUI_ARCHIVE__IMPORT_LEASE_SECONDS": "2",
        }
    )
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


async def test_an_import_goes_on_behind_its_last_block(database: Database, redis_url: str, tmp_path: Path) -> None:
    data = android(chat(RECORDS))
    connection = await asyncpg.connect(database.admin_url, server_settings={"search_path": "archive"})
    try:
        async with running(database, redis_url, tmp_path / "objects") as service:
            made = await service.ask("POST", "/api/imports", params={"title": "Ana"}, data=io.BytesIO(data))
            stored = 0

            async def is_further() -> bool:
                now = await connection.fetchval("SELECT entry_count FROM imports WHERE id = $1", made["id"])
                return bool(now > stored)

            for _ in range(BLOWS):
                await until(is_further, "another block to be stored")
                left = await service.kill()
                await until(partial(none_runs, left), "the reading process to end with it")
                stored = await connection.fetchval("SELECT entry_count FROM imports WHERE id = $1", made["id"])
                assert stored < RECORDS, "it was over before the blow"
                assert await connection.fetchval("SELECT count(*) FROM entries") == stored
                await service.start()

            async def is_over() -> bool:
                return bool((await service.ask("GET", f"/api/imports/{made['id']}"))["state"] == "completed")

            await until(is_over, "the import to be completed", 120.0)
        row = await connection.fetchrow("SELECT entry_count, known_count, doubt_count FROM imports WHERE id = $1", made["id"])
        assert row is not None
        assert tuple(row) == (RECORDS, 0, 0)
        rows = await connection.fetch("SELECT content->'text'->>'body' AS body FROM entries ORDER BY sent_at, id")
        assert [row["body"] for row in rows] == [body for _, body in chat(RECORDS)]
        assert await connection.fetchval("SELECT count(*) FROM search_rows") == RECORDS
        assert await connection.fetchval("SELECT entry_count FROM conversations") == RECORDS
    finally:
        await connection.close()


def none_runs(pids: Sequence[int]) -> bool:
    return not any(map(is_running, pids))


def is_running(pid: int) -> bool:
    """A process that has ended and that nobody has asked after yet is over too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
