"""Operators and their keys, and the question who asks for an operational path.

python -m services.gateway.operators create "Ada"   a key, shown once
python -m services.gateway.operators revoke KEY_ID
python -m services.gateway.operators list
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import asyncpg
from aiohttp import web

from services.gateway.settings import Settings
from services.gateway.store import operators as store
from services.gateway.tenants import Authenticator
from shared.auth.keys import matches, new_admin_key, parse_admin_key, parse_key
from shared.config import SettingsError, load
from shared.db.pool import Connection, Pool, open_pool
from shared.errors import Rejected
from shared.http.routes import CLIENT_ID, REQUEST_ID


@dataclass(frozen=True, slots=True)
class Operator:
    """Whose key was shown."""

    key_id: str
    name: str


OPERATOR: Final = web.RequestKey("operator", Operator)
"""Set by `AdminAuthenticator`."""


class AdminAuthenticator:
    """Tells the operator from `Authorization: Bearer chq_admin_…`. Every request reads the key, so a revoked one opens nothing at
    once. A tenant's key is told that this is not its door."""

    def __init__(self, pool: Pool, tenants: Authenticator) -> None:
        self._pool = pool
        self._tenants = tenants

    async def __call__(self, request: web.Request) -> None:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        text = text.strip()
        if scheme.lower() != "bearer" or not text:
            raise Rejected("auth.missing", "Send your operator's key as Authorization: Bearer chq_admin_…", 401)
        key = parse_admin_key(text)
        if key is None:
            tenants_key = parse_key(text)
            if tenants_key is not None and await self._tenants.tenant_of(tenants_key) is not None:
                raise Rejected("auth.forbidden", "This is a tenant's key; only an operator's opens this.", 403)
            raise Rejected("auth.invalid", "This operator's key is not valid.", 401)
        row = await store.find_key(self._pool, key.key_id)
        if row is None or not matches(key, row["digest"]):
            raise Rejected("auth.invalid", "This operator's key is not valid.", 401)
        request[OPERATOR], request[CLIENT_ID] = Operator(key.key_id, row["name"]), key.key_id


async def note(connection: Connection | Pool, request: web.Request, action: str, subject: str, **facts: object) -> None:
    """Write into the audit what the operator who asks does; in the transaction of the deed, or before it where it has none."""
    by = request[OPERATOR]
    await store.note(
        connection,
        key_id=by.key_id,
        operator=by.name,
        action=action,
        subject=subject,
        facts=facts,
        request_id=request[REQUEST_ID],
    )


async def admit_key(connection: Connection, name: str, text: str) -> None:
    """Let an operator's key open the operational paths; twice is fine. Raises `ValueError` for a text that is no such key."""
    key = parse_admin_key(text)
    if key is None:
        raise ValueError("not an operator's key")
    if await store.insert_key(connection, key.key_id, name, key.digest):
        await _note(connection, "operator.create", key.key_id, {"name": name})


async def _note(connection: Connection, action: str, subject: str, facts: Mapping[str, object]) -> None:
    await store.note(
        connection,
        key_id=None,
        operator=f"{_account()} at the command line",
        action=action,
        subject=subject,
        facts=facts,
        request_id=None,
    )


def _account() -> str:
    """A container may run as a number that no name belongs to."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody"


async def _run(arguments: argparse.Namespace, settings: Settings) -> str:
    async with open_pool(settings.db, "gateway") as pool, pool.acquire() as connection, connection.transaction():
        if arguments.action == "list":
            return "\n".join(_line(row) for row in await store.keys(connection)) or "there are no operators' keys"
        if arguments.action == "revoke":
            name = await store.revoke_key(connection, arguments.name)
            if name is None:
                return "there is no such key in use"
            await _note(connection, "operator.revoke", arguments.name, {"name": name})
            return "revoked"
        text = new_admin_key()
        await admit_key(connection, arguments.name, text)
        return f"key {text}"


def _line(row: asyncpg.Record) -> str:
    until = f", revoked {row['revoked_at']:%Y-%m-%d %H:%M} UTC" if row["revoked_at"] else ""
    return f"{row['key_id']}  {row['name']}  since {row['created_at']:%Y-%m-%d %H:%M} UTC{until}"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m services.gateway.operators", description=(__doc__ or "").partition("\n")[0]
    )
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("create", help="a new key").add_argument("name", help="whose it is")
    actions.add_parser("revoke", help="end a key").add_argument("name", metavar="key_id", help="the key's id")
    actions.add_parser("list", help="all keys, with those that were revoked")
    try:
        sys.stdout.write(asyncio.run(_run(parser.parse_args(), load(Settings))) + "\n")
    except (SettingsError, OSError, asyncpg.PostgresError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
