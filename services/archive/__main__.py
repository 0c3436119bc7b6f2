"""`python -m services.archive`: the memory."""

from __future__ import annotations

import sys

from services.archive.app import build
from services.archive.settings import Settings
from shared.service import serve

if __name__ == "__main__":
    sys.exit(serve("archive", Settings, build))
