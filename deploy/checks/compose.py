"""`deploy/compose.yaml` starts what Kubernetes does: known settings, versions that stay, no root, and names that are there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from deploy.checks.environment import service_of, settings_of
from deploy.checks.fault import Fault
from deploy.checks.manifests import at, listed, mapped
from deploy.checks.pods import image_faults
from deploy.checks.settings import known_names
from deploy.checks.tree import Tree
from shared.config import PREFIX, SERVICES, SettingsError

FILE: Final = Path("deploy/compose.yaml")
FROM_OUTSIDE: Final = ("__PUBLIC_URL", "__TRACE_URL")
"""Addresses that browsers use, not services."""


def check(tree: Tree) -> Iterator[Fault]:
    if not (tree.root / FILE).exists():
        yield Fault(str(FILE), "is not there")
        return
    content = yaml.safe_load(tree.text(FILE))
    services = mapped(content, "services")
    run = {service_of(service) for service in services.values()}
    for name in SERVICES:
        if name not in run:
            yield Fault(str(FILE), f"runs no {name}")
    for name, service in services.items():
        yield from (Fault(f"{FILE}: {name}", text) for text in _service(tree, content, service))


def _service(tree: Tree, content: dict[str, Any], service: dict[str, Any]) -> Iterator[str]:
    yield from image_faults(str(service.get("image", "")))
    if service.get("read_only") is not True:
        yield "read_only is not true"
    if "ALL" not in listed(service, "cap_drop"):
        yield "cap_drop is not [ALL]"
    if "no-new-privileges:true" not in listed(service, "security_opt"):
        yield "security_opt has no no-new-privileges:true"
    for port in listed(service, "ports"):
        if not str(port).startswith("127.0.0.1:"):
            yield f"port {port} is open to the network that the laptop is in: begin it with 127.0.0.1:"
    needed = service.get("depends_on") or {}
    for other in needed:
        if other not in mapped(content, "services"):
            yield f"depends on {other}, which is not there"
        elif at(needed, other, "condition") == "service_healthy" and "healthcheck" not in content["services"][other]:
            yield f"waits for {other} to be healthy, which has no healthcheck"
    yield from _volumes(tree, content, service)
    yield from _environment(content, service)


def _volumes(tree: Tree, content: dict[str, Any], service: dict[str, Any]) -> Iterator[str]:
    for volume in listed(service, "volumes"):
        source = str(volume).partition(":")[0]
        if source.startswith("."):
            if not (tree.root / FILE).parent.joinpath(source).exists():
                yield f"mounts {source}, which is not there"
        elif source not in mapped(content, "volumes"):
            yield f"mounts the volume {source}, which is not declared"
    for config in listed(service, "configs"):
        if config.get("source") not in mapped(content, "configs"):
            yield f"takes the config {config.get('source')}, which is not declared"


def _environment(content: dict[str, Any], service: dict[str, Any]) -> Iterator[str]:
    environment = {name: str(value) for name, value in mapped(service, "environment").items()}
    known = known_names()
    for name in environment:
        if name.startswith(PREFIX) and name not in known:
            yield f"{name} is no setting of any service"
    for name, value in environment.items():
        if not name.startswith(PREFIX) or name.endswith(FROM_OUTSIDE) or "://" not in value or "," in value:
            continue
        host = urlsplit(value).hostname or ""
        if "." not in host and host not in mapped(content, "services"):
            yield f"{name} names {host}, which is no service here"
    if (runs := service_of(service)) is not None:
        try:
            settings_of(runs, environment)
        except SettingsError as error:
            yield f"the {runs} would not start: {error}"
