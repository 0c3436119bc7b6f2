"""The metrics there are: those that the code declares, those of the exporters that we rely on, those that rules record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from deploy.checks.manifests import listed
from deploy.checks.promql import Unreadable, read
from shared.telemetry.catalogue import METRICS

TARGET_LABELS: Final = frozenset({"job", "instance", "service", "namespace", "pod"})
"""What Prometheus adds to each series of ours; the check of monitoring holds the scrape configurations against them."""
META_NAMES: Final = frozenset({"up", "ALERTS"})
PROCESS: Final = frozenset({
    "process_cpu_seconds_total", "process_resident_memory_bytes", "process_virtual_memory_bytes", "process_open_fds",
    "process_max_fds", "process_start_time_seconds",
})  # fmt: skip
"""prometheus_client's own, of every service."""
CLUSTER: Final[Mapping[str, frozenset[str]]] = {
    "kube_deployment_spec_replicas": frozenset({"namespace", "deployment"}),
    "kube_deployment_status_replicas_available": frozenset({"namespace", "deployment"}),
    "kube_horizontalpodautoscaler_status_current_replicas": frozenset({"namespace", "horizontalpodautoscaler"}),
    "kube_horizontalpodautoscaler_status_desired_replicas": frozenset({"namespace", "horizontalpodautoscaler"}),
    "kube_horizontalpodautoscaler_spec_max_replicas": frozenset({"namespace", "horizontalpodautoscaler"}),
    "kube_horizontalpodautoscaler_status_condition": frozenset({"namespace", "horizontalpodautoscaler", "condition", "status"}),
    "kube_pod_container_status_restarts_total": frozenset({"namespace", "pod", "container", "uid"}),
    "kube_pod_init_container_status_restarts_total": frozenset({"namespace", "pod", "container", "uid"}),
    "kube_job_status_failed": frozenset({"namespace", "job_name", "reason"}),
}
"""kube-state-metrics' (docs/metrics in its repository, read 2026-11)."""
ANY: Final = None
"""Labels that nobody has told."""


@dataclass(frozen=True, slots=True)
class Known:
    """Names with the labels their series have, or ANY."""

    labels: Mapping[str, frozenset[str] | None]

    def faults(self, expression: str) -> Iterator[str]:
        """What an expression reads that is not there."""
        try:
            reading = read(expression)
        except Unreadable as error:
            yield f"cannot be read: {error}"
            return
        union: set[str] = set(TARGET_LABELS)
        open_ended = False
        for selector in reading.selectors:
            if selector.name not in self.labels:
                yield f"no service exports {selector.name or 'a metric without a name'}"
                open_ended = True
                continue
            labels = self.labels[selector.name]
            if labels is ANY:
                open_ended = True
                continue
            union |= labels
            for label in selector.labels:
                if label not in labels | TARGET_LABELS:
                    yield f"{selector.name} has no label {label}"
        if not open_ended:
            yield from (f"no metric in it has the label {label}" for label in sorted(set(reading.grouped) - union))


def declared() -> dict[str, frozenset[str] | None]:
    """As Prometheus stores them: of a histogram its three series."""
    found: dict[str, frozenset[str] | None] = dict.fromkeys(META_NAMES | PROCESS, frozenset())
    found["ALERTS"] = ANY
    for metric in METRICS:
        labels = frozenset(metric.labels)
        if metric.kind == "histogram":
            found |= {f"{metric.name}_sum": labels, f"{metric.name}_count": labels, f"{metric.name}_bucket": labels | {"le"}}
        else:
            found[metric.name] = labels
    return found | dict(CLUSTER)


def recorded(rules: list[Any]) -> dict[str, frozenset[str] | None]:
    """Names of recording rules, of all groups of all files; their labels are whatever the expression leaves."""
    return {
        rule["record"]: ANY
        for content in rules
        for group in listed(content, "groups")
        for rule in listed(group, "rules")
        if "record" in rule
    }
