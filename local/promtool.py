"""promtool, with which the rules of Prometheus are checked and tested: the one in the PATH, or Debian's, fetched once.

Debian's package `prometheus` is downloaded and promtool taken out of it; nothing is installed, and no right of root is needed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from local.errors import LocalError, explained

NAME: Final = "promtool"
PACKAGE: Final = "prometheus"
MEMBER: Final = "usr/bin/promtool"
DOWNLOAD_SECONDS: Final = 300.0
WITHOUT: Final = f"{NAME} is missing and could not be fetched"
INSTEAD: Final = f"put {NAME} into the PATH (Debian and Ubuntu: the package {PACKAGE}; others: prometheus.io/download)"


def promtool(root: Path) -> Path:
    """The program; `root` is the project's folder, below whose `.chasqui/tools` it is kept once it was fetched.

    Twice at once is safe: the second waits. Raises `LocalError` with what to do where it can be neither found nor fetched.
    """
    if (found := shutil.which(NAME)) is not None:
        return Path(found)
    tools = root / ".chasqui" / "tools"
    program = tools / NAME
    if program.exists():
        return program
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise LocalError(f"{WITHOUT}: {tool} is not on this machine; {INSTEAD}.")
    with explained(tools):
        tools.mkdir(parents=True, exist_ok=True)
        with _alone(tools / "lock"):
            if not program.exists():
                with tempfile.TemporaryDirectory(dir=tools) as draft:
                    _unpacked(_downloaded(Path(draft))).replace(program)
    return program


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _downloaded(folder: Path) -> Path:
    download = ("apt-get", "download", "-qq", PACKAGE)
    fault = _run(download, folder)
    if fault and os.geteuid() == 0:  # a new machine has no lists of packages yet
        _run(("apt-get", "update", "-qq"), folder)
        fault = _run(download, folder)
    packages = sorted(folder.glob("*.deb"))
    if fault or not packages:
        raise LocalError(f"{WITHOUT}: {fault or 'apt-get left no file'}; {INSTEAD}.")
    return packages[0]


def _unpacked(package: Path) -> Path:
    content = package.with_suffix(".tar")
    if fault := _run(("dpkg-deb", "--fsys-tarfile", package.name), package.parent, content):
        raise LocalError(f"{WITHOUT}: {fault}; {INSTEAD}.")
    program = package.with_name(NAME)
    with tarfile.open(content) as files:
        member = next((one for one in files if one.isfile() and one.name.removeprefix("./") == MEMBER), None)
        source = files.extractfile(member) if member is not None else None
        if source is None:
            raise LocalError(f"{WITHOUT}: {package.name} holds no {MEMBER}; {INSTEAD}.")
        with program.open("wb") as target:
            shutil.copyfileobj(source, target)
    program.chmod(0o755)
    return program


def _run(command: Sequence[str], folder: Path, output: Path | None = None) -> str:
    """What went wrong, on one line; empty where nothing did. What the command writes goes to `output`."""
    try:
        with (output or Path(os.devnull)).open("wb") as target:
            subprocess.run(command, cwd=folder, stdout=target, stderr=subprocess.PIPE, check=True, timeout=DOWNLOAD_SECONDS)
    except subprocess.TimeoutExpired:
        return f"{' '.join(command)} took longer than {DOWNLOAD_SECONDS:.0f} s"
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("E: ") if lines else f"{' '.join(command)} failed"
    return ""


def main() -> int:
    """Fetch it and say where it is."""
    try:
        sys.stdout.write(f"{promtool(Path(__file__).resolve().parents[1])}\n")
    except LocalError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
