"""Which account a server runs as, and with how little."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import accounts
from local.accounts import Account, unprivileged
from local.errors import LocalError


@pytest.fixture
def folder() -> Iterator[Path]:
    """Open to all on its whole way, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def program(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """For a root that holds every capability."""
    program = folder / "bin" / "server"
    program.parent.mkdir(mode=0o755)
    program.touch(mode=0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(accounts, "_permitted", lambda: 0xFF)
    return program


def test_a_plain_user_runs_servers_as_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert unprivileged(tmp_path) is None


def test_no_capability_where_everything_is_open(program: Path, folder: Path) -> None:
    account = unprivileged(folder / "data", program)
    assert account is not None
    assert account.uid != 0
    assert account.reach is None


def test_the_weaker_capability_passes_a_closed_folder(program: Path, folder: Path) -> None:
    program.parent.chmod(0o700)
    account = unprivileged(folder / "data", program)
    assert account is not None
    assert account.reach == "dac_read_search"


def test_a_program_closed_to_others_takes_the_stronger_one(program: Path, folder: Path) -> None:
    program.chmod(0o700)
    account = unprivileged(folder / "data", program)
    assert account is not None
    assert account.reach == "dac_override"


def test_a_container_that_lacks_the_weaker_one_uses_the_other(
    program: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "_permitted", lambda: 1 << 1)
    program.parent.chmod(0o700)
    account = unprivileged(folder / "data", program)
    assert account is not None
    assert account.reach == "dac_override"


def test_root_without_either_says_what_to_open(program: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "_permitted", lambda: 0)
    program.parent.chmod(0o700)
    with pytest.raises(LocalError, match=r"shut out of .*bin: `chmod o\+rx`"):
        unprivileged(folder / "data", program)


def test_an_account_keeps_no_other_capability() -> None:
    assert "--bounding-set=-all" in Account(1, 1).setpriv()
    assert "--bounding-set=-all,+dac_read_search" in Account(1, 1, "dac_read_search").setpriv()
