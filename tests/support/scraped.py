"""A service's page of metrics, as Prometheus reads it."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.telemetry import metrics as module
from shared.telemetry.catalogue import METRICS
from shared.telemetry.metrics import Metrics

FAILURES: Final = "chasqui_metrics_source_failures_total"
_LABELS: Final = {
    f"{metric.name}{part}": metric.labels
    for metric in METRICS
    for part in (("_count", "_sum") if metric.kind == "histogram" else ("",))
}


class Page:
    """What was found on it. Labels are values in the catalogue's order; buckets are left out."""

    def __init__(self, text: str) -> None:
        self._series: defaultdict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if (labels := _LABELS.get(sample.name)) is not None:
                    self._series[sample.name][tuple(sample.labels[label] for label in labels)] = sample.value

    def __call__(self, name: str, *labels: str) -> float:
        """The value; raises `KeyError` where there is none."""
        return self._series[name][labels]

    def series(self, name: str) -> dict[tuple[str, ...], float]:
        """All of a name's, by their labels."""
        return self._series[name]


async def scraped(metrics: Metrics) -> Page:
    """The page. No source may have failed."""
    page = Page((await metrics.text()).decode())
    failed = [labels for labels, value in page.series(FAILURES).items() if value]
    assert failed == [], failed
    return page


def ask_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources are asked again at each scrape, however soon it comes."""
    monkeypatch.setattr(module, "KEPT_SECONDS", 0.0)
