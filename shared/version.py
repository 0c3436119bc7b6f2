"""The version of the whole platform, as pyproject.toml says it."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
