"""`make admin NAME=Ada`: an operator's key in the local run or stack that is up, shown once."""

from __future__ import annotations

import sys

from local import new_keys
from services.gateway import operators
from shared.auth.keys import new_admin_key
from shared.db.pool import Connection


async def create(connection: Connection, name: str) -> str:
    """A new key, with that name on it."""
    key = new_admin_key()
    await operators.admit_key(connection, name, key)
    return key


if __name__ == "__main__":
    sys.exit(new_keys.entry(create, "Name the operator, in up to 100 characters: make admin NAME=Ada"))
