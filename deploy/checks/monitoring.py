"""Dashboards and alerts ask for metrics that there are; each alert says how bad it is, what is the matter, and what to do."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.checks.fault import Fault
from deploy.checks.manifests import Rendering, at, listed, mapped
from deploy.checks.metrics import TARGET_LABELS, Known, declared, recorded
from deploy.checks.tree import Tree
from local.errors import LocalError
from local.promtool import promtool

FOLDER: Final = Path("deploy/monitoring")
RULES: Final = FOLDER / "rules"
SEVERITIES: Final = frozenset({"critical", "warning", "none"})
RUNBOOK: Final = re.compile(r"^(?P<path>docs/[\w./-]+\.md)#(?P<anchor>[\w-]+)$")
HEADING: Final = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
VARIABLE: Final = re.compile(r"^(?:label_values|query_result)\((?P<query>.*?)(?:,\s*\w+\s*)?\)$", re.DOTALL)
PROMETHEUS_FILE: Final = "prometheus.yml"
BY_ITS_OPERATOR: Final = frozenset({"namespace", "pod", "instance"})
"""What the Prometheus operator adds of itself; its `job` would be the PodMonitor's name, after its namespace."""
SCRAPES: Final = "deploy/**/*prometheus.yml"
PROMTOOL_SECONDS: Final = 60.0


def check(tree: Tree) -> Iterator[Fault]:
    files = {path: yaml.safe_load(tree.text(path)) for path in tree.files(RULES, ".yml", ".yaml")}
    known = Known(declared() | recorded(list(files.values())))
    if not files:
        yield Fault(str(RULES), "holds no rules")
    for path, content in files.items():
        yield from (Fault(str(path), text) for text in _rules(tree, content, known))
    for path in tree.files(FOLDER, ".json"):
        yield from (Fault(str(path), text) for text in dict.fromkeys(_dashboard(json.loads(tree.text(path)), known)))
    for rendering in tree.overlays:
        yield from _scrapes(rendering)
    yield from _by_promtool(tree, list(files))


def _rules(tree: Tree, content: Any, known: Known) -> Iterator[str]:
    for group in listed(content, "groups"):
        for rule in listed(group, "rules"):
            name = rule.get("record") or rule.get("alert")
            yield from (f"{name}: {text}" for text in known.faults(str(rule.get("expr", ""))))
            if "alert" in rule:
                yield from (f"{name}: {text}" for text in _alert(tree, rule))


def _alert(tree: Tree, rule: dict[str, Any]) -> Iterator[str]:
    if at(rule, "labels", "severity") not in SEVERITIES:
        yield f"its severity is none of {', '.join(sorted(SEVERITIES))}"
    if not at(rule, "annotations", "summary"):
        yield "says nothing: annotations.summary is missing"
    match = RUNBOOK.match(str(at(rule, "annotations", "runbook_url") or ""))
    if match is None:
        yield "annotations.runbook_url is no docs/….md#section"
    elif not (tree.root / match["path"]).exists():
        yield f"its runbook {match['path']} is not there"
    elif match["anchor"] not in anchors(tree.text(match["path"])):
        yield f"{match['path']} has no section #{match['anchor']}"


def anchors(markdown: str) -> set[str]:
    """Of its headings, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(markdown)}


def _dashboard(content: Any, known: Known) -> Iterator[str]:
    for target in _expressions(content):
        yield from (f"{text} (in {' '.join(target.split())[:80]})" for text in known.faults(target))
    for variable in listed(content, "templating", "list"):
        query = at(variable, "query", "query") or at(variable, "query") or ""
        if variable.get("type") == "query" and (match := VARIABLE.match(str(query))) is not None:
            yield from (f"variable {variable.get('name')}: {text}" for text in known.faults(match["query"]))


def _expressions(value: Any) -> Iterator[str]:
    """Every `expr`, however deep."""
    if isinstance(value, dict):
        if isinstance(value.get("expr"), str):
            yield value["expr"]
        for inner in value.values():
            yield from _expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _expressions(inner)


def _scrapes(rendering: Rendering) -> Iterator[Fault]:
    """Prometheus gives each series of ours the labels that rules and adapter choose by."""
    for manifest in rendering.of("PodMonitor"):
        for endpoint in listed(manifest.spec, "podMetricsEndpoints"):
            given = {one.get("targetLabel") for one in listed(endpoint, "relabelings")} | BY_ITS_OPERATOR
            for label in sorted(TARGET_LABELS - given):
                yield Fault(rendering.place(manifest), f"gives its series no label {label}, by which the rules choose")
    for manifest in rendering.of("ConfigMap"):
        text = mapped(manifest.content, "data").get(PROMETHEUS_FILE)
        if text is None:
            continue
        jobs = {job.get("job_name"): job for job in listed(yaml.safe_load(text), "scrape_configs")}
        if "chasqui" not in jobs:
            yield Fault(rendering.place(manifest), "no job is named chasqui")
            continue
        job = jobs["chasqui"]
        given = {"job", "instance"} | {one.get("target_label") for one in listed(job, "relabel_configs")}
        for static in listed(job, "static_configs"):
            given |= set(mapped(static, "labels"))
        for label in sorted(TARGET_LABELS - given):
            yield Fault(rendering.place(manifest), f"its job chasqui gives no label {label}")


def _by_promtool(tree: Tree, rules: list[Path]) -> Iterator[Fault]:
    try:
        program = promtool(Path(__file__).resolve().parents[2])
    except LocalError as error:
        yield Fault(str(RULES), f"not checked by promtool: {error}")
        return
    yield from (Fault(str(RULES), text) for text in _said(program, tree.root, "rules", *rules))
    for path in sorted(tree.root.glob(SCRAPES)):
        place = str(path.relative_to(tree.root))
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / PROMETHEUS_FILE
            copy.write_text(_without_kubernetes(path.read_text(encoding="utf-8")), encoding="utf-8")
            yield from (Fault(place, text) for text in _said(program, tree.root, "config", "--syntax-only", copy))


def _without_kubernetes(text: str) -> str:
    """Debian builds its promtool without the discovery of Kubernetes, and so it would not know the field."""
    content = yaml.safe_load(text)
    for job in listed(content, "scrape_configs"):
        job.pop("kubernetes_sd_configs", None)
    return yaml.safe_dump(content)


def _said(program: Path, folder: Path, *words: str | Path) -> Iterator[str]:
    command = (str(program), "check", *(str(word) for word in words))
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PROMTOOL_SECONDS, check=False)
    if done.returncode != 0:
        yield f"promtool: {' '.join(done.stderr.split())}"
