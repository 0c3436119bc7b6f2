"""What is scaled is there, by metrics that the code exports and the adapter maps, and keeps replicas while nodes are emptied."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from deploy.checks.fault import Fault
from deploy.checks.manifests import Manifest, Rendering, at, listed, mapped
from deploy.checks.metrics import Known, declared
from deploy.checks.tree import Tree

RANGES: Final[Mapping[str, tuple[int, int]]] = {
    "chasqui-gateway": (2, 10),
    "chasqui-scheduler": (2, 10),
    "chasqui-sender": (2, 20),
    "chasqui-archive": (2, 10),
}
"""Replicas, least and most, by the requirements."""
DOUBLED: Final = 100
"""Percent a minute that may be added."""
CALM_SECONDS: Final = 300
"""Least time that load must have been low before replicas go."""
ADAPTER_FILE: Final = "config.yaml"


def check(tree: Tree) -> Iterator[Fault]:
    mapped_names = _Adapter()
    for rendering in tree.renderings:
        for config in _adapter_configs(rendering):
            yield from (Fault(rendering.place(config), text) for text in mapped_names.add(config))
    for rendering in tree.renderings:
        autoscaled = {at(one.spec, "scaleTargetRef", "name") for one in rendering.of("HorizontalPodAutoscaler", "ScaledObject")}
        for manifest in rendering.manifests:
            place = rendering.place(manifest)
            yield from (Fault(place, text) for text in _faults(rendering, manifest, mapped_names, autoscaled))
    for rendering in tree.overlays:
        for name in RANGES:
            if not any(
                at(one.spec, "scaleTargetRef", "name") == name
                for one in rendering.of("HorizontalPodAutoscaler", "ScaledObject")
            ):
                yield Fault(rendering.name, f"nothing scales {name}")


def _faults(rendering: Rendering, manifest: Manifest, adapter: _Adapter, autoscaled: set[Any]) -> Iterator[str]:
    match manifest.kind:
        case "HorizontalPodAutoscaler":
            yield from _autoscaler(rendering, manifest, adapter)
        case "ScaledObject":
            yield from _scaled_object(rendering, manifest)
        case "PodDisruptionBudget":
            yield from _budget(rendering, manifest)
        case "Deployment" if manifest.name in autoscaled and "replicas" in manifest.spec:
            yield "replicas is set, and every apply would undo what the autoscaler chose"
        case _:
            pass


def _target(rendering: Rendering, manifest: Manifest) -> Iterator[str]:
    reference = mapped(manifest.spec, "scaleTargetRef")
    if rendering.find(str(reference.get("kind", "Deployment")), str(reference.get("name"))) is None:
        yield f"scales {reference.get('name')}, which is not there"


def _within(manifest: Manifest, least: Any, most: Any) -> Iterator[str]:
    wanted = RANGES.get(str(at(manifest.spec, "scaleTargetRef", "name")))
    if wanted is not None and not (isinstance(least, int) and wanted[0] <= least <= wanted[1] == most):
        yield f"scales from {least} to {most} replicas; the requirements say {wanted[0]} to {wanted[1]}"


def _autoscaler(rendering: Rendering, manifest: Manifest, adapter: _Adapter) -> Iterator[str]:
    yield from _target(rendering, manifest)
    yield from _within(manifest, manifest.spec.get("minReplicas"), manifest.spec.get("maxReplicas"))
    yield from _behaviour(mapped(manifest.spec, "behavior"))
    metrics = listed(manifest.spec, "metrics")
    if not metrics:
        yield "scales by nothing"
    known = declared()
    for metric in metrics:
        for kind, field in (("Pods", "pods"), ("External", "external"), ("Object", "object")):
            if metric.get("type") == kind:
                name = str(at(metric, field, "metric", "name"))
                selector = mapped(metric, field, "metric", "selector")
                labels = set(mapped(selector, "matchLabels")) | {one.get("key") for one in listed(selector, "matchExpressions")}
                yield from _metric(kind, name, labels, adapter, known)
        if metric.get("type") in {"Resource", "ContainerResource"}:
            yield from _requested(rendering, manifest, metric)


def _metric(
    kind: str, name: str, labels: set[str], adapter: _Adapter, known: Mapping[str, frozenset[str] | None]
) -> Iterator[str]:
    served = adapter.external if kind == "External" else adapter.custom
    if name not in served:
        yield f"scales by {name}, for which the adapter has no {'external ' if kind == 'External' else ''}rule"
        return
    series = served[name]
    allowed = known.get(series) or frozenset()
    for label in sorted(labels - allowed):
        yield f"chooses {name} by {label}, a label that it has not"


def _requested(rendering: Rendering, manifest: Manifest, metric: Mapping[str, Any]) -> Iterator[str]:
    resource = at(metric, "resource", "name") or at(metric, "containerResource", "name")
    target = rendering.find("Deployment", str(at(manifest.spec, "scaleTargetRef", "name")))
    for container in target.containers if target is not None else ():
        if at(container, "resources", "requests", str(resource)) is None:
            yield f"scales by a share of {resource}, of which {container.get('name')} requests none"


def _behaviour(behaviour: Mapping[str, Any]) -> Iterator[str]:
    grows = listed(behaviour, "scaleUp", "policies")
    if not any((one.get("type"), one.get("value"), one.get("periodSeconds")) == ("Percent", DOUBLED, 60) for one in grows):
        yield "behavior.scaleUp has no policy of 100 percent in 60 seconds"
    if int(at(behaviour, "scaleDown", "stabilizationWindowSeconds") or 0) < CALM_SECONDS:
        yield f"behavior.scaleDown.stabilizationWindowSeconds is less than {CALM_SECONDS}"


def _scaled_object(rendering: Rendering, manifest: Manifest) -> Iterator[str]:
    yield from _target(rendering, manifest)
    yield from _within(manifest, manifest.spec.get("minReplicaCount"), manifest.spec.get("maxReplicaCount"))
    yield from _behaviour(mapped(manifest.spec, "advanced", "horizontalPodAutoscalerConfig", "behavior"))
    target = at(manifest.spec, "scaleTargetRef", "name")
    if any(at(one.spec, "scaleTargetRef", "name") == target for one in rendering.of("HorizontalPodAutoscaler")):
        yield f"{target} has a HorizontalPodAutoscaler too: the two would fight"
    triggers = listed(manifest.spec, "triggers")
    if not triggers:
        yield "scales by nothing"
    known = Known(declared())
    for trigger in triggers:
        if trigger.get("type") == "prometheus":
            yield from known.faults(str(at(trigger, "metadata", "query")))


def _budget(rendering: Rendering, manifest: Manifest) -> Iterator[str]:
    """At least one pod must be free to go, or no node is ever emptied; and one must stay."""
    for workload in rendering.selected(mapped(manifest.spec, "selector")):
        scaler = next(
            (
                one
                for one in rendering.of("HorizontalPodAutoscaler", "ScaledObject")
                if at(one.spec, "scaleTargetRef", "name") == workload.name
            ),
            None,
        )
        least = workload.spec.get("replicas", 1)
        if scaler is not None:
            least = scaler.spec.get("minReplicas", scaler.spec.get("minReplicaCount", 1))
        if (stays := manifest.spec.get("minAvailable")) is not None and _of(stays, least, up=True) >= least:
            yield f"minAvailable {stays} of {least} replicas of {workload.name}: no node could ever be emptied"
        if (goes := manifest.spec.get("maxUnavailable")) is not None:
            if _of(goes, least, up=True) >= least:
                yield f"maxUnavailable {goes} of {least} replicas of {workload.name}: all of them may go at once"
            if _of(goes, least, up=True) == 0:
                yield f"maxUnavailable {goes}: no node could ever be emptied"


def _of(value: int | str, whole: int, *, up: bool) -> int:
    """A number, or percents as Kubernetes rounds them."""
    if isinstance(value, int):
        return value
    share = int(value.removesuffix("%")) * whole
    return -(-share // 100) if up else share // 100


def _adapter_configs(rendering: Rendering) -> Iterator[Manifest]:
    """Of prometheus-adapter: what has rules with a `seriesQuery`."""
    for manifest in rendering.of("ConfigMap"):
        if "seriesQuery" in str(mapped(manifest.content, "data").get(ADAPTER_FILE, "")):
            yield manifest


class _Adapter:
    """Names that the adapter serves, with the series behind each."""

    def __init__(self) -> None:
        self.custom: dict[str, str] = {}
        self.external: dict[str, str] = {}

    def add(self, config: Manifest) -> Iterator[str]:
        """The rules of one configuration; what is wrong with them."""
        content = yaml.safe_load(mapped(config.content, "data")[ADAPTER_FILE])
        known = declared()
        for group, served in (("rules", self.custom), ("externalRules", self.external)):
            for rule in listed(content, group):
                series = re.split(r"[{\s]", str(rule.get("seriesQuery", "")), maxsplit=1)[0]
                if series not in known:
                    yield f"a rule asks for {series or 'series without a name'}, which no service exports"
                    continue
                name = at(rule, "name", "as")
                served[str(name) if name else series] = series
                if "<<.Series>>" not in str(rule.get("metricsQuery", "")) or "<<.LabelMatchers>>" not in str(
                    rule.get("metricsQuery", "")
                ):
                    yield f"the rule of {series} asks for something else than its series: no <<.Series>> or <<.LabelMatchers>>"
                labels = mapped(rule, "resources", "overrides").keys()
                allowed = (known[series] or frozenset()) | {"namespace", "pod"}
                yield from (
                    f"the rule of {series} takes resources from {label}, a label it has not"
                    for label in sorted(labels - allowed)
                )
