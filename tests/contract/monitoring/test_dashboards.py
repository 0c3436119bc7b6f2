"""Grafana's files are those that the modules describe, and every question in them is one that Prometheus can read."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from deploy.monitoring.dashboards import DASHBOARDS, FOLDER, files
from local.promtool import promtool
from tests.support.alerting import ROOT


def expressions() -> Iterator[tuple[str, str]]:
    for dashboard in DASHBOARDS:
        for row in dashboard.rows:
            for panel in row.panels:
                for query in panel.queries:
                    yield f"{dashboard.uid}: {panel.title}", query.expr


def test_the_files_are_written_anew_after_a_change() -> None:
    expected = dict(files())
    assert {path: path.read_text() for path in FOLDER.glob("*.json")} == expected, "run python -m deploy.monitoring.dashboards"


def test_kubernetes_is_given_all_of_them() -> None:
    kustomization = yaml.safe_load((FOLDER.parents[1] / "kustomization.yaml").read_text())
    given = {name for each in kustomization["configMapGenerator"] for name in each["files"]}
    monitoring = FOLDER.parents[1]
    there = [*monitoring.glob("rules/*.yml"), *monitoring.glob("grafana/*.yml"), *FOLDER.glob("*.json")]
    assert given == {str(path.relative_to(monitoring)) for path in there}


def test_prometheus_can_read_every_question(tmp_path: Path) -> None:
    rules = [{"record": f"question:{n}", "expr": expr} for n, (_, expr) in enumerate(expressions())]
    path = tmp_path / "questions.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "questions", "rules": rules}]}))
    done = subprocess.run([promtool(ROOT), "check", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_panels_have_places_of_their_own() -> None:
    for path in FOLDER.glob("*.json"):
        taken: set[tuple[int, int]] = set()
        for panel in json.loads(path.read_text())["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not cells & taken, f"{path.name}: {panel['title']} lies on another panel"
            assert max(x for x, _ in cells) < 24, panel["title"]
            taken |= cells
