"""What a restore refuses before it does anything, and how backup and restore say what a user can mend."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local import backup, restore
from local.backup import DATABASE, FILES, MANIFEST, OBJECTS, ROLES, SETTINGS, Manifest, digest, key_name, list_files
from local.errors import LocalError
from local.home import Home

KEY = "a2V5"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A backup with two files."""
    made = tmp_path / "made"
    (made / OBJECTS / "ab").mkdir(parents=True)
    (made / OBJECTS / "ab" / "one").write_bytes(b"1" * 100)
    (made / OBJECTS / "two").write_bytes(b"")
    for name in (DATABASE, ROLES, SETTINGS):
        (made / name).write_text(name)
    manifest = Manifest(
        format=backup.FORMAT,
        version="1",
        taken_at=datetime(2026, 11, 22, tzinfo=UTC),
        postgres=18,
        master_key=key_name(KEY),
        objects=OBJECTS,
        files=list_files(made),
        sha256={name: digest(made / name) for name in backup.PARTS},
    )
    (made / MANIFEST).write_text(manifest.model_dump_json())
    return made


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("CHASQUI_LOCAL__FOLDER", str(folder))
    return folder


def test_a_whole_backup_is_taken(source: Path) -> None:
    assert restore.checked(source).files == 2


def test_one_without_files_is_whole(source: Path) -> None:
    for name in ("ab/one", "two"):
        (source / OBJECTS / name).unlink()
    (source / OBJECTS / "ab").rmdir()
    (source / OBJECTS).rmdir()
    manifest = json.loads((source / MANIFEST).read_text()) | {"files": list_files(source)}
    manifest["sha256"][FILES] = digest(source / FILES)
    (source / MANIFEST).write_text(json.dumps(manifest))
    assert restore.checked(source).files == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda made: (made / OBJECTS).rename(made / "elsewhere"),
        lambda made: (made / OBJECTS / "two").unlink(),
        lambda made: (made / OBJECTS / "ab" / "one").write_bytes(b"1" * 99),
        lambda made: (made / OBJECTS / "ab" / "one").write_bytes(b"1" * 99 + b"2"),
        lambda made: (made / OBJECTS / "three").write_bytes(b"3"),
        lambda made: (made / FILES).write_text(""),
        lambda made: (made / FILES).unlink(),
        lambda made: (made / DATABASE).write_text("other"),
    ],
)
def test_a_damaged_backup_is_refused_before_anything_is_done(
    source: Path, home: Path, damage: Callable[[Path], object]
) -> None:
    damage(source)
    with pytest.raises(LocalError, match="not what was backed up"):
        restore.restore(Home(home), source)
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("text", ["{}", "[]", "", '{"format": 1', '{"format": 1}', "\udc80"])
def test_a_broken_manifest_is_one_sentence(source: Path, home: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (source / MANIFEST).write_bytes(text.encode(errors="surrogateescape"))
    assert restore.entry([str(source)]) == 1
    assert capsys.readouterr().err == f"{MANIFEST} in {source} is not what was backed up: take another backup.\n"
    assert list(home.iterdir()) == []


def test_another_format_names_its_version(source: Path, home: Path) -> None:
    (source / MANIFEST).write_text('{"format": 99, "version": "7.0"}')
    with pytest.raises(LocalError, match=r"version 7\.0"):
        restore.restore(Home(home), source)


@pytest.mark.parametrize("arguments", [[], [""]])
@pytest.mark.usefixtures("home")
def test_a_restore_of_nothing_asks_for_the_backup(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert restore.entry(arguments) == 1
    assert capsys.readouterr().err == "Name the backup: make restore FROM=backups/…\n"


@pytest.mark.usefixtures("home")
def test_a_file_is_no_backup(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert restore.entry([str(source / DATABASE)]) == 1
    assert "is no backup" in capsys.readouterr().err


@pytest.mark.parametrize("text", ['{"master_key": "a2', "{}", "[]", '{"master_key": 1}'])
def test_broken_secrets_are_one_sentence(source: Path, home: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "secrets.json").write_text(text)
    assert restore.entry([str(source)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(home / "secrets.json") in said
    assert (home / "secrets.json").read_text() == text


def test_secrets_that_others_could_read_are_made_private(home: Path) -> None:
    secrets = home / "secrets.json"
    Home(home).secrets()
    secrets.chmod(0o644)
    Home(home).secrets()
    assert secrets.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("target", ["/proc/x", "file", "file/below"])
def test_a_place_that_takes_no_backup_is_one_sentence(
    home: Path, tmp_path: Path, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Home(home).secrets()
    Home(home).write_run(servers={"postgres": "postgresql://nobody@127.0.0.1:1/none"})
    (tmp_path / "file").touch()
    assert backup.entry([str(tmp_path / target)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert target in said


@pytest.mark.parametrize("text", [None, "{", "{}"])
def test_a_backup_without_secrets_is_one_sentence(home: Path, text: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    Home(home).write_run(servers={"postgres": "postgresql://nobody@127.0.0.1:1/none"})
    if text is not None:
        (home / "secrets.json").write_text(text)
    assert backup.entry([str(home / "backups")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "secrets.json" in said
