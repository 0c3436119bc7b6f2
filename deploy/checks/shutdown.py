"""A pod has the time to leave: what routes to it has noticed, work in flight has ended, before Kubernetes kills it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from deploy.checks.environment import environment_of, settings_of
from deploy.checks.fault import Fault
from deploy.checks.manifests import Rendering, at, mapped
from deploy.checks.settings import services_run
from deploy.checks.tree import Tree
from shared.config import SettingsError
from shared.run import WATCHDOG_GRACE_SECONDS

USUAL_GRACE_SECONDS: Final = 30
"""Kubernetes' own, where none is said."""
SLEEP: Final = re.compile(r"\bsleep\D+(\d+)")
PATIENT: Final = frozenset({"gateway", "scheduler", "sender", "archive"})


def check(tree: Tree) -> Iterator[Fault]:
    for rendering in tree.renderings:
        for manifest, container, service in services_run(rendering):
            if service not in PATIENT:
                continue
            place = rendering.place(manifest, container)
            yield from (Fault(place, text) for text in _leaves(rendering, manifest.pod, container, service))
            if manifest.kind == "Deployment":
                yield from (Fault(rendering.place(manifest), text) for text in _rolls(manifest.spec))


def _leaves(rendering: Rendering, pod: Mapping[str, Any], container: Mapping[str, Any], service: str) -> Iterator[str]:
    try:
        run = settings_of(service, environment_of(rendering, container)).run
    except SettingsError:
        return  # told by the check of the settings
    before = pre_stop_seconds(container)
    if not before and not run.drain_notice_seconds:
        yield "neither preStop sleeps nor CHASQUI_RUN__DRAIN_NOTICE_SECONDS is set: it leaves while requests still come"
    before = before or 0
    grace = pod.get("terminationGracePeriodSeconds", USUAL_GRACE_SECONDS)
    if grace < before + run.drain_seconds + WATCHDOG_GRACE_SECONDS:
        yield (
            f"terminationGracePeriodSeconds {grace} does not hold preStop {before:g}, drain {run.drain_seconds:g} and"
            f" {WATCHDOG_GRACE_SECONDS:g} seconds for the program's own watchdog"
        )


def pre_stop_seconds(container: Mapping[str, Any]) -> float | None:
    """How long the hook sleeps; None where it does not."""
    hook = mapped(container, "lifecycle", "preStop")
    if (seconds := at(hook, "sleep", "seconds")) is not None:
        return float(seconds)
    match = SLEEP.search(" ".join(str(word) for word in at(hook, "exec", "command") or ()))
    return float(match[1]) if match is not None else None


def _rolls(spec: Mapping[str, Any]) -> Iterator[str]:
    rolling = mapped(spec, "strategy", "rollingUpdate")
    if at(spec, "strategy", "type") not in {None, "RollingUpdate"}:
        yield "strategy is not RollingUpdate: nobody would answer in between"
    elif rolling.get("maxUnavailable") != 0:
        yield "strategy.rollingUpdate.maxUnavailable is not 0: an old pod would go before a new one is ready"
