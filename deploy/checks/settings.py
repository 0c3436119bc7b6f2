"""Each service starts with the settings it is given: every name is known, every value allowed, every address somebody's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from deploy.checks.environment import (
    UNKNOWN_HOST,
    environment_of,
    process_urls,
    service_of,
    settings_of,
    settings_type,
    values_of,
)
from deploy.checks.fault import Fault
from deploy.checks.manifests import Manifest, Rendering, at, listed
from deploy.checks.tree import Tree
from shared.config import PREFIX, SERVICES, ServiceSettings, SettingsError

ELSEWHERE: Final = frozenset({f"{PREFIX}MIGRATE__URL"})
"""Names that are no setting of a service, and who reads them: shared.db.migrate."""
USUAL_PORTS: Final[Mapping[str, int]] = MappingProxyType({
    "http": 80,
    "https": 443,
    "postgresql": 5432,
    "amqp": 5672,
    "amqps": 5671,
    "redis": 6379,
    "rediss": 6379,
})  # fmt: skip
PROCESSES: Final = f"{PREFIX}GATEWAY__PROCESSES_HOST"
OUTSIDE_FIELDS: Final = frozenset({"public_url", "provider_origins", "trace_url", "webhook_url"})
"""Addresses that others than this service reach, or that are many."""


def check(tree: Tree) -> Iterator[Fault]:
    for rendering in tree.renderings:
        yield from _names(rendering)
        for manifest in rendering.workloads():
            for container in manifest.containers:
                if (service := service_of(container)) is not None:
                    place = rendering.place(manifest, container)
                    yield from (Fault(place, text) for text in _service(rendering, container, service))


def known_names() -> frozenset[str]:
    """Every variable that some service reads."""
    return ELSEWHERE | {
        f"{PREFIX}{group}__{field}".upper()
        for service in SERVICES
        for group, model in settings_type(service).model_fields.items()
        for field in getattr(model.annotation, "model_fields", {})
    }


def _names(rendering: Rendering) -> Iterator[Fault]:
    known = known_names()
    for manifest in rendering.of("ConfigMap", "Secret"):
        yield from _unknown(rendering.place(manifest), values_of(manifest), known)
    for manifest in rendering.workloads():
        for container in manifest.all_containers:
            names = [variable["name"] for variable in listed(container, "env")]
            yield from _unknown(rendering.place(manifest, container), names, known)


def _unknown(place: str, names: Any, known: frozenset[str]) -> Iterator[Fault]:
    for name in names:
        if name.upper().startswith(PREFIX) and name not in known:
            yield Fault(place, f"{name} is no setting of any service")


def _service(rendering: Rendering, container: Mapping[str, Any], service: str) -> Iterator[str]:
    try:
        settings = settings_of(service, environment_of(rendering, container))
    except SettingsError as error:
        yield f"the {service} would not start: {error}"
        return
    listens = getattr(settings, "http" if service == "gateway" else service)
    ports = {port.get("name"): port.get("containerPort") for port in listed(container, "ports")}
    if ports.get("http") != listens.port:
        yield f"its port http is {ports.get('http')}, and it listens on {listens.port}"
    if listens.host not in {"0.0.0.0", "::"}:  # noqa: S104  # a pod's own network
        yield f"it listens on {listens.host} only: nobody outside its pod would reach it"
    for name, url in _addresses(settings):
        yield from _address(rendering, name, url)
    for url in process_urls(settings).values():
        yield from _address(rendering, PROCESSES, url)
        host = urlsplit(url).hostname or ""
        found = rendering.find("Service", host.partition(".")[0])
        if found is not None and found.spec.get("clusterIP") != "None":
            yield f"{PROCESSES} names {host}, which stands for one address, not for that of each process: clusterIP is not None"


def _addresses(settings: ServiceSettings) -> Iterator[tuple[str, str]]:
    """The settings that are addresses, by name."""
    for group_name in type(settings).model_fields:
        group = getattr(settings, group_name)
        for field in getattr(type(group), "model_fields", {}):
            value = getattr(group, field)
            if isinstance(value, str) and "://" in value and field not in OUTSIDE_FIELDS:
                yield f"{PREFIX}{group_name}__{field}".upper(), value


def _address(rendering: Rendering, name: str, url: str) -> Iterator[str]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in USUAL_PORTS or host == UNKNOWN_HOST or not _is_inside(rendering, host):
        return
    port = parts.port or USUAL_PORTS[parts.scheme]
    service = rendering.find("Service", host.partition(".")[0])
    if service is None:
        yield f"{name} names {host}, which is no Service here"
    elif port not in {at(one, "port") for one in listed(service.spec, "ports")}:
        yield f"{name} names port {port} of {host}, which has none such"


def _is_inside(rendering: Rendering, host: str) -> bool:
    """Whether a host's name is a Service's of this namespace: `name`, `name.namespace` or `name.namespace.svc…`."""
    labels = host.split(".")
    return len(labels) == 1 or labels[1] in {one.name for one in rendering.of("Namespace")}


def services_run(rendering: Rendering) -> Iterator[tuple[Manifest, dict[str, Any], str]]:
    """Each container that runs a service of ours."""
    for manifest in rendering.workloads():
        for container in manifest.containers:
            if (service := service_of(container)) is not None:
                yield manifest, container, service
