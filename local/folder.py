"""A server's data folder: whose it is while a run lasts, its password, its log."""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

from local.errors import LocalError, explained


class Folder:
    """One run at a time owns a folder. The kernel frees the claim when its process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._claim: int | None = None

    def log(self, name: str) -> Path:
        return self.path / f"{name}.log"

    def claim(self) -> None:
        """Create the folder and own it. Raises `LocalError` when another run does."""
        if self._claim is not None:
            return
        with explained(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            claim = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(claim, 20).decode().strip()
            os.close(claim)
            raise LocalError(f"Another run (process {holder}) uses {self.path}: stop that one first.") from None
        with explained(self.path):
            os.truncate(claim, 0)
            os.pwrite(claim, f"{os.getpid()}\n".encode(), 0)
        self._claim = claim

    def release(self) -> None:
        """Twice is safe."""
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    def password(self) -> str:
        """The server's password, made on first use, readable by the owner alone."""
        path = self.path / "password"
        with explained(path):
            if not path.exists() or not (kept := path.read_text().strip()):
                kept = secrets.token_urlsafe(24)
                draft = path.with_suffix(".new")
                draft.unlink(missing_ok=True)
                with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    file.write(kept)
                draft.rename(path)
        return kept
