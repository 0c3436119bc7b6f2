"""`make tenant NAME=Acme`: another tenant in the local run or stack that is up, and its key, shown once."""

from __future__ import annotations

import asyncio
import json
import sys

import asyncpg

from local.errors import LocalError
from local.home import Home
from services.gateway import tenants
from shared.auth.keys import new_key


async def create(admin_url: str, name: str) -> str:
    """The key of a new tenant of that name."""
    key = new_key(live=False)
    connection = await asyncpg.connect(admin_url, server_settings={"search_path": "gateway"})
    try:
        async with connection.transaction():
            await tenants.admit_key(connection, await tenants.create(connection, name), key)
    finally:
        await connection.close()
    return key


def entry() -> int:
    """Faults that the user can mend are one sentence."""
    name = " ".join(sys.argv[1:]).strip()
    try:
        if not name:
            raise LocalError("Name the tenant: make tenant NAME=Acme")
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
