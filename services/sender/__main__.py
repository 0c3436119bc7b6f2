"""`python -m services.sender`: the provider's client."""

from __future__ import annotations

import sys

from services.sender.app import build
from services.sender.settings import Settings
from shared.service import serve

if __name__ == "__main__":
    sys.exit(serve("sender", Settings, build))
