"""python -m services.gateway.reseal: what the gateway keeps sealed, sealed with the present master key (docs/operations.md)."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from services.gateway.settings import Settings
from services.gateway.store.sealed import COLUMNS
from shared.auth.reseal import command
from shared.config import DatabaseSettings, SecuritySettings, load


def _settings() -> tuple[DatabaseSettings, SecuritySettings]:
    settings = load(Settings)
    return settings.db, settings.security


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return command("gateway", _settings, COLUMNS, arguments)


if __name__ == "__main__":
    sys.exit(main())
