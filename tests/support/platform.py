"""The platform from outside: started as a user starts it, spoken to over HTTP, killed as machines kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp

from local.ports import free_port

ROOT: Final = Path(__file__).resolve().parents[2]
UP_SECONDS: Final = 120.0
PATIENCE_SECONDS: Final = 60.0
"""For what takes a second on a machine of one's own: only a failure waits so long, and shared machines stand still for seconds."""
STOP_SECONDS: Final = 50.0
_TIED: Final = ("setpriv", "--pdeathsig", "INT", "--")
"""A test process that is killed leaves nothing behind: what it has started ends in order."""
_NOBODY_OUTSIDE: Final = {"CHASQUI_GATEWAY__PROVIDER_ORIGINS": "http://127.0.0.1:*"}
"""Numbers at their provider's usual place are refused, so nobody's templates are read there and nothing is sent there."""
FINAL_STATUSES: Final = frozenset({"read", "delivered", "sent", "failed", "canceled", "expired"})


async def until(condition: Callable[[], Any], what: str | Callable[[], str], seconds: float = PATIENCE_SECONDS) -> Any:
    """Wait for a condition (sync or async) to be true and return its value; fails with `what`, or what it tells by then, when time
    is up."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what if isinstance(what, str) else what()}")
        await asyncio.sleep(0.05)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except (aiohttp.ClientConnectionError, TimeoutError):
        return False


class Platform:
    """`make run` (mode "run") or `make stack` (mode "stack") in a folder of its own, on free ports."""

    def __init__(self, folder: Path, mode: str = "run", settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.mode = mode
        self.settings = dict(settings or {})
        names = ("HTTP", "SCHEDULER", "SENDER", "ARCHIVE", "SANDBOX")
        self.ports = {f"CHASQUI_{name}__PORT": str(free_port()) for name in names}
        self.process: subprocess.Popen[bytes] | None = None
        self.run: dict[str, Any] = {}

    @property
    def output(self) -> Path:
        return self.folder / "output.txt"

    async def start(self) -> None:
        facts = self.folder / "home" / "run.json"
        facts.unlink(missing_ok=True)
        process = self.launch()
        await until(lambda: facts.exists() or process.poll() is not None, "run.json", UP_SECONDS)
        if not facts.exists():
            raise AssertionError(f"the platform did not start: {self.output.read_text()[-2000:]}")
        self.run = json.loads(facts.read_text())

    async def refused(self) -> tuple[int, str]:
        """A start that does not succeed: its exit code and what it said."""
        self.output.unlink(missing_ok=True)
        process = self.launch()
        await until(lambda: process.poll() is not None, "the refusal", UP_SECONDS)
        return int(process.wait()), self.output.read_text()

    def launch(self) -> subprocess.Popen[bytes]:
        """The process, with its output appended to `output`; whether it comes up is the caller's to see."""
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CHASQUI_")}
        environment |= {**_NOBODY_OUTSIDE, **self.ports, **self.settings, "CHASQUI_LOCAL__FOLDER": str(self.folder / "home")}
        environment["PYTHONFAULTHANDLER"] = "1"
        with self.output.open("ab") as output:
            process = self.process = subprocess.Popen(
                [*_TIED, sys.executable, "-m", f"local.{self.mode}"],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return process

    def reread(self) -> dict[str, Any]:
        self.run = json.loads((self.folder / "home" / "run.json").read_text())
        return self.run

    def process_of(self, name: str) -> dict[str, Any]:
        """Its line in `run.json`, as it is now."""
        found: dict[str, Any] = next(p for p in self.reread()["processes"] if p["name"] == name)
        return found

    def pid_of(self, name: str) -> int:
        return int(self.process_of(name)["pid"])

    async def until_restarted(self, name: str, before: Mapping[str, Any], seconds: float = 90.0) -> dict[str, Any]:
        """Wait until a process of the stack has been started again since `process_of` said `before`, and all services are ready."""

        def restarted() -> dict[str, Any] | None:
            now = self.process_of(name)
            return now if now["restarts"] > before["restarts"] and now.get("pid") not in {None, before["pid"]} else None

        found: dict[str, Any] = await until(restarted, f"{name} to be started again", seconds)
        await self.until_ready(seconds)
        return found

    async def until_ready(self, seconds: float = 90.0) -> None:
        """Wait until every service says that it is ready; the sandbox only knows whether it is there."""
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
            for variable, port in self.ports.items():
                path = "health" if "SANDBOX" in variable else "ready"
                url = f"http://127.0.0.1:{port}/{path}"
                await until(partial(_answers, session, url), f"{variable} to be ready", seconds)

    def kill(self) -> None:
        """kill -9, of the process that a user would see."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        """Ctrl-C; returns the exit code. One that does not end shows where it stands."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return int(self.process.wait(STOP_SECONDS))
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait(10)
            raise AssertionError(f"Ctrl-C did not end it: {self.output.read_text()[-6000:]}") from None

    def end(self) -> None:
        """Whatever happened, leave nothing running."""
        if self.process is not None and self.process.poll() is None:
            self.stop()

    @asynccontextmanager
    async def api(self, key: str | None = None) -> AsyncIterator[Api]:
        headers = {"Authorization": f"Bearer {key or self.run['test_key']}"}
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout, trust_env=False) as session:
            yield Api(session, self.run["gateway_url"])


class Api:
    """The public API."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        async with self.session.request(method, f"{self.url}{path}", json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, path: str) -> Any:
        status, body = await self.call("GET", path)
        assert status == 200, body
        return body

    async def send(self, **body: Any) -> str:
        body.setdefault("text", {"body": "hello"})
        status, answer = await self.call("POST", "/api/messages", body)
        assert status == 202, answer
        return str(answer["id"])

    async def message(self, message_id: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.get(f"/api/messages/{message_id}")
        return found

    async def until_status(self, message_id: str, *statuses: str, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        message: dict[str, Any] = {}

        async def reached() -> bool:
            nonlocal message
            message = await self.message(message_id)
            return message["status"] in statuses

        await until(reached, lambda: f"{message_id} to be {statuses}; its timeline is {message['timeline']}", seconds)
        return message

    async def all_messages(self, oldest: str = "") -> list[dict[str, Any]]:
        """The newest first, down to the one with the id `oldest`."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = await self.get(f"/api/messages?limit=500{cursor}")
            found.extend(message for message in page["data"] if message["id"] >= oldest)
            if "next_cursor" not in page or page["next_cursor"] is None or page["data"][-1]["id"] < oldest:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    async def statuses(self) -> Counter[str]:
        return Counter(message["status"] for message in await self.all_messages())


class Sandbox:
    """A sandbox in a process of its own, which outlives the platform, with one number that the platform connects."""

    NUMBER: Final = {
        "phone_number_id": "900000000000001",
        "waba_id": "900000000000002",
        "display_number": "+15550009000",
        "access_token": "outside-access-token",
        "app_secret": "outside-app-secret",
        "verify_token": "outside-verify-token",
        "messages_per_second": 1000,
    }

    def __init__(self, webhook_url: str, **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("CHASQUI_")},
            "CHASQUI_SANDBOX__PORT": str(self.port),
            "CHASQUI_SANDBOX__PHONE_NUMBER_ID": str(self.NUMBER["phone_number_id"]),
            "CHASQUI_SANDBOX__WABA_ID": str(self.NUMBER["waba_id"]),
            "CHASQUI_SANDBOX__ACCESS_TOKEN": str(self.NUMBER["access_token"]),
            "CHASQUI_SANDBOX__APP_SECRET": str(self.NUMBER["app_secret"]),
            "CHASQUI_SANDBOX__VERIFY_TOKEN": str(self.NUMBER["verify_token"]),
            "CHASQUI_SANDBOX__WEBHOOK_URL": webhook_url,
            "CHASQUI_SANDBOX__ANSWERS": "false",
            **settings,
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Sandbox]:
        process = subprocess.Popen(
            [*_TIED, sys.executable, "-m", "services.sandbox"], cwd=ROOT, env=self._environment, stdout=subprocess.DEVNULL
        )
        try:
            await until(self._answers, "the sandbox")
            yield self
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)

    async def connect(self, api: Api) -> str:
        """Connect its number to the platform; returns the number's id."""
        status, body = await api.call("POST", "/api/numbers", {**self.NUMBER, "provider_url": self.url})
        assert status == 201, body
        return str(body["id"])

    async def get(self, path: str) -> Any:
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}{path}") as answer:
            return await answer.json()

    async def put(self, path: str, body: Any) -> Any:
        async with aiohttp.ClientSession() as session, session.put(f"{self.url}{path}", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def ledger(self) -> list[dict[str, Any]]:
        """Every message it ever took, with how often."""
        page = await self.get("/control/ledger?limit=10000")
        records: list[dict[str, Any]] = page["data"]
        while page["next_cursor"] is not None:
            page = await self.get(f"/control/ledger?limit=10000&cursor={page['next_cursor']}")
            records.extend(page["data"])
        return records

    async def patch_behaviour(self, **changes: Any) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.patch(f"{self.url}/control/behaviour", json=changes) as answer,
        ):
            assert answer.status == 200, await answer.text()

    async def taken(self) -> int:
        """Messages accepted since it was started."""
        return int((await self.get("/control/ledger/summary"))["accepted"])

    async def _answers(self) -> bool:
        try:
            return bool(await self.get("/control/numbers"))
        except (aiohttp.ClientConnectionError, ConnectionError):
            return False
