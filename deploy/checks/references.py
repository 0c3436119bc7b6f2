"""Every name, label and port by which one object means another leads to one that is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from deploy.checks.environment import values_of
from deploy.checks.fault import Fault
from deploy.checks.manifests import LASTING, Manifest, Rendering, at, listed, mapped, takes
from deploy.checks.tree import K8S, Tree

BUILT_IN: Final = frozenset({"extension-apiserver-authentication-reader"})
"""Roles of every cluster whose names do not begin with `system:`."""
VOLUME_SOURCES: Final = (("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName"), ("Secret", "secret", "name"))
"""Kind, field and name's field of volumes; projected ones name their Secrets otherwise."""


def check(tree: Tree) -> Iterator[Fault]:
    for rendering in tree.overlays:
        outside = _told_to_be_made(tree, rendering)
        for manifest in rendering.manifests:
            place = rendering.place(manifest)
            yield from (Fault(place, text) for text in _faults(rendering, manifest, outside))


def _told_to_be_made(tree: Tree, rendering: Rendering) -> str:
    """The READMEs: a Secret that somebody has to make is made there, by a command with its keys."""
    paths = (K8S / rendering.name / "README.md", K8S / "README.md")
    return "\n".join(tree.text(path) for path in paths if (tree.root / path).exists())


def _faults(rendering: Rendering, manifest: Manifest, outside: str) -> Iterator[str]:
    match manifest.kind:
        case "Service":
            yield from _service(rendering, manifest)
        case "Ingress":
            yield from _ingress(rendering, manifest)
        case "PodDisruptionBudget":
            if not rendering.selected(mapped(manifest.spec, "selector")):
                yield "its selector takes no pod"
        case "RoleBinding" | "ClusterRoleBinding":
            yield from _binding(rendering, manifest)
        case _:
            pass
    if manifest.pod:
        yield from _pod(rendering, manifest, outside)


def _service(rendering: Rendering, service: Manifest) -> Iterator[str]:
    selector = mapped(service.spec, "selector")
    if not selector:
        return  # an ExternalName, or one whose endpoints somebody else writes
    taken = [one for one in rendering.selected({"matchLabels": selector}) if one.kind in LASTING]
    if not taken:
        yield f"its selector {_shown(selector)} takes no pod"
    for port in listed(service.spec, "ports"):
        target = port.get("targetPort", port.get("port"))
        for workload in taken:
            if not _has_port(workload, target):
                yield f"its port {port.get('port')} leads to {target}, which {workload} has not"


def _has_port(workload: Manifest, port: str | int) -> bool:
    return any(port in {one.get("name"), one.get("containerPort")} for one in workload.ports)


def _ingress(rendering: Rendering, ingress: Manifest) -> Iterator[str]:
    paths = [path for rule in listed(ingress.spec, "rules") for path in listed(rule, "http", "paths")]
    for path in paths:
        name, port = at(path, "backend", "service", "name"), mapped(path, "backend", "service", "port")
        service = rendering.find("Service", str(name))
        if service is None:
            yield f"{path.get('path')} leads to the Service {name}, which is not there"
        elif not any(_is_port(port, one) for one in listed(service.spec, "ports")):
            yield f"{path.get('path')} leads to a port of {name} that it has not: {_shown(port)}"


def _is_port(wanted: dict[str, Any], port: dict[str, Any]) -> bool:
    if "name" in wanted:
        return bool(wanted["name"] == port.get("name"))
    return bool(wanted.get("number") == port.get("port"))


def _binding(rendering: Rendering, binding: Manifest) -> Iterator[str]:
    role = mapped(binding.content, "roleRef")
    name = str(role.get("name"))
    if name not in BUILT_IN and not name.startswith("system:") and rendering.find(str(role.get("kind")), name) is None:
        yield f"its {role.get('kind')} {name} is not there"
    for subject in listed(binding.content, "subjects"):
        here = subject.get("namespace", binding.namespace) in {one.name for one in rendering.of("Namespace")}
        if here and subject.get("kind") == "ServiceAccount" and rendering.find("ServiceAccount", subject["name"]) is None:
            yield f"its ServiceAccount {subject['name']} is not there"


def _pod(rendering: Rendering, manifest: Manifest, outside: str) -> Iterator[str]:
    if manifest.kind in LASTING and not takes(mapped(manifest.spec, "selector"), manifest.pod_labels):
        yield "its selector does not take its own pods"
    for spread in listed(manifest.pod, "topologySpreadConstraints"):
        if not takes(mapped(spread, "labelSelector"), manifest.pod_labels):
            yield "a topologySpreadConstraint does not count its own pods"
    for container in manifest.all_containers:
        yield from _probed_ports(container)
        for kind, name, key, optional in _sources(container):
            if not optional:
                yield from _source(rendering, kind, name, key, outside)
    for volume in listed(manifest.pod, "volumes"):
        yield from _volume(rendering, volume, outside)


def _probed_ports(container: dict[str, Any]) -> Iterator[str]:
    ports = {value for port in listed(container, "ports") for value in (port.get("name"), port.get("containerPort"))}
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        for way in ("httpGet", "tcpSocket"):
            port = at(container, name, way, "port")
            if port is not None and port not in ports:
                yield f"{name} of {container.get('name')} asks port {port}, which it has not"


def _sources(container: dict[str, Any]) -> Iterator[tuple[str, str, str | None, bool]]:
    for source in listed(container, "envFrom"):
        for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if field in source:
                yield kind, source[field]["name"], None, bool(source[field].get("optional"))
    for variable in listed(container, "env"):
        for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
            reference = at(variable, "valueFrom", field)
            if reference is not None:
                yield kind, reference["name"], reference["key"], bool(reference.get("optional"))


def _source(rendering: Rendering, kind: str, name: str, key: str | None, outside: str) -> Iterator[str]:
    manifest = rendering.find(kind, name)
    if manifest is not None:
        if key is not None and key not in values_of(manifest):
            yield f"its {kind} {name} has no {key}"
    elif kind != "Secret":
        yield f"its {kind} {name} is not there"
    elif (made := re.search(rf"create secret generic {re.escape(name)}\b(.*?)```", outside, re.DOTALL)) is None:
        yield f"its Secret {name} is not there, and no README says how to make it"
    elif key is not None and key not in made[1]:
        yield f"no README makes the Secret {name} with a {key}"


def _volume(rendering: Rendering, volume: dict[str, Any], outside: str) -> Iterator[str]:
    parts = [volume, *listed(volume, "projected", "sources")]
    for part in parts:
        for kind, field, named in VOLUME_SOURCES:
            name = at(part, field, named)
            if name is not None and not at(part, field, "optional"):
                yield from _source(rendering, kind, name, None, outside)
    claim = at(volume, "persistentVolumeClaim", "claimName")
    if claim is not None and rendering.find("PersistentVolumeClaim", claim) is None:
        yield f"its PersistentVolumeClaim {claim} is not there"


def _shown(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
