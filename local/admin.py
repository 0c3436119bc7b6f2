"""`make admin NAME=Ada`: an operator's key in the local run or stack that is up, shown once."""

from __future__ import annotations

import asyncio
import json
import sys

import asyncpg

from local.errors import LocalError
from local.home import Home
from services.gateway import operators
from shared.auth.keys import new_admin_key


async def create(admin_url: str, name: str) -> str:
    """A new key, with that name on it."""
    key = new_admin_key()
    connection = await asyncpg.connect(admin_url, server_settings={"search_path": "gateway"})
    try:
        async with connection.transaction():
            await operators.admit_key(connection, name, key)
    finally:
        await connection.close()
    return key


def entry() -> int:
    """Faults that the user can mend are one sentence."""
    name = " ".join(sys.argv[1:]).strip()
    try:
        if not 0 < len(name) <= 100:
            raise LocalError("Name the operator, in up to 100 characters: make admin NAME=Ada")
        facts = Home.from_environment().path / "run.json"
        if not facts.exists():
            raise LocalError("Nothing runs here: start make run or make stack first.")
        sys.stdout.write(asyncio.run(create(json.loads(facts.read_text())["servers"]["postgres"], name)) + "\n")
    except LocalError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(entry())
