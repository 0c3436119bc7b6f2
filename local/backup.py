"""`make backup`: all that the run or stack that is up could not be made again from, into a folder, while messages flow.

The database is one snapshot of all schemas. Queues, caches and limits are not in it: their subscriptions are code, and what they
hold is made again or expires. Nor are secrets: `secrets.json` of the home, without which those in the database do not open, is to
be kept elsewhere.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import asyncpg
from pydantic import AwareDatetime, BaseModel, SecretStr

from local.assembly import AllSettings
from local.errors import LocalError, explained
from local.home import Home, master_key
from local.postgres import installed_binaries
from shared.config import PREFIX
from shared.version import VERSION

FORMAT: Final = 1
DATABASE: Final = "database.dump"
ROLES: Final = "roles.sql"
SETTINGS: Final = "settings.json"
OBJECTS: Final = "objects"
MANIFEST: Final = "manifest.json"
FILES: Final = "objects.sha256"
PARTS: Final = (DATABASE, ROLES, SETTINGS, FILES)
_OURS: Final = ("CREATE ROLE chasqui_", "ALTER ROLE chasqui_")


class Manifest(BaseModel):
    """What a backup says of itself."""

    format: int
    version: str
    taken_at: AwareDatetime
    postgres: int
    """Its major version."""
    master_key: str
    """Its `key_name`."""
    objects: str
    """`OBJECTS` where the files are in there, else where they are."""
    files: int
    sha256: dict[str, str]
    """Of each of `PARTS`; one of them has those of the files."""


def backup(home: Path, target: Path) -> Path:
    """Write a backup of what runs in `home` into a new folder in `target`; returns it. Half a backup never has the name of one.

    Raises `LocalError`.
    """
    facts = home / "run.json"
    if not facts.exists():
        raise LocalError("Nothing runs here: start make run or make stack first.")
    url = json.loads(facts.read_text())["servers"]["postgres"]
    key = master_key(home)
    taken_at = datetime.now(UTC)
    made = target / f"{taken_at:%Y%m%dT%H%M%S}Z"
    draft = made.with_suffix(".new")
    with explained(target):
        draft.mkdir(parents=True, mode=0o700)
        # The snapshot first: a file is stored before the row that names it, so every row of it finds its file.
        program("pg_dump", url, "--format=custom", f"--file={draft / DATABASE}")
        (draft / ROLES).write_text(_own_roles(program("pg_dumpall", url, "--roles-only", "--no-role-passwords")))
        (draft / SETTINGS).write_text(json.dumps(public_settings(os.environ), indent=1) + "\n")
        place = os.environ.get("CHASQUI_OBJECTS__URL", str(home / OBJECTS))
        if "://" not in place and Path(place).is_dir():
            shutil.copytree(place, draft / OBJECTS, ignore_dangling_symlinks=True, copy_function=_copied)
        manifest = Manifest(
            format=FORMAT,
            version=VERSION,
            taken_at=taken_at.replace(microsecond=0),
            postgres=asyncio.run(_server_version(url)),
            master_key=key_name(key),
            objects=OBJECTS if "://" not in place else place,
            files=list_files(draft),
            sha256={name: digest(draft / name) for name in PARTS},
        )
        (draft / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n")
        draft.rename(made)
    return made


def program(name: str, url: str, *arguments: str) -> str:
    """Run one of PostgreSQL's own on a database; returns what it printed. Its command line has no password. Raises `LocalError`."""
    parts = urlsplit(url)
    path = installed_binaries() / name
    if not path.exists():
        raise LocalError(f"PostgreSQL's {name} is missing: run make setup, or install PostgreSQL's client programs.")
    environment = {
        "PATH": os.defpath,
        "LC_ALL": "C.UTF-8",
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": parts.path.lstrip("/"),
    }
    done = subprocess.run([path, *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(f"{name} failed: {done.stderr.strip()[-1000:]}")
    return done.stdout


def public_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that are set, without secrets, and without addresses that have a password in them."""
    secret = set(_secret_names())
    return {
        name: value
        for name, value in sorted(environment.items())
        if name.startswith(PREFIX) and name not in secret and not urlsplit(value).password
    }


def key_name(master_key: str) -> str:
    """Tells a master key from another, and nothing else about it."""
    return hmac.new(master_key.encode(), b"chasqui backup", hashlib.sha256).hexdigest()[:16]


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _secret_names() -> Iterator[str]:
    for service in AllSettings.__dataclass_fields__.values():
        settings: Any = sys.modules[f"services.{service.name}.settings"].Settings
        for group, field in settings.model_fields.items():
            for name, part in field.annotation.model_fields.items():
                if part.annotation is SecretStr:
                    yield f"{PREFIX}{group}__{name}".upper()
    yield "CHASQUI_MIGRATE__URL"


def _own_roles(text: str) -> str:
    return "".join(line + "\n" for line in text.splitlines() if line.startswith(_OURS))


def list_files(made: Path) -> int:
    """Write down the digest of each file, as `sha256sum --check` reads it; returns how many there are."""
    count = 0
    with (made / FILES).open("w") as listed:
        for count, path in enumerate(files_of(made), 1):  # noqa: B007  # told when it is over
            listed.write(f"{digest(path)}  {path.relative_to(made)}\n")
    return count


def files_of(made: Path) -> Iterator[Path]:
    """The files of the object store that are in a backup."""
    return (path for path in (made / OBJECTS).rglob("*") if path.is_file())


def _copied(source: str, target: str) -> object:
    """A file that was deleted since the folder was listed is gone: its row is on its way out too."""
    try:
        return shutil.copy2(source, target)
    except FileNotFoundError:
        return target


async def _server_version(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SHOW server_version_num")) // 10_000
    finally:
        await connection.close()


def entry(arguments: Sequence[str] | None = None) -> int:
    """Faults that the user can mend are one sentence."""
    parser = argparse.ArgumentParser(prog="make backup", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("target", nargs="?", type=Path, default=Path("backups"), help="folder of the backups")
    try:
        home = Home.from_environment()
        made = backup(home.path, parser.parse_args(arguments).target.absolute())
        sys.stdout.write(
            f"{made}\nKeep {home.path / 'secrets.json'} elsewhere: it is not in there, and nothing opens without it.\n"
        )
    except LocalError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(entry())
