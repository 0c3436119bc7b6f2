"""What is measured: `make stack` in a folder of its own, and twelve numbers of 1,000/s at its sandbox."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg

from local.ports import free_port

ROOT: Final = Path(__file__).resolve().parents[1]
NUMBERS: Final = 12
PER_SECOND: Final = 1_000
UP_SECONDS: Final = 120.0
SERVICES: Final = ("HTTP", "SCHEDULER", "SENDER", "ARCHIVE", "SANDBOX")


@dataclass(frozen=True, slots=True)
class Rig:
    """A running stack; `numbers` maps number ids to phone number ids, `token` opens all of them at the sandbox."""

    facts: dict[str, Any]
    session: aiohttp.ClientSession
    database: asyncpg.Connection[asyncpg.Record]
    numbers: dict[str, str]
    token: str

    async def post(self, path: str, body: Any) -> Any:
        async with self.session.post(f"{self.facts['gateway_url']}{path}", json=body) as answer:
            if answer.status >= 400:
                raise RuntimeError(f"{path} answered {answer.status}: {await answer.text()}")
            return await answer.json()

    async def sandbox(self, method: str, path: str, body: Any = None) -> Any:
        async with self.session.request(method, f"{self.facts['sandbox_url']}/control/{path}", json=body) as answer:
            return await answer.json()

    async def accepted_by_sandbox(self) -> dict[str, Any]:
        return dict(await self.sandbox("GET", "ledger/summary"))


@asynccontextmanager
async def running_rig() -> AsyncIterator[Rig]:
    """Start the stack, connect the numbers, and take it all down again."""
    with tempfile.TemporaryDirectory(prefix="chasqui-bench-") as name:
        home = Path(name) / "home"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CHASQUI_")}
        environment |= {f"CHASQUI_{service}__PORT": str(free_port()) for service in SERVICES}
        environment |= {"CHASQUI_LOCAL__FOLDER": str(home), "CHASQUI_TELEMETRY__LOG_LEVEL": "warning"}
        with (Path(name) / "output.txt").open("wb") as output:
            process = subprocess.Popen(  # nothing else runs yet
                [sys.executable, "-m", "local.stack"], cwd=ROOT, env=environment, stdout=output, stderr=output
            )
        try:
            facts = await _facts(home / "run.json", process, Path(name) / "output.txt")
            async with aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {facts['test_key']}"}, trust_env=False
            ) as session:
                database = await asyncpg.connect(facts["servers"]["postgres"])
                try:
                    yield await _connected(facts, session, database)
                finally:
                    await database.close()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(90)


async def _facts(path: Path, process: subprocess.Popen[bytes], output: Path) -> dict[str, Any]:
    deadline = time.monotonic() + UP_SECONDS
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the stack did not start: {output.read_text()[-1000:]}")
        await asyncio.sleep(0.1)
    facts: dict[str, Any] = json.loads(path.read_text())
    return facts


async def _connected(
    facts: dict[str, Any], session: aiohttp.ClientSession, database: asyncpg.Connection[asyncpg.Record]
) -> Rig:
    rig = Rig(facts, session, database, {}, "bench-access-token")
    await rig.sandbox("PATCH", "behaviour", {"answers": False, "suffixes": False, "pair_limit": False})
    for index in range(NUMBERS):
        phone_number_id = str(700_000_000_000_000 + index)
        secrets = {"access_token": rig.token, "app_secret": "bench-app-secret", "verify_token": "bench-verify-token"}
        spec = {
            **secrets,
            "waba_id": "700000000000999",
            "display_phone_number": f"1555700{index:04d}",
            "webhook_url": f"{facts['gateway_url']}/api/webhooks/whatsapp",
            "messages_per_second": PER_SECOND,
        }
        await rig.sandbox("PUT", f"numbers/{phone_number_id}", spec)
        number = await rig.post(
            "/api/numbers",
            {
                **secrets,
                "phone_number_id": phone_number_id,
                "waba_id": "700000000000999",
                "display_number": f"+1555700{index:04d}",
                "provider_url": facts["sandbox_url"],
                "messages_per_second": PER_SECOND,
            },
        )
        rig.numbers[number["id"]] = phone_number_id
    return rig
