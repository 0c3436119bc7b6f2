"""`make restore FROM=…`: a backup into a new home, marked so that nothing is sent that may have been sent since it was taken.

The home has nothing but the `secrets.json` that the backup's platform had. Start make run or make stack on it afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from pydantic import SecretStr, ValidationError

from local.backup import (
    DATABASE,
    FILES,
    FORMAT,
    MANIFEST,
    OBJECTS,
    PARTS,
    ROLES,
    Manifest,
    digest,
    files_of,
    key_name,
    program,
)
from local.errors import LocalError, explained
from local.home import HOST, SECRETS, Home, master_key
from local.postgres import Postgres
from local.servers import DATABASE as DATABASE_NAME
from local.servers import step
from services.gateway.retell import retell, retell_messages
from services.sender.store import restored
from shared.bus.memory import MemoryBus
from shared.bus.outbox import Outbox
from shared.config import DatabaseSettings
from shared.db.migrate import MigrationError, migrate
from shared.db.pool import open_pool
from shared.telemetry.metrics import Metrics

OF_SERVERS: Final = ("postgres", "valkey", "rabbitmq", "journal", OBJECTS)


def restore(home: Home, source: Path) -> datetime:
    """Make the home what it was; returns from when on messages are sent again by themselves. Raises `LocalError`."""
    manifest = checked(source)
    home.folder.claim()
    try:
        _check_home(home.path, source, manifest)
        kept = home.secrets()
        if manifest.objects == OBJECTS and (source / OBJECTS).is_dir():
            with step("files"), explained(home.path):
                shutil.copytree(source / OBJECTS, Path(os.environ.get("CHASQUI_OBJECTS__URL", str(home.path / OBJECTS))))
        postgres = Postgres(home.path / "postgres")
        with step("PostgreSQL"):
            postgres.start()
        try:
            url = urlunsplit(urlsplit(postgres.admin_url)._replace(path=f"/{DATABASE_NAME}"))
            with step("database"):
                asyncio.run(_make_database(postgres.admin_url, (source / ROLES).read_text()))
                program("pg_restore", url, "--exit-on-error", f"--dbname={DATABASE_NAME}", "--jobs=2", str(source / DATABASE))
            with step("what follows from it"):
                return asyncio.run(_mend(url, os.environ.get("CHASQUI_DB__PASSWORD", kept["role_password"])))
        finally:
            postgres.stop()
    finally:
        home.folder.release()


def checked(source: Path) -> Manifest:
    """The manifest of a whole backup that this version can read; every file is read. Raises `LocalError`."""
    try:
        text = (source / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise LocalError(f"{source} is no backup: it has no {MANIFEST}.") from None
    try:
        found = json.loads(text)
        if isinstance(found, dict) and found.get("format", FORMAT) != FORMAT:
            raise LocalError(f"{source} was written by version {found.get('version')}: restore it with that one.")
        manifest = Manifest.model_validate(found)
    except (ValueError, ValidationError):
        raise _damaged(MANIFEST, source) from None
    for name in PARTS:
        if not _is_what_it_was(source / name, manifest.sha256.get(name)):
            raise _damaged(name, source)
    listed = 0
    with (source / FILES).open() as lines:
        for listed, line in enumerate(lines, 1):  # noqa: B007  # told when it is over
            sha256, _, name = line.rstrip("\n").partition("  ")
            if not _is_what_it_was(source / name, sha256):
                raise _damaged(name, source)
    if not listed == manifest.files == sum(1 for _ in files_of(source)):
        raise _damaged(OBJECTS, source)
    return manifest


def _is_what_it_was(path: Path, sha256: str | None) -> bool:
    return path.is_file() and digest(path) == sha256


def _damaged(name: str, source: Path) -> LocalError:
    return LocalError(f"{name} in {source} is not what was backed up: take another backup.")


def _check_home(home: Path, source: Path, manifest: Manifest) -> None:
    secrets = home / SECRETS
    if there := [name for name in OF_SERVERS if (home / name).exists()]:
        raise LocalError(f"{home} has data already ({', '.join(there)}): move it away, nothing is overwritten.")
    if not secrets.exists():
        raise LocalError(
            f"Put the secrets.json of the platform that was backed up into {home} first: nothing in {source} opens without."
        )
    others = os.environ.get("CHASQUI_SECURITY__OTHER_MASTER_KEYS", "").split(",")
    keys = [master_key(home), *(key.strip() for key in others)]
    if manifest.master_key not in map(key_name, keys):
        raise LocalError(f"{secrets} has another master key than the platform that was backed up.")


async def _make_database(server_url: str, roles: str) -> None:
    server = await asyncpg.connect(server_url)
    try:
        await server.execute(roles)
        await server.execute(f"CREATE DATABASE {DATABASE_NAME}")
    finally:
        await server.close()


async def _mend(url: str, role_password: str) -> datetime:
    """Passwords and newer migrations; what a dump cannot carry over; the mark, and what was on the bus."""
    try:
        await migrate(url, role_password)
    except MigrationError as error:
        raise LocalError(str(error)) from None
    admin = await asyncpg.connect(url)
    try:
        await admin.execute("ANALYZE")
        await admin.fetchval("SELECT archive.go_on_after_restore()")
    finally:
        await admin.close()
    parts = urlsplit(url)
    settings = DatabaseSettings(
        url=urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), password=SecretStr(role_password)
    )
    async with open_pool(settings, "sender") as pool, pool.acquire() as connection:
        moment = await restored.mark(connection)
    async with open_pool(settings, "gateway") as pool:
        outbox = Outbox(pool, MemoryBus(), Metrics("gateway"))  # its rows are relayed by the gateway's
        public_url = (
            os.environ.get("CHASQUI_GATEWAY__PUBLIC_URL") or f"http://{HOST}:{os.environ.get('CHASQUI_HTTP__PORT', '8080')}"
        )
        await retell(outbox, public_url)
        await retell_messages(outbox)
    return moment


def entry(arguments: Sequence[str] | None = None) -> int:
    """Faults that the user can mend are one sentence."""
    parser = argparse.ArgumentParser(prog="make restore FROM=…", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", nargs="?", default="", help="the folder that make backup has made")
    try:
        source = parser.parse_args(arguments).source
        if not source:
            raise LocalError("Name the backup: make restore FROM=backups/…")
        home = Home.from_environment()
        moment = restore(home, Path(source).absolute())
        sys.stdout.write(
            f"Restored into {home.path}. What was due before {moment:%Y-%m-%d %H:%M:%S} UTC is not sent again by itself: see "
            "GET /admin/restored (docs/backup.md).\n"
        )
    except LocalError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(entry())
