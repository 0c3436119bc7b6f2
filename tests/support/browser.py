"""A headless Chromium, driven over its own protocol (Chrome DevTools Protocol 1.3)."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from local.debian import can_install, install_package

UP_SECONDS: Final = 60.0
WAIT_SECONDS: Final = 60.0
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)


def need_chromium() -> str:
    """Its path. As root on Debian this installs the package; where it cannot be had the test is skipped, and in CI it fails."""
    reason = "there is no Chromium: install chromium"
    if (found := _find()) is not None:
        return found
    if can_install():
        fault = install_package("chromium")
        if (found := _find()) is not None:
            return found
        reason = f"there is no Chromium, apt-get could not install it ({fault or 'its program is not in the PATH'})"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _find() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class Tab:
    """One page. `faults` are what its console called errors, violations of its policy among them."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.faults: list[str] = []
        self._socket = socket
        self._serials = count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}

    async def listen(self) -> None:
        """Until the connection ends."""
        async for message in self._socket:
            told = message.json()
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
            elif told["method"] == "Log.entryAdded" and told["params"]["entry"]["level"] == "error":
                self.faults.append(told["params"]["entry"]["text"])
            elif told["method"] == "Runtime.exceptionThrown":
                self.faults.append(str(told["params"]["exceptionDetails"]))

    async def call(self, method: str, **parameters: Any) -> Any:
        serial = next(self._serials)
        self._answers[serial] = answer = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": serial, "method": method, "params": parameters})
        async with asyncio.timeout(WAIT_SECONDS):
            told = await answer
        assert "error" not in told, told
        return told["result"]

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)

    async def find(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        told = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Its value, as soon as that is true."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while True:
                    try:
                        if value := await self.find(expression):
                            return value
                    except AssertionError:
                        pass  # between two pages there is nothing to ask
                    await asyncio.sleep(0.05)
        except TimeoutError:
            shown = await self.find("document.body.innerText")
            raise AssertionError(f"{expression} did not become true; faults: {self.faults}; the page:\n{shown}") from None

    async def press(self, *keys: str) -> None:
        """One after the other; a name, as `ArrowDown`, or a letter."""
        for key in keys:
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            number = {"Enter": 13, "Escape": 27, " ": 32}.get(key, 0)  # without it they do not do what they do by themselves
            for kind, more in (("keyDown", {"text": text}), ("keyUp", {})):
                await self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=number, **more)

    async def write(self, text: str) -> None:
        """Into what has the focus."""
        await self.call("Input.insertText", text=text)

    async def resize(self, width: int, height: int) -> None:
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)


@asynccontextmanager
async def opened_tab(chromium: str, folder: Path) -> AsyncIterator[Tab]:
    """A browser with nothing in it, its profile in `folder`; ended at the end."""
    process = await asyncio.create_subprocess_exec(
        chromium,
        *_OPTIONS,
        f"--user-data-dir={folder}",
        "about:blank",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession(trust_env=False) as session:
            async with session.get(f"http://127.0.0.1:{await _port(folder, process)}/json") as answer:
                page = next(one for one in await answer.json(content_type=None) if one["type"] == "page")
            async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket, asyncio.TaskGroup() as group:
                tab = Tab(socket)
                listening = group.create_task(tab.listen())
                for domain in ("Page", "Runtime", "Log"):
                    await tab.call(f"{domain}.enable")
                yield tab
                listening.cancel()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _port(folder: Path, process: asyncio.subprocess.Process) -> int:
    path = folder / "DevToolsActivePort"
    async with asyncio.timeout(UP_SECONDS):
        while not (path.exists() and path.read_text().strip()):
            assert process.returncode is None, "Chromium did not start"
            await asyncio.sleep(0.05)
    return int(path.read_text().split()[0])
