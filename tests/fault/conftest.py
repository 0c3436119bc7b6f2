"""A platform of its own for each test that breaks it, and a sandbox outside it that remembers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.platform import Platform, Sandbox


class Scene:
    """A platform, a sandbox in a process of its own, and the number that connects them."""

    def __init__(self, platform: Platform, sandbox: Sandbox, number_id: str) -> None:
        self.platform = platform
        self.sandbox = sandbox
        self.number_id = number_id


async def open_scene(stack: AsyncExitStack, folder: Path, mode: str, settings: Mapping[str, str] | None = None) -> Scene:
    platform = Platform(folder, mode, settings)
    stack.callback(platform.end)
    await platform.start()
    sandbox = Sandbox(f"{platform.run['gateway_url']}/api/webhooks/whatsapp")
    await stack.enter_async_context(sandbox.running())
    async with platform.api() as api:
        number_id = await sandbox.connect(api)
    return Scene(platform, sandbox, number_id)


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[Scene]:
    """`make run`."""
    async with AsyncExitStack() as stack:
        yield await open_scene(stack, tmp_path, "run")
