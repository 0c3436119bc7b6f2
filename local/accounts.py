"""As whom a server runs when this process is root: PostgreSQL refuses root, and no other server needs to be it."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local.errors import LocalError

# Numbers in capabilities(7). The first is the weaker: it passes directories and reads files, but writes and executes none.
# Containers keep only the second by default.
REACHES: Final = (("dac_read_search", 2), ("dac_override", 1))


@dataclass(frozen=True, slots=True)
class Account:
    """`reach` is the one capability it keeps: to get to files in a directory that is closed to others, as root's home is."""

    uid: int
    gid: int
    reach: str | None = None

    def setpriv(self) -> tuple[str, ...]:
        """Its options that turn root into this account."""
        become = (f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups")
        if self.reach is None:
            return (*become, "--inh-caps=-all", "--bounding-set=-all")
        caps = f"-all,+{self.reach}"
        keep = (f"--inh-caps={caps}", f"--ambient-caps={caps}", f"--bounding-set={caps}")
        # access(2), by which initdb and postgres look for each other, takes no account of capabilities without this bit.
        return (*become, *keep, "--securebits=+no_setuid_fixup")


def unprivileged(data: Path, *programs: Path) -> Account | None:
    """None for a plain user. For root the owner of `data` where that is a plain user, else nobody.

    It must get to `data` and execute `programs`, which may be closed to others; then it is given one capability to reach them.
    Raises `LocalError` where root itself has none to give.
    """
    if os.geteuid() != 0:
        return None
    owner = data.stat() if data.exists() else None
    if owner is not None and owner.st_uid != 0:
        uid, gid = owner.st_uid, owner.st_gid
    else:
        nobody = pwd.getpwnam("nobody")
        uid, gid = nobody.pw_uid, nobody.pw_gid
    closed_ways = [way for path in (data, *programs) for way in _ways(path) if not _open_to(way, uid)]
    closed_programs = [program for program in programs if not _open_to(program, uid)]
    if not closed_ways and not closed_programs:
        return Account(uid, gid)
    held = _permitted()
    for name, bit in REACHES[1:] if closed_programs else REACHES:
        if held >> bit & 1:
            return Account(uid, gid, name)
    closed = [*closed_programs, *closed_ways][0]
    raise LocalError(f"User {uid}, as whom the servers run, is shut out of {closed}: `chmod o+rx` it or start as a plain user.")


def _ways(path: Path) -> tuple[Path, ...]:
    """Directories to pass for a path, both as it is written and where its links lead."""
    return (*path.absolute().parents, *path.resolve().parents)


def _open_to(path: Path, uid: int) -> bool:
    if not path.exists():
        return True
    found = path.stat()
    needed = stat.S_IXUSR if found.st_uid == uid else stat.S_IXOTH
    return bool(found.st_mode & needed)


def _permitted() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapPrm:"):
            return int(line.split()[1], 16)
    return 0
