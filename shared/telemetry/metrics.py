"""What a service measures, and its page for Prometheus. One `Metrics` per service, so that several live in one process.

Counting is for the event loop's thread and costs a fraction of a microsecond; hot paths still count once a batch. What stands
somewhere else anyway - a table, a queue, a pool - is not counted along but asked for when Prometheus asks: a source.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from shared.telemetry.catalogue import BUILD_INFO, METRICS, METRICS_SOURCE_FAILURES_TOTAL
from shared.telemetry.metric import ALL, Metric
from shared.version import VERSION

log = structlog.get_logger(__name__)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SOURCE_SECONDS: Final = 1.0
"""Longest time that a source has."""
CLEAN_UP_SECONDS: Final = 0.1
"""How much longer a page waits for one whose time is over. Giving a connection back to a server that hangs takes longer: then the
page goes without it, and it is not asked again before it has ended."""
KEPT_SECONDS: Final = 5.0
"""Several who scrape, or one who does so often, cost the sources no more than one round in this time."""
MOST_SERIES: Final = 2_000
"""Per metric. A label that grows beyond is a fault: what is new then is counted as `other`, or left out where a source says it, and
the page stays readable."""
_OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source says: a gauge's value now, or a counter's since it began."""

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()


Read = Callable[[], Awaitable[Iterable[Reading]]]
"""A source. It may fail or be slow: then its gauges are missing from that page."""


class _Source:
    """What it said last, and when it was asked; while it is asked it has said nothing."""

    __slots__ = ("asked_at", "asking", "is_failing", "name", "read", "readings")

    def __init__(self, name: str, read: Read) -> None:
        self.name = name
        self.read = read
        self.asking: asyncio.Future[tuple[None]] | None = None
        self.asked_at = 0.0
        self.readings: Sequence[Reading] = ()
        self.is_failing = False


class _Histogram:
    """How many values lay in each bucket, not summed up, and the sum of the values."""

    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.total = 0.0


class Metrics:
    """The metrics of one service: those of the catalogue that name it. Another one is a `KeyError`, a wrong number of labels a
    `ValueError`: bugs, both."""

    def __init__(self, service: str) -> None:
        if service not in ALL:
            raise ValueError(f"the catalogue knows no service {service}")
        self.service = service
        own = [metric for metric in METRICS if service in metric.services]
        self._values: dict[Metric, dict[tuple[str, ...], float]] = {
            metric: dict.fromkeys(metric.starts, 0.0) for metric in own if metric.kind != "histogram"
        }
        self._histograms: dict[Metric, dict[tuple[str, ...], _Histogram]] = {
            metric: {labels: _Histogram(len(metric.buckets)) for labels in metric.starts}
            for metric in own
            if metric.kind == "histogram"
        }
        self._sources: dict[str, _Source] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Collector(self._families))
        ProcessCollector(registry=self._registry)
        self.set(BUILD_INFO, 1, VERSION)

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Add to a counter; by 0 it is there from now on."""
        values = self._values[metric]
        try:
            values[labels] += by
        except KeyError:
            known = _fitting(metric, labels, values)
            values[known] = values.get(known, 0.0) + by

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Say what a gauge is now."""
        values = self._values[metric]
        if labels not in values:
            labels = _fitting(metric, labels, values)
        values[labels] = value

    def observe(self, metric: Metric, value: float, *labels: str, times: int = 1) -> None:
        """Put a value into a histogram, `times` over."""
        series = self._histograms[metric]
        histogram = series.get(labels)
        if histogram is None:
            histogram = series.setdefault(_fitting(metric, labels, series), _Histogram(len(metric.buckets)))
        histogram.counts[bisect_left(metric.buckets, value)] += times
        histogram.total += value * times

    def observe_all(self, metric: Metric, values: Iterable[float], *labels: str) -> None:
        """Put several values in; below 0 counts as 0, as clocks that differ have it."""
        for value in values:
            self.observe(metric, max(0.0, value), *labels)

    def source(self, name: str, read: Read) -> None:
        """Ask `read` at a scrape, with all others at once. Raises ValueError where `name` is taken."""
        if name in self._sources:
            raise ValueError(f"two sources are called {name}")
        self._sources[name] = _Source(name, read)
        self.count(METRICS_SOURCE_FAILURES_TOTAL, name, by=0)

    async def text(self) -> bytes:
        """The page (`CONTENT_TYPE`). Never fails; takes no longer than `SOURCE_SECONDS` and a little, whatever the sources do."""
        now = asyncio.get_running_loop().time()
        answers = [self._answer(source, now) for source in self._sources.values()]
        if answers:
            await asyncio.wait(answers, timeout=SOURCE_SECONDS + CLEAN_UP_SECONDS)
        return generate_latest(self._registry)

    def _answer(self, source: _Source, now: float) -> asyncio.Future[tuple[None]]:
        """That of a while ago, or one that is on its way, whoever scraped then; whoever does so and leaves cancels none."""
        is_old = now - source.asked_at >= KEPT_SECONDS
        asking = source.asking
        if asking is None or (is_old and asking.done()):
            source.asked_at, source.readings = now, ()
            asking = source.asking = asyncio.gather(self._ask(source))
        elif is_old:
            self.count(METRICS_SOURCE_FAILURES_TOTAL, source.name)
        return asking

    async def _ask(self, source: _Source) -> None:
        try:
            async with asyncio.timeout(SOURCE_SECONDS):
                readings = list(await source.read())
            self._check(readings)
        except Exception as error:  # noqa: BLE001  # the page is worth having without it, and says that it failed
            self.count(METRICS_SOURCE_FAILURES_TOTAL, source.name)
            if not source.is_failing:
                source.is_failing = True
                log.warning("metrics.source_failed", source=source.name, error=type(error).__name__)
            return
        source.readings = readings
        if source.is_failing:
            source.is_failing = False
            log.info("metrics.source_back", source=source.name)

    def _check(self, readings: Iterable[Reading]) -> None:
        """As what is counted: another service's metric is a KeyError, a wrong number of labels a ValueError."""
        for reading in readings:
            if reading.metric not in self._values:
                raise KeyError(reading.metric.name)
            if len(reading.labels) != len(reading.metric.labels):
                raise ValueError(f"{reading.metric.name} has the labels {reading.metric.labels}")

    def _families(self) -> Iterator[Family]:
        read: dict[Metric, dict[tuple[str, ...], float]] = {}
        for source in self._sources.values():
            for reading in source.readings:
                known = read.setdefault(reading.metric, {})
                if len(known) < MOST_SERIES:
                    known[reading.labels] = reading.value
        for metric, values in self._values.items():
            plain = (CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily)(
                metric.name, metric.meaning, labels=metric.labels
            )
            for labels, value in {**values, **read.get(metric, {})}.items():
                plain.add_metric(labels, value)
            yield plain
        for metric, series in self._histograms.items():
            family = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
            bounds = [*(str(bound) for bound in metric.buckets), "+Inf"]
            for labels, histogram in series.items():
                below, buckets = 0, []
                for bound, count in zip(bounds, histogram.counts, strict=True):
                    below += count
                    buckets.append((bound, below))
                family.add_metric(labels, buckets, histogram.total)
            yield family


class _Collector(Collector):
    """What prometheus_client asks."""

    def __init__(self, families: Callable[[], Iterator[Family]]) -> None:
        self._families = families

    def collect(self) -> Iterator[Family]:
        return self._families()


def _fitting(metric: Metric, labels: tuple[str, ...], series: Mapping[tuple[str, ...], object]) -> tuple[str, ...]:
    """The labels that a new series goes by."""
    if len(labels) != len(metric.labels):
        raise ValueError(f"{metric.name} has the labels {metric.labels}")
    return labels if len(series) < MOST_SERIES else (_OTHER,) * len(labels)
