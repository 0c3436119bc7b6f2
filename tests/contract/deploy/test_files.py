"""The checks that read files tell what is wrong with them: rules, dashboards, Dockerfile, compose, what kubectl cannot render."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from deploy.checks.__main__ import CHECKS
from deploy.checks.tree import RenderError, Tree

RULES = "deploy/monitoring/rules/queues.yml"
RECORDING = "deploy/monitoring/rules/recording.yml"
COMPOSE = "deploy/compose.yaml"
DIGEST = "@sha256:"


@pytest.fixture
def copied(tmp_path: Path, checkout: Tree) -> Tree:
    """The checkout's files, to be changed; nothing is rendered of them."""
    shutil.copytree(checkout.root / "deploy", tmp_path / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "docs").mkdir()
    for name in ("Dockerfile", "docs/alerts.md"):
        shutil.copy(checkout.root / name, tmp_path / name)
    tree = Tree(tmp_path)
    tree.overlays, tree.components = [], []
    return tree


def change(tree: Tree, path: str, old: str, new: str) -> None:
    text = tree.text(path)
    assert old in text, f"{path} has no {old}"
    (tree.root / path).write_text(text.replace(old, new, 1))


def faults(check: str, tree: Tree) -> list[str]:
    return [str(fault) for fault in CHECKS[check](tree)]


@pytest.mark.parametrize(
    ("check", "path", "old", "new", "told"),
    [
        ("monitoring", RULES, "severity: warning", "severity: bad", "its severity is none of"),
        ("monitoring", RULES, "summary:", "sum:", "annotations.summary is missing"),
        ("monitoring", RULES, "runbook_url: docs/alerts.md#", "runbook_url: docs/alerts.md#no-", "has no section #no-"),
        ("monitoring", RULES, "runbook_url: docs/alerts.md#", "runbook_url: docs/alarms.md#", "docs/alarms.md is not there"),
        ("monitoring", RULES, "runbook_url: docs/alerts.md#", "runbook_url: alerts#", "is no docs/….md#section"),
        (
            "monitoring",
            RULES,
            "chasqui_outbox_oldest_age_seconds",
            "chasqui_outbox_age",
            "no service exports chasqui_outbox_age",
        ),
        (
            "monitoring",
            RECORDING,
            "chasqui_http_requests_total{status",
            "chasqui_http_requests_total{code",
            "has no label code",
        ),
        ("monitoring", RECORDING, "sum by (service)", "sum by (tenant)", "no metric in it has the label tenant"),
        ("monitoring", RECORDING, "rate(chasqui_http_requests_total[5m])", "rate(chasqui_http_requests_total)", "promtool"),
        ("monitoring", "deploy/compose.prometheus.yml", "scrape_interval", "scrape_every", "promtool"),
        ("image", "Dockerfile", "USER 10001:10001", "USER chasqui", "no USER by number"),
        ("image", "Dockerfile", DIGEST, ":sha256-", "pinned by no digest"),
        ("image", "Dockerfile", "FROM ${BASE} AS build", "FROM python:3.13 AS build", "pinned by no digest"),
        ("image", "Dockerfile", "WORKDIR /app", "WORKDIR app", "DL3000"),
        ("compose", COMPOSE, "valkey/valkey:8.1.4", "valkey/valkey:latest", "another one tomorrow"),
        ("compose", COMPOSE, "read_only: true", "read_only: false", "read_only is not true"),
        ("compose", COMPOSE, "cap_drop: [ALL]", "cap_drop: []", "cap_drop is not [ALL]"),
        ("compose", COMPOSE, "no-new-privileges:true", "x", "no no-new-privileges"),
        ("compose", COMPOSE, "127.0.0.1:8080:8080", "8080:8080", "open to the network"),
        ("compose", COMPOSE, "schemas: {condition", "migrations: {condition", "depends on migrations"),
        ("compose", COMPOSE, "healthcheck:", "x-health:", "which has no healthcheck"),
        ("compose", COMPOSE, "./monitoring/rules:", "./monitoring/rule:", "mounts ./monitoring/rule, which is not there"),
        ("compose", COMPOSE, "journal:/var", "journals:/var", "volume journals, which is not declared"),
        ("compose", COMPOSE, "CHASQUI_ARCHIVE__HOST", "CHASQUI_ARCHIVE__HOSTS", "CHASQUI_ARCHIVE__HOSTS is no setting"),
        ("compose", COMPOSE, "http://archive:8083", "http://archives:8083", "names archives, which is no service"),
        ("compose", COMPOSE, "laptop-internal-token", "short", "would not start"),
        ("compose", COMPOSE, "[python, -m, services.archive]", "[python]", "runs no archive"),
    ],
)
def test_a_fault_in_a_file_is_told(check: str, path: str, old: str, new: str, told: str, copied: Tree) -> None:
    change(copied, path, old, new)
    found = faults(check, copied)
    assert any(told in fault for fault in found), found


def test_a_panel_that_asks_for_nothing_is_told(copied: Tree) -> None:
    path = copied.root / "deploy/monitoring/grafana/dashboards/overview.json"
    content = json.loads(path.read_text())
    content["panels"].append({"targets": [{"expr": 'sum(rate(app_requests_total{job="chasqui"}[5m]))'}]})
    path.write_text(json.dumps(content))
    assert any("no service exports app_requests_total" in fault for fault in faults("monitoring", copied))


def test_no_rules_at_all_is_told(copied: Tree) -> None:
    shutil.rmtree(copied.root / "deploy/monitoring/rules")
    (copied.root / "deploy/monitoring/rules").mkdir()
    assert any("holds no rules" in fault for fault in faults("monitoring", copied))


@pytest.mark.parametrize(("check", "path"), [("image", "Dockerfile"), ("compose", COMPOSE)])
def test_a_missing_file_is_told(check: str, path: str, copied: Tree) -> None:
    (copied.root / path).unlink()
    assert faults(check, copied) == [f"{path}: is not there"]


def test_what_cannot_be_rendered_is_told(tmp_path: Path) -> None:
    overlay = tmp_path / "deploy/k8s/overlays/new"
    overlay.mkdir(parents=True)
    (overlay / "kustomization.yaml").write_text("resources: [nowhere.yaml]\n")
    with pytest.raises(RenderError, match=r"nowhere\.yaml"):
        _ = Tree(tmp_path).overlays


def test_what_kustomize_deprecates_is_told(tmp_path: Path) -> None:
    overlay = tmp_path / "deploy/k8s/overlays/new"
    overlay.mkdir(parents=True)
    (overlay / "kustomization.yaml").write_text("resources: [one.yaml]\ncommonLabels: {a: b}\n")
    (overlay / "one.yaml").write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: one, namespace: x}}\n")
    with pytest.raises(RenderError, match="deprecated"):
        _ = Tree(tmp_path).overlays
