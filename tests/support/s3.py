"""A real S3 server on this machine: `rclone serve s3` over a folder."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from pydantic import SecretStr
from yarl import URL

from local.children import Child
from local.ports import free_port
from shared.config import ObjectsSettings

START_SECONDS: Final = 30.0
BUCKET: Final = "chasqui-files"


@contextmanager
def s3_server(folder: Path) -> Iterator[ObjectsSettings]:
    """The settings by which it is reached; its one bucket is a folder in `folder`."""
    root, port = folder / "s3", free_port()
    (root / BUCKET).mkdir(parents=True)
    key, secret = secrets.token_hex(8), secrets.token_hex(16)
    program = Path(sys.executable).with_name("rclone")
    child = Child.start(
        [
            program,
            "serve",
            "s3",
            "--addr",
            f"127.0.0.1:{port}",
            "--auth-key",
            f"{key},{secret}",
            "--vfs-cache-mode",
            "writes",
            root,
        ],
        env={
            "PATH": os.defpath,
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "RCLONE_CONFIG": str(folder / "none"),
        },
        log_path=folder / "rclone.log",
        death_signal=signal.SIGKILL,
    )
    try:
        _await_port(child, port)
        yield ObjectsSettings(
            url=f"s3://{BUCKET}/some/prefix",
            endpoint=f"http://127.0.0.1:{port}",
            access_key_id=key,
            secret_access_key=SecretStr(secret),
        )
    finally:
        child.stop(signal.SIGTERM)


@asynccontextmanager
async def saying_206(settings: ObjectsSettings) -> AsyncIterator[ObjectsSettings]:
    """The same server, where a part of a file is answered with 206: rclone says 200, which S3 does not."""

    async def pass_on(request: web.Request) -> web.StreamResponse:
        url = URL(f"{settings.endpoint}{request.raw_path}", encoded=True)
        async with session.request(request.method, url, headers=request.headers, data=BytesIO(await request.read())) as answer:
            status = 206 if "Content-Range" in answer.headers else answer.status
            headers = CIMultiDict(answer.headers)
            headers.popall("Transfer-Encoding", None)
            return web.Response(status=status, headers=headers, body=await answer.read())

    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", pass_on)
    runner = web.AppRunner(app)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield settings.model_copy(update={"endpoint": f"http://127.0.0.1:{runner.addresses[0][1]}"})
        finally:
            await runner.cleanup()


def _await_port(child: Child, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.running:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            child.wait(0.05)
        else:
            return
    raise AssertionError("rclone's S3 server did not start")
