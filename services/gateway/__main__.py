"""`python -m services.gateway`: the edge."""

from __future__ import annotations

import sys

from services.gateway.app import build
from services.gateway.settings import Settings
from shared.service import serve

if __name__ == "__main__":
    sys.exit(serve("gateway", Settings, build))
