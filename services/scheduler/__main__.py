"""`python -m services.scheduler`: time."""

from __future__ import annotations

import sys

from services.scheduler.app import build
from services.scheduler.settings import Settings
from shared.service import serve

if __name__ == "__main__":
    sys.exit(serve("scheduler", Settings, build))
