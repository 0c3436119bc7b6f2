"""python -m services.sender.reseal: what the sender keeps sealed, sealed with the present master key (docs/operations.md)."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from services.sender.settings import Settings
from services.sender.store.sealed import COLUMNS
from shared.auth.reseal import command
from shared.config import DatabaseSettings, SecuritySettings, load


def _settings() -> tuple[DatabaseSettings, SecuritySettings]:
    settings = load(Settings)
    return settings.db, settings.security


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return command("sender", _settings, COLUMNS, arguments)


if __name__ == "__main__":
    sys.exit(main())
