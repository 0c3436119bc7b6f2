"""Rendered objects of Kubernetes, and the few questions that all checks ask of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from deploy.checks.operators import made_of

POD_PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "Pod": ("spec",),
    "Deployment": ("spec", "template", "spec"),
    "StatefulSet": ("spec", "template", "spec"),
    "DaemonSet": ("spec", "template", "spec"),
    "Job": ("spec", "template", "spec"),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
}
LASTING: Final = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
"""Kinds whose pods are meant to stay, and so are probed and selected."""
CLUSTER_WIDE: Final = frozenset(
    {"Namespace", "ClusterRole", "ClusterRoleBinding", "APIService", "PersistentVolume", "StorageClass"}
)


def at(value: Any, *path: str | int) -> Any:
    """What lies at the path, None where it ends before."""
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def listed(value: Any, *path: str) -> list[Any]:
    """The list at the path, empty where there is none."""
    found = at(value, *path)
    return found if isinstance(found, list) else []


def mapped(value: Any, *path: str) -> dict[str, Any]:
    """The mapping at the path, empty where there is none."""
    found = at(value, *path)
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object, as it would be applied."""

    content: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(at(self.content, "kind"))

    @property
    def api(self) -> str:
        return str(at(self.content, "apiVersion"))

    @property
    def name(self) -> str:
        return str(at(self.content, "metadata", "name"))

    @property
    def namespace(self) -> str:
        """Empty for what belongs to the whole cluster, and where none is said."""
        return str(at(self.content, "metadata", "namespace") or "")

    @property
    def labels(self) -> Mapping[str, str]:
        return mapped(self.content, "metadata", "labels")

    @property
    def spec(self) -> dict[str, Any]:
        return mapped(self.content, "spec")

    @property
    def pod(self) -> dict[str, Any]:
        """The specification of its pods; empty for what has none."""
        return mapped(self.content, *POD_PATHS[self.kind]) if self.kind in POD_PATHS else {}

    @property
    def pod_labels(self) -> Mapping[str, str]:
        if self.kind not in POD_PATHS:
            return {}
        return mapped(self.content, *POD_PATHS[self.kind][:-1], "metadata", "labels")

    @property
    def containers(self) -> list[dict[str, Any]]:
        """Those that run side by side."""
        return listed(self.pod, "containers")

    @property
    def all_containers(self) -> list[dict[str, Any]]:
        """And those that run before them."""
        return [*listed(self.pod, "initContainers"), *self.containers]

    @property
    def ports(self) -> list[dict[str, Any]]:
        """Of all its containers."""
        return [port for container in self.all_containers for port in listed(container, "ports")]

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class Rendering:
    """All objects of one overlay. `name` is its folder below `deploy/k8s`; `made` are what operators would add to them."""

    def __init__(self, name: str, documents: Sequence[dict[str, Any]]) -> None:
        self.name = name
        self.manifests = [Manifest(document) for document in documents]
        self.made = [Manifest(document) for document in made_of(documents)]

    def of(self, *kinds: str) -> Iterator[Manifest]:
        return (one for one in self.manifests if one.kind in kinds)

    def workloads(self) -> Iterator[Manifest]:
        """Everything that makes pods."""
        return self.of(*POD_PATHS)

    def find(self, kind: str, name: str) -> Manifest | None:
        """Among the objects, or what operators make of them."""
        return next((one for one in (*self.manifests, *self.made) if (one.kind, one.name) == (kind, name)), None)

    def selected(self, selector: Mapping[str, Any]) -> list[Manifest]:
        """The workloads, those of operators too, whose pods a label selector takes."""
        return [one for one in (*self.manifests, *self.made) if one.pod and takes(selector, one.pod_labels)]

    def place(self, manifest: Manifest, container: Mapping[str, Any] | None = None) -> str:
        inner = f" container {container.get('name')}" if container is not None else ""
        return f"{self.name}: {manifest}{inner}"


def takes(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector, `matchLabels` and `matchExpressions`, takes something with these labels; an empty one takes all."""
    if any(labels.get(name) != value for name, value in mapped(selector, "matchLabels").items()):
        return False
    return all(_meets(expression, labels) for expression in listed(selector, "matchExpressions"))


def _meets(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values", [])
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None
