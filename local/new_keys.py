"""A key made in the local run or stack that is up, for whom the command line names, and shown once."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg

from local.errors import LocalError
from local.home import Home
from shared.db.pool import Connection

NAME_CHARACTERS: Final = 100

Make = Callable[[Connection, str], Awaitable[str]]
"""Stores a new key for that name, in a transaction of the gateway's schema; returns its text."""


def entry(make: Make, no_name: str) -> int:
    """Faults that the user can mend are one sentence; `no_name` is the one where nobody is named, or at too great a length."""
    name = " ".join(sys.argv[1:]).strip()
    try:
        if not 0 < len(name) <= NAME_CHARACTERS:
            raise LocalError(no_name)
        facts = Home.from_environment().path / "run.json"
        if not facts.exists():
            raise LocalError("Nothing runs here: start make run or make stack first.")
        sys.stdout.write(asyncio.run(_made(json.loads(facts.read_text())["servers"]["postgres"], name, make)) + "\n")
    except LocalError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _made(admin_url: str, name: str, make: Make) -> str:
    connection = await asyncpg.connect(admin_url, server_settings={"search_path": "gateway"})
    try:
        async with connection.transaction():
            return await make(connection, name)
    finally:
        await connection.close()
