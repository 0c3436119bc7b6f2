"""promtool: from the PATH, from before, or from a package that apt-get has downloaded."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from local.errors import LocalError
from local.promtool import promtool


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH, but for the shell's own programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("cat", "cp", "echo", "sh"):
        (folder / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return folder


def write(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def archive(path: Path, member: str) -> None:
    with tarfile.open(path, "w") as files:
        entry = tarfile.TarInfo(member)
        entry.size = 5
        files.addfile(entry, io.BytesIO(b"hello"))


def test_the_one_in_the_path_is_taken(programs: Path, tmp_path: Path) -> None:
    write(programs, "promtool", "exit 0")
    assert promtool(tmp_path) == programs / "promtool"
    assert not (tmp_path / ".chasqui").exists()


def test_the_one_from_before_is_taken(programs: Path, tmp_path: Path) -> None:
    kept = tmp_path / ".chasqui/tools/promtool"
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert promtool(tmp_path) == kept


def test_it_is_taken_out_of_the_package(programs: Path, tmp_path: Path) -> None:
    archive(tmp_path / "content.tar", "./usr/bin/promtool")
    write(programs, "apt-get", "echo package > prometheus_1_amd64.deb")
    write(programs, "dpkg-deb", f"cat {tmp_path}/content.tar")
    found = promtool(tmp_path)
    assert found == tmp_path / ".chasqui/tools/promtool"
    assert found.read_bytes() == b"hello"
    assert found.stat().st_mode & stat.S_IXUSR
    assert [path.name for path in found.parent.iterdir() if path.is_dir()] == [], "the package is left behind"


@pytest.mark.parametrize(
    ("apt_get", "dpkg_deb", "told"),
    [
        ("echo 'E: Unable to locate package prometheus' >&2; exit 100", "exit 0", "Unable to locate package"),
        ("exit 0", "exit 0", "apt-get left no file"),
        ("echo x > a.deb", "echo 'not a Debian archive' >&2; exit 2", "not a Debian archive"),
        ("echo x > a.deb", "cat $CONTENT", "holds no usr/bin/promtool"),
    ],
)
def test_why_it_cannot_be_had(
    apt_get: str, dpkg_deb: str, told: str, programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(tmp_path / "other.tar", "usr/bin/prometheus")
    monkeypatch.setenv("CONTENT", str(tmp_path / "other.tar"))
    write(programs, "apt-get", apt_get)
    write(programs, "dpkg-deb", dpkg_deb)
    with pytest.raises(LocalError, match=f"promtool is missing.*{told}.*put promtool into the PATH"):
        promtool(tmp_path)
    assert not (tmp_path / ".chasqui/tools/promtool").exists()


def test_a_machine_without_apt_get_is_told_what_to_do(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="apt-get is not on this machine; put promtool into the PATH"):
        promtool(tmp_path)
