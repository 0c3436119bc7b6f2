"""Pods keep to the restricted standard of Kubernetes and to what we ask beyond it: probes, sizes, a root nobody can write to.

Pod Security Standards, profile "restricted", kubernetes.io/docs/concepts/security/pod-security-standards, read 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from deploy.checks.environment import service_of
from deploy.checks.fault import Fault
from deploy.checks.manifests import LASTING, Manifest, Rendering, at, listed
from deploy.checks.tree import Tree

VOLUMES: Final = frozenset({
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
})  # fmt: skip
HOST_FIELDS: Final = ("hostNetwork", "hostPID", "hostIPC")
IMAGE: Final = re.compile(
    r"^[a-z0-9][a-z0-9./_-]*(:(?P<port>\d+)/[a-z0-9./_-]+)?(:(?P<tag>[\w.-]+))?(@(?P<digest>sha256:[0-9a-f]{64}))?$"
)
MOVING_TAGS: Final = frozenset({"latest", "stable", "main", "master", "edge", "nightly"})
LEVEL: Final = "pod-security.kubernetes.io/enforce"


def check(tree: Tree) -> Iterator[Fault]:
    for rendering in tree.renderings:
        yield from _namespaces(rendering)
        for manifest in rendering.workloads():
            place = rendering.place(manifest)
            yield from (Fault(place, text) for text in _pod(rendering, manifest))
            for container in manifest.all_containers:
                yield from (Fault(rendering.place(manifest, container), text) for text in _container(manifest, container))
            if manifest.kind in LASTING:
                for container in manifest.containers:
                    yield from (Fault(rendering.place(manifest, container), text) for text in _probes(container))


def _namespaces(rendering: Rendering) -> Iterator[Fault]:
    for manifest in rendering.of("Namespace"):
        if manifest.labels.get(LEVEL) != "restricted":
            yield Fault(rendering.place(manifest), f"the label {LEVEL} is not restricted")
    known = {manifest.name for manifest in rendering.of("Namespace")}
    used = {manifest.namespace for manifest in rendering.workloads()}
    for name in sorted(used - known):
        yield Fault(rendering.name, f"there are pods in the namespace {name or '(none)'}, which is not among the objects")


def _pod(rendering: Rendering, manifest: Manifest) -> Iterator[str]:
    pod = manifest.pod
    security = at(pod, "securityContext")
    if at(security, "runAsNonRoot") is not True:
        yield "securityContext.runAsNonRoot is not true"
    if at(security, "runAsUser") == 0 or at(security, "runAsGroup") == 0:
        yield "runs as root"
    if at(security, "seccompProfile", "type") not in {"RuntimeDefault", "Localhost"}:
        yield "securityContext.seccompProfile.type is not RuntimeDefault"
    for field in HOST_FIELDS:
        if pod.get(field):
            yield f"{field} is set"
    for volume in listed(pod, "volumes"):
        yield from _volume(volume)
    if pod.get("automountServiceAccountToken") is not False and not _has_rights(rendering, manifest):
        yield "automountServiceAccountToken is not false, although its account has no rights that it could use"
    if (account := pod.get("serviceAccountName")) is None:
        yield "serviceAccountName is missing: the namespace's default account is everybody's"
    elif rendering.find("ServiceAccount", account) is None:
        yield f"its ServiceAccount {account} is not among the objects"


def _volume(volume: dict[str, Any]) -> Iterator[str]:
    kinds = volume.keys() - {"name"}
    for kind in sorted(kinds - VOLUMES):
        yield f"volume {volume.get('name')} is a {kind}, which the restricted standard forbids"
    if "emptyDir" in kinds and at(volume, "emptyDir", "sizeLimit") is None:
        yield f"volume {volume.get('name')} may fill the node's disk: emptyDir.sizeLimit is missing"


def _has_rights(rendering: Rendering, manifest: Manifest) -> bool:
    account = manifest.pod.get("serviceAccountName")
    return any(
        at(subject, "name") == account
        for binding in rendering.of("RoleBinding", "ClusterRoleBinding")
        for subject in listed(binding.content, "subjects")
    )


def _container(manifest: Manifest, container: dict[str, Any]) -> Iterator[str]:
    security = at(container, "securityContext")
    if at(security, "allowPrivilegeEscalation") is not False:
        yield "securityContext.allowPrivilegeEscalation is not false"
    if listed(security, "capabilities", "drop") != ["ALL"] or at(security, "capabilities", "add"):
        yield "securityContext.capabilities are not just drop: [ALL]"
    if at(security, "readOnlyRootFilesystem") is not True:
        yield "securityContext.readOnlyRootFilesystem is not true"
    if at(security, "privileged") or at(security, "runAsNonRoot") is False or at(security, "runAsUser") == 0:
        yield "is privileged or root"
    if any("hostPort" in port for port in listed(container, "ports")):
        yield "takes a port of the node"
    yield from _sizes(container)
    yield from image_faults(str(container.get("image", "")))
    names = {volume.get("name") for volume in listed(manifest.pod, "volumes")}
    names |= {at(claim, "metadata", "name") for claim in listed(manifest.spec, "volumeClaimTemplates")}
    for mount in listed(container, "volumeMounts"):
        if mount.get("name") not in names:
            yield f"mounts {mount.get('name')}, which is no volume of the pod"


def _sizes(container: dict[str, Any]) -> Iterator[str]:
    for path in ("requests.cpu", "requests.memory", "limits.memory"):
        if at(container, "resources", *path.split(".")) is None:
            yield f"resources.{path} is missing"


def image_faults(image: str) -> Iterator[str]:
    match = IMAGE.match(image)
    if match is None:
        yield f"{image!r} is no image"
    elif match["digest"] is None and match["tag"] is None:
        yield f"image {image} has neither tag nor digest"
    elif match["digest"] is None and match["tag"] in MOVING_TAGS:
        yield f"image {image} is another one tomorrow: name a version or a digest"


def _probes(container: dict[str, Any]) -> Iterator[str]:
    ours = service_of(container) is not None
    for probe in ("readinessProbe", "livenessProbe", *(("startupProbe",) if ours else ())):
        if probe not in container:
            yield f"{probe} is missing"
    ready = at(container, "readinessProbe", "httpGet")
    if ours and ready is not None and at(container, "livenessProbe", "httpGet") == ready:
        yield "livenessProbe asks what readinessProbe asks: a store that is away would have it restarted"
