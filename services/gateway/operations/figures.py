"""The services' metrics, read back for answers that are no graphs: what stands on the pages for Prometheus, counted together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client.parser import text_string_to_metric_families

from shared.telemetry.metric import Metric

Labels = Mapping[str, str]


class Figures:
    """Of these metrics, and of all processes that answered. Counters begin anew with each process."""

    def __init__(self, wanted: Iterable[Metric], pages: Mapping[str, Sequence[bytes]]) -> None:
        names = tuple(metric.name for metric in wanted)
        self._samples: defaultdict[str, list[tuple[str, Labels, float]]] = defaultdict(list)
        for service, texts in pages.items():
            for text in texts:
                for family in text_string_to_metric_families(_lines_of(names, text)):
                    for sample in family.samples:
                        self._samples[sample.name].append((service, sample.labels, sample.value))

    def samples(self, metric: Metric) -> Iterator[tuple[str, Labels, float]]:
        """Service, labels and value of each."""
        yield from self._samples.get(metric.name, ())

    def total(self, metric: Metric, **labels: str) -> float:
        """The sum of those that have these labels."""
        return sum(value for _, found, value in self.samples(metric) if labels.items() <= found.items())

    def most(self, metric: Metric, **labels: str) -> float:
        """The greatest of those that have these labels, 0 where there is none: of what all processes read at one place."""
        return max((value for _, found, value in self.samples(metric) if labels.items() <= found.items()), default=0.0)

    def by(self, metric: Metric, label: str) -> dict[str, float]:
        """Sums by the values of a label."""
        sums: defaultdict[str, float] = defaultdict(float)
        for _, found, value in self.samples(metric):
            sums[found.get(label, "")] += value
        return dict(sums)


def _lines_of(names: tuple[str, ...], text: bytes) -> str:
    """Only what is asked for: a page has thousands of lines, most of them buckets of histograms."""
    kept = [line for line in text.decode().splitlines() if line.startswith(names)]
    return "\n".join([*kept, ""])
