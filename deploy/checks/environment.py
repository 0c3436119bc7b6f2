"""What a container finds in its environment, put together as Kubernetes does, and the settings a service makes of it."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

from deploy.checks.manifests import Manifest, Rendering, at, listed, mapped
from services.gateway.settings import Settings as GatewaySettings
from shared.config import PREFIX, SERVICES, ServiceSettings, load

REFERENCE: Final = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")

UNKNOWN: Final = "0123456789abcdef0123456789abcdef"
"""Stands for what only the cluster knows: the values of Secrets that others make there."""
UNKNOWN_HOST: Final = "elsewhere.invalid"
UNKNOWN_OF: Final[Mapping[str, str]] = MappingProxyType({
    "CHASQUI_SECURITY__MASTER_KEY": base64.b64encode(bytes(32)).decode(),
    "CHASQUI_SECURITY__OTHER_MASTER_KEYS": base64.b64encode(bytes(32)).decode(),
    "CHASQUI_DB__URL": f"postgresql://{UNKNOWN_HOST}:5432/chasqui",
    "CHASQUI_DB_REPLICA__URL": f"postgresql://{UNKNOWN_HOST}:5432/chasqui",
    "CHASQUI_BUS__URL": f"amqps://user:password@{UNKNOWN_HOST}:5671/",
    "CHASQUI_REDIS__URL": f"rediss://{UNKNOWN_HOST}:6379/0",
    "CHASQUI_OBJECTS__URL": "s3://elsewhere/chasqui",
    "CHASQUI_OBJECTS__ENDPOINT": f"https://{UNKNOWN_HOST}",
    "CHASQUI_TELEMETRY__OTLP_ENDPOINT": f"https://{UNKNOWN_HOST}",
    "CHASQUI_TELEMETRY__OTLP_HEADERS": "authorization=Bearer%20x",
})  # fmt: skip


def service_of(container: Mapping[str, Any]) -> str | None:
    """The service of ours that the container runs, by its command; None for anything else."""
    words = [*listed(container, "command"), *listed(container, "args")]
    for name in SERVICES:
        if f"services.{name}" in words:
            return name
    return None


def environment_of(rendering: Rendering, container: Mapping[str, Any]) -> dict[str, str]:
    """What Secrets of others hold is `UNKNOWN`; sources that are not among the objects add nothing (`references` tells them)."""
    found: dict[str, str] = {}
    for source in listed(container, "envFrom"):
        prefix = source.get("prefix", "")
        for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if field in source and (manifest := rendering.find(kind, source[field]["name"])) is not None:
                found |= {prefix + name: value for name, value in values_of(manifest).items()}
    for variable in listed(container, "env"):
        found[variable["name"]] = _value(rendering, variable, found)
    return found


def values_of(manifest: Manifest) -> dict[str, str]:
    """Of a ConfigMap or a Secret."""
    if manifest.kind == "ConfigMap":
        return dict(mapped(manifest.content, "data"))
    sealed = {name: base64.b64decode(value).decode() for name, value in mapped(manifest.content, "data").items()}
    return sealed | mapped(manifest.content, "stringData")


def _value(rendering: Rendering, variable: Mapping[str, Any], before: Mapping[str, str]) -> str:
    if "valueFrom" not in variable:
        return REFERENCE.sub(lambda match: before.get(match[1], match[0]), str(variable.get("value", "")))
    for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
        reference = at(variable, "valueFrom", field)
        if reference is not None and (manifest := rendering.find(kind, reference["name"])) is not None:
            return values_of(manifest).get(reference["key"], "")
    return UNKNOWN_OF.get(variable["name"], UNKNOWN)


def settings_type(service: str) -> type[ServiceSettings]:
    found: type[ServiceSettings] = import_module(f"services.{service}.settings").Settings
    return found


def settings_of(service: str, environment: Mapping[str, str]) -> ServiceSettings:
    """As the service itself reads them. Raises `SettingsError`."""
    with _environment({name: value for name, value in environment.items() if name.startswith(PREFIX)}):
        return load(settings_type(service))


def process_urls(settings: ServiceSettings) -> Mapping[str, str]:
    """Where the gateway asks each process of a service, by the service's name; nothing where it is told no name for that."""
    if not isinstance(settings, GatewaySettings) or not settings.gateway.processes_host:
        return {}
    return settings.process_urls


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    try:
        for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
            del os.environ[name]
        os.environ.update(values)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
