"""The page about the metrics names each of them once, and no other."""

from __future__ import annotations

import re

from local.metrics_page import ELSEWHERE, metrics_page
from shared.telemetry.catalogue import METRICS, PROCESS


def test_every_metric_has_one_row() -> None:
    rows = re.findall(r"^\| `(chasqui_[a-z_]+)", metrics_page(), re.MULTILINE)
    assert sorted(rows) == sorted(metric.name for metric in METRICS)


def test_other_names_stand_for_metrics_that_there_are() -> None:
    names = {metric.name for metric in METRICS} | set(PROCESS)
    for other, ours in ELSEWHERE:
        used = set(re.findall(r"\b(?:chasqui|process)_[a-z_]+", ours))
        assert used, other
        assert used <= names, other
