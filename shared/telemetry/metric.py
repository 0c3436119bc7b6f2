"""What a metric is: a name, a kind, a meaning, its labels. All of them stand in the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

FOUR: Final = ("gateway", "scheduler", "sender", "archive")
ALL: Final = (*FOUR, "sandbox")

Across = Literal["sum", "max", "min"]

# Bounds in seconds.
FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
REQUEST: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
WAIT: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """`services` export it. `starts` are values of its labels that are there from the start, at 0: a rate sees the first event.
    `across` says of a gauge how what several replicas show is put together; the others are summed up."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    services: tuple[str, ...] = FOUR
    starts: tuple[tuple[str, ...], ...] = ()
    across: Across = "sum"


def counter(
    name: str, meaning: str, *labels: str, services: tuple[str, ...] = FOUR, starts: tuple[tuple[str, ...], ...] = ()
) -> Metric:
    """Without labels it starts at 0."""
    return Metric(name, "counter", meaning, labels, (), services, starts if labels else ((),))


def gauge(name: str, meaning: str, *labels: str, across: Across = "max", services: tuple[str, ...] = FOUR) -> Metric:
    """Its series are there from when they are first said. `across` replicas: `max`, or `min`, of what all read from the same place,
    or see alike; `sum` of what each has for itself."""
    return Metric(name, "gauge", meaning, labels, (), services, (), across)


def histogram(
    name: str,
    meaning: str,
    buckets: tuple[float, ...],
    *labels: str,
    services: tuple[str, ...] = FOUR,
    starts: tuple[tuple[str, ...], ...] = (),
) -> Metric:
    """`buckets` are upper bounds, in order."""
    return Metric(name, "histogram", meaning, labels, buckets, services, starts if labels else ((),))


def each(*values: str) -> tuple[tuple[str, ...], ...]:
    """The starts of a metric with one label."""
    return tuple((value,) for value in values)
