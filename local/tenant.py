"""`make tenant NAME=Acme`: another tenant in the local run or stack that is up, and its key, shown once."""

from __future__ import annotations

import sys

from local import new_keys
from services.gateway import tenants
from shared.auth.keys import new_key
from shared.db.pool import Connection


async def create(connection: Connection, name: str) -> str:
    """The key of a new tenant of that name."""
    key = new_key(live=False)
    await tenants.admit_key(connection, await tenants.create(connection, name), key)
    return key


if __name__ == "__main__":
    sys.exit(new_keys.entry(create, "Name the tenant, in up to 100 characters: make tenant NAME=Acme"))
