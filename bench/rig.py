"""What is measured: `make stack` in a folder of its own, with numbers at its sandbox, and more senders where they are wanted."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg

from local.children import Child, last_lines
from local.home import HOST
from local.ports import free_port

ROOT: Final = Path(__file__).resolve().parents[1]
ACCESS_TOKEN: Final = "bench-access-token"  # noqa: S105  # of a sandbox that lives as long as this run
ACCOUNT: Final = "700000000000999"
UP_SECONDS: Final = 120.0
DOWN_SECONDS: Final = 90.0
SERVICES: Final = ("HTTP", "SCHEDULER", "SENDER", "ARCHIVE", "SANDBOX")
QUIET: Final[Mapping[str, str]] = {
    "CHASQUI_TELEMETRY__LOG_LEVEL": "warning",
    "CHASQUI_TELEMETRY__OTLP_ENDPOINT": "",
    "CHASQUI_GATEWAY__KEEP_SPANS": "0",
}
"""No line per request and no spans: what those cost, `tracing` measures."""
PLAIN: Final[Mapping[str, Any]] = {"answers": False, "suffixes": False, "pair_limit": False}
"""The sandbox's behaviour unless a scenario wants another one: nobody writes back, only the limits of numbers are kept."""


@dataclass(frozen=True, slots=True)
class Number:
    """A connected number: its id here, and at the provider."""

    id: str
    phone_number_id: str


@dataclass(frozen=True, slots=True)
class Rig:
    """A running stack in `home`."""

    home: Path
    settings: Mapping[str, str]
    facts: Mapping[str, Any]
    session: aiohttp.ClientSession
    database: asyncpg.Connection[asyncpg.Record]
    _serials: Iterator[int] = field(default_factory=count)

    async def api(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """Ask the gateway. Raises `RuntimeError` with its answer where that is no success."""
        url = f"{self.facts['gateway_url']}/api/{path}"
        async with self.session.request(method, url, json=body, headers=headers) as answer:
            if answer.status >= 400:
                raise RuntimeError(f"{method} {path} answered {answer.status}: {await answer.text()}")
            return await answer.json()

    async def sandbox(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the sandbox's control API. Raises `RuntimeError` with its answer where that is no success."""
        async with self.session.request(method, f"{self.facts['sandbox_url']}/control/{path}", json=body) as answer:
            if answer.status >= 400:
                raise RuntimeError(f"{method} control/{path} answered {answer.status}: {await answer.text()}")
            return await answer.json()

    async def behave(self, **changes: Any) -> None:
        """The sandbox's plain behaviour with these changes; no others stay."""
        await self.sandbox("PUT", "behaviour", {**PLAIN, **changes})

    async def connect(
        self, how_many: int, *, per_second: int, allowed_per_second: int | None = None, **more: Any
    ) -> list[Number]:
        """Numbers that nobody has used yet. `allowed_per_second` is what the sandbox allows, where that is not what the record
        says; `more` are further fields of the record."""
        allowed = allowed_per_second or per_second
        return [await self._connect(next(self._serials), per_second, allowed, more) for _ in range(how_many)]

    async def _connect(self, serial: int, per_second: int, allowed_per_second: int, more: Mapping[str, Any]) -> Number:
        phone_number_id = str(700_000_000_000_000 + serial)
        secrets = {"access_token": ACCESS_TOKEN, "app_secret": "bench-app-secret", "verify_token": "bench-verify-token"}
        at_sandbox = {
            **secrets,
            "waba_id": ACCOUNT,
            "display_phone_number": f"1555700{serial:04d}",
            "webhook_url": f"{self.facts['gateway_url']}/api/webhooks/whatsapp",
            "messages_per_second": allowed_per_second,
        }
        await self.sandbox("PUT", f"numbers/{phone_number_id}", at_sandbox)
        record = {
            **secrets,
            "phone_number_id": phone_number_id,
            "waba_id": ACCOUNT,
            "display_number": f"+1555700{serial:04d}",
            "provider_url": self.facts["sandbox_url"],
            "messages_per_second": per_second,
            **more,
        }
        return Number((await self.api("POST", "numbers", record))["id"], phone_number_id)

    def pids(self, name: str) -> Sequence[int]:
        """Of a service of the stack's own; none while it is being started again."""
        processes = json.loads((self.home / "run.json").read_text())["processes"]
        return [one["pid"] for one in processes if one["name"] == name and "pid" in one]


@asynccontextmanager
async def running_rig(settings: Mapping[str, str]) -> AsyncIterator[Rig]:
    """Start a stack with these settings, and take it and its folder away again, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="chasqui-bench-", ignore_cleanup_errors=True) as name:
        home, log = Path(name) / "home", Path(name) / "output.txt"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CHASQUI_")}
        environment |= {f"CHASQUI_{service}__PORT": str(free_port()) for service in SERVICES}
        environment |= {"CHASQUI_LOCAL__FOLDER": str(home), **QUIET, **settings}
        stack = Child.start(
            [sys.executable, "-m", "local.stack"], env=environment, log_path=log, cwd=ROOT, death_signal=signal.SIGTERM
        )
        try:
            facts = await _facts(home / "run.json", stack, log)
            headers = {"Authorization": f"Bearer {facts['test_key']}"}
            async with aiohttp.ClientSession(headers=headers, trust_env=False) as session:
                database = await asyncpg.connect(facts["servers"]["postgres"])
                try:
                    rig = Rig(home, {**QUIET, **settings}, facts, session, database)
                    for port in (one["port"] for one in facts["processes"] if "port" in one):
                        await until_up(session, port)
                    await rig.behave()
                    yield rig
                finally:
                    await database.close()
        finally:
            stack.stop(signal.SIGINT, DOWN_SECONDS)


async def _facts(path: Path, stack: Child, log: Path) -> Mapping[str, Any]:
    deadline = time.monotonic() + UP_SECONDS
    while not path.exists():
        if not stack.running or time.monotonic() > deadline:
            raise RuntimeError(f"the stack did not start: {last_lines(log, 20)}")
        await asyncio.sleep(0.1)
    facts: Mapping[str, Any] = json.loads(path.read_text())
    return facts


async def until_up(session: aiohttp.ClientSession, port: int) -> None:
    """Wait until a service on this machine is alive. Raises `RuntimeError` when it stays away."""
    deadline = time.monotonic() + UP_SECONDS
    while True:
        try:
            async with session.get(f"http://{HOST}:{port}/health") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientConnectionError:
            pass  # not listening yet
        if time.monotonic() > deadline:
            raise RuntimeError(f"nothing healthy on port {port} within {UP_SECONDS:.0f} s")
        await asyncio.sleep(0.05)
