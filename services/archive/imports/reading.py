"""The reading process as the service sees it: started, listened to, ended whatever happens."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson

from services.archive.imports.frames import Frame, read_frame

MODULE: Final = "services.archive.imports.child"
BUFFER_BYTES: Final = 1024 * 1024
END_SECONDS: Final = 5.0


class ReadingFailed(Exception):
    """The process ended before its job did."""


class Reading:
    """A running process and its job."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def frames(self) -> AsyncIterator[Frame]:
        """What it says, to the end. Raises `ReadingFailed` where it dies."""
        assert self._process.stdout is not None
        while True:
            try:
                frame = await read_frame(self._process.stdout)
            except asyncio.IncompleteReadError as error:
                raise ReadingFailed("reading process ended") from error
            yield frame

    async def answer(self, value: Any) -> None:
        """Tell it what it has asked for; named tuples go as lists. Raises `ReadingFailed` where it has died."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(orjson.dumps(value, default=list) + b"\n")
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ReadingFailed("reading process ended") from error
        except RuntimeError as error:  # uvloop's
            if not str(error).endswith("the handler is closed"):
                raise
            raise ReadingFailed("reading process ended") from error


@asynccontextmanager
async def reading(job: Mapping[str, Any]) -> AsyncIterator[Reading]:
    """A process that does this job; killed on the way out, where it has not ended."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        MODULE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=BUFFER_BYTES,
        start_new_session=True,  # Ctrl-C in a terminal is for the service, which ends this
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("CHASQUI_")},
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        },
    )
    try:
        child = Reading(process)
        await child.answer(dict(job))
        yield child
    finally:
        if process.returncode is None:
            process.kill()
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
