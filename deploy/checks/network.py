"""Nobody may talk to anybody, but for what is needed: each rule leads to pods there are, each address in use is let through."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from deploy.checks.environment import environment_of, process_urls, service_of, settings_of, settings_type
from deploy.checks.fault import Fault
from deploy.checks.manifests import Manifest, Rendering, at, listed, mapped, takes
from deploy.checks.settings import PROCESSES, USUAL_PORTS, services_run
from deploy.checks.tree import Tree
from shared.config import PREFIX, SettingsError

COMPONENT: Final = "app.kubernetes.io/component"
MAY_BE_ELSEWHERE: Final = frozenset({"postgresql", "rabbitmq", "valkey", "prometheus", "collector"})
"""Components that an installation may have outside its namespace, or under other labels: its own policies then lead there, and
`_needs` looks whether they do."""
URL: Final = re.compile(r"^[a-z]+://[^\s,]+$")
EGRESS: Final = "Egress"
INGRESS: Final = "Ingress"


def check(tree: Tree) -> Iterator[Fault]:
    for rendering in tree.overlays:
        for namespace in sorted({one.namespace for one in rendering.workloads()}):
            if not any(_denies_all(one) for one in rendering.of("NetworkPolicy") if one.namespace == namespace):
                yield Fault(rendering.name, f"no NetworkPolicy denies everything in the namespace {namespace}")
        for policy in rendering.of("NetworkPolicy"):
            yield from (Fault(rendering.place(policy), text) for text in _policy(rendering, policy))
        yield from (Fault(rendering.name, text) for text in dict.fromkeys(_needs(rendering)))


def _denies_all(policy: Manifest) -> bool:
    spec = policy.spec
    return (
        spec.get("podSelector") == {}
        and set(listed(spec, "policyTypes")) == {INGRESS, EGRESS}
        and not spec.get("ingress")
        and not spec.get("egress")
    )


def _policy(rendering: Rendering, policy: Manifest) -> Iterator[str]:
    own = rendering.selected(mapped(policy.spec, "podSelector"))
    if not own:
        yield "its podSelector takes no pod"
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for rule in listed(policy.spec, direction):
            others = []
            for peer in listed(rule, peers):
                if "podSelector" in peer and "namespaceSelector" not in peer:
                    others += (found := rendering.selected(peer["podSelector"]))
                    if not found and mapped(peer["podSelector"], "matchLabels").get(COMPONENT) not in MAY_BE_ELSEWHERE:
                        yield f"{direction}: no pod is {_shown(peer['podSelector'])}"
            receivers = own if direction == "ingress" else others
            for port in listed(rule, "ports"):
                if receivers and "endPort" not in port and not any(_listens(one, port.get("port")) for one in receivers):
                    yield f"{direction}: port {port.get('port')} is none of {', '.join(str(one) for one in receivers)}"


def _listens(workload: Manifest, port: Any) -> bool:
    return any(port in {one.get("name"), one.get("containerPort")} for one in workload.ports)


def _needs(rendering: Rendering) -> Iterator[str]:
    """Connections that the settings ask for, and Prometheus' to each service, where they are not let through."""
    for caller in rendering.workloads():
        for container in caller.all_containers:
            for name, value in _addresses(rendering, container):
                yield from (f"{caller} may not {text}, which is its {name}" for text in _closed(rendering, caller, value))
    for prometheus in rendering.workloads():
        if prometheus.pod_labels.get(COMPONENT) == "prometheus":
            for service, _, _ in services_run(rendering):
                port = next((one for one in service.ports if one.get("name") == "http"), None)
                if port is not None and not allowed(rendering, prometheus, service, port):
                    yield f"{prometheus} may not scrape {service}"


def _addresses(rendering: Rendering, container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the container calls: of a service of ours the settings that it has, of anything else what it alone is given."""
    service, environment = service_of(container), environment_of(rendering, container)
    if service is None:
        names = {variable["name"] for variable in listed(container, "env")}
    else:
        fields = settings_type(service).model_fields
        names = {name for name in environment if name[len(PREFIX) :].partition("__")[0].lower() in fields}
        with suppress(SettingsError):  # told by the check of the settings
            yield from ((PROCESSES, url) for url in process_urls(settings_of(service, environment)).values())
    for name, value in environment.items():
        if name in names and URL.match(value):
            yield name, value


def _closed(rendering: Rendering, caller: Manifest, url: str) -> Iterator[str]:
    parts = urlsplit(url)
    labels = (parts.hostname or "").split(".")
    service = rendering.find("Service", labels[0])
    if service is None or (len(labels) > 2 and labels[2] != "svc"):
        return
    wanted = parts.port or USUAL_PORTS.get(parts.scheme)
    for port in listed(service.spec, "ports"):
        if port.get("port") != wanted:
            continue
        for receiver in rendering.selected({"matchLabels": mapped(service.spec, "selector")}):
            target = port.get("targetPort", wanted)
            container_port = next(
                (one for one in receiver.ports if target in {one.get("name"), one.get("containerPort")}), None
            )
            if container_port is not None and not allowed(rendering, caller, receiver, container_port):
                yield f"reach {receiver} at {container_port.get('containerPort')}"


def allowed(rendering: Rendering, caller: Manifest, receiver: Manifest, port: Mapping[str, Any]) -> bool:
    """Whether the policies let the one's pods connect to that container port of the other's."""
    goes = _side(rendering, caller, EGRESS, receiver, port)
    return goes and _side(rendering, receiver, INGRESS, caller, port)


def _side(rendering: Rendering, own: Manifest, direction: str, other: Manifest, port: Mapping[str, Any]) -> bool:
    policies = [
        one
        for one in rendering.of("NetworkPolicy")
        if one.namespace == own.namespace
        and direction in listed(one.spec, "policyTypes")
        and takes(mapped(one.spec, "podSelector"), own.pod_labels)
    ]
    if not policies:
        return True
    field, peers = (direction.lower(), "from" if direction == INGRESS else "to")
    return any(_lets(rule, peers, own, other, port) for policy in policies for rule in listed(policy.spec, field))


def _lets(rule: Mapping[str, Any], peers: str, own: Manifest, other: Manifest, port: Mapping[str, Any]) -> bool:
    ports = listed(rule, "ports")
    if ports and not any(one.get("port") in {None, port.get("name"), port.get("containerPort")} for one in ports):
        return False
    who = listed(rule, peers)
    return not who or any(_is_peer(peer, own, other) for peer in who)


def _is_peer(peer: Mapping[str, Any], own: Manifest, other: Manifest) -> bool:
    if "ipBlock" in peer:
        return False  # addresses of the cluster's own pods are nothing that a manifest knows
    if "namespaceSelector" in peer:
        if not takes(peer["namespaceSelector"], {"kubernetes.io/metadata.name": other.namespace}):
            return False
    elif own.namespace != other.namespace:
        return False
    return takes(at(peer, "podSelector") or {}, other.pod_labels)


def _shown(selector: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in mapped(selector, "matchLabels").items()) or str(dict(selector))
