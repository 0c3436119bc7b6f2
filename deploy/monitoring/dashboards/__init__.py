"""Grafana's folder "Performance"; `python -m deploy.monitoring.dashboards` writes the files that Grafana reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from deploy.monitoring.dashboards.messages import MESSAGES, NUMBERS
from deploy.monitoring.dashboards.overview import OVERVIEW
from deploy.monitoring.dashboards.processes import RUNTIME
from deploy.monitoring.dashboards.stores import ARCHIVE, DATA
from deploy.monitoring.panels import rendered

DASHBOARDS: Final = (OVERVIEW, MESSAGES, NUMBERS, DATA, ARCHIVE, RUNTIME)
FOLDER: Final = Path(__file__).parents[1] / "grafana" / "dashboards"


def files() -> Iterator[tuple[Path, str]]:
    """Each file with what it should hold."""
    for dashboard in DASHBOARDS:
        yield FOLDER / f"{dashboard.uid}.json", json.dumps(rendered(dashboard), indent=1, ensure_ascii=False) + "\n"
