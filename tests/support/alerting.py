"""The alerts, asked of promtool: which of them fire on series, made up or scraped."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from local.promtool import promtool

ROOT: Final = Path(__file__).resolve().parents[2]
RULES: Final = ROOT / "deploy" / "monitoring" / "rules"
PROMTOOL_SECONDS: Final = 100.0

Series = Mapping[str, str]
"""Names with their labels → values, one a step, in promtool's notation: `0+1x10` goes from 0 to 10, `_` is a scrape without it."""


@dataclass(frozen=True, slots=True)
class Fired:
    """An alert as it is told; `labels` without its name and severity."""

    labels: Mapping[str, str] = field(default_factory=dict)
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """That exactly `expected` of an alert is told, `at` so long after the first of the values, which are a `step` apart."""

    name: str
    alert: str
    series: Series
    expected: Sequence[Fired]
    at: str
    step: str


@cache
def alerts() -> Mapping[str, Mapping[str, Any]]:
    """Every alert's rule, by name."""
    return {rule["alert"]: rule for path in rule_files() for rule in _rules(path) if "alert" in rule}


def rule_files() -> list[Path]:
    return sorted(RULES.glob("*.yml"))


def check_trials(trials: Iterable[Trial]) -> None:
    """All of them at once; raises `AssertionError` with what promtool found, by the names of the trials."""
    _check([(trial.alert, _trial(trial)) for trial in trials])


def check_turn(alert: str, well: Series, ill: Series, at: str, step: str, labels: Mapping[str, str]) -> None:
    """It does not fire at that time after the first values where all is `well`, and does with these labels where it is `ill`;
    raises `AssertionError` where not so."""
    _check([(alert, _firing(alert, well, at, step, {}, is_firing=False)), (alert, _firing(alert, ill, at, step, labels))])


def check_quiet(alert: str, series: Series, at: str, step: str) -> None:
    """It does not fire at that time after the first values; raises `AssertionError` where it does."""
    _check([(alert, _firing(alert, series, at, step, {}, is_firing=False))])


def _trial(trial: Trial) -> dict[str, Any]:
    rule = alerts()[trial.alert]
    told = [
        {
            "exp_labels": {**rule["labels"], **one.labels},
            "exp_annotations": {**rule["annotations"], "summary": one.summary},
        }
        for one in trial.expected
    ]
    test = {"eval_time": trial.at, "alertname": trial.alert, "exp_alerts": told}
    return {"name": trial.name, **_given(trial.series, trial.step), "alert_rule_test": [test]}


def _firing(
    alert: str, series: Series, at: str, step: str, labels: Mapping[str, str], *, is_firing: bool = True
) -> dict[str, Any]:
    matchers = {"alertname": alert, "alertstate": "firing", **labels}
    expr = f"count(ALERTS{{{','.join(f'{name}={json.dumps(value)}' for name, value in matchers.items())}}}) > bool 0"
    needed = _needed(alert)
    series = {name: values for name, values in series.items() if name.split("{", maxsplit=1)[0] in needed}
    samples = [{"labels": "{}", "value": 1}] if is_firing else []
    return {**_given(series, step), "promql_expr_test": [{"expr": expr, "eval_time": at, "exp_samples": samples}]}


def _given(series: Series, step: str) -> dict[str, Any]:
    return {"interval": step, "input_series": [{"series": name, "values": values} for name, values in series.items()]}


@cache
def _needed(alert: str) -> frozenset[str]:
    """What its expression names, and what that is recorded from: promtool takes seconds with all that is scraped."""
    recorded = {rule["record"]: rule["expr"] for path in rule_files() for rule in _rules(path) if "record" in rule}
    words: set[str] = set()
    expressions = [alerts()[alert]["expr"]]
    while expressions:
        new = set(re.findall(r"[\w:]+", expressions.pop())) - words
        words |= new
        expressions += [recorded[word] for word in new & recorded.keys()]
    return frozenset(words)


def _rules(path: Path) -> Sequence[Mapping[str, Any]]:
    return [rule for group in _groups(path) for rule in group["rules"]]


@cache
def _groups(path: Path) -> Sequence[Mapping[str, Any]]:
    groups: list[Mapping[str, Any]] = yaml.safe_load(path.read_text())["groups"]
    return groups


def _check(tests: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """One promtool for all: a file for each file of rules and each step, so that every test evaluates little else than its own.
    Promtool has no order of groups of its own, and what is recorded is to be there, however far the steps are apart."""
    files: dict[tuple[Path, str], list[Mapping[str, Any]]] = {}
    for alert, test in tests:
        files.setdefault((_file_of(alert), test["interval"]), []).append(test)
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, ((rules, step), its) in enumerate(files.items()):
            path = Path(folder) / f"{number}.yml"
            read = (RULES / "recording.yml", rules)
            content = {
                "rule_files": [str(one) for one in read],
                "evaluation_interval": step,
                "group_eval_order": [group["name"] for one in read for group in _groups(one)],
                "tests": its,
            }
            path.write_text(json.dumps(content))
            paths.append(path)
        done = subprocess.run(
            [promtool(ROOT), "test", "rules", *paths], capture_output=True, text=True, timeout=PROMTOOL_SECONDS, check=False
        )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


@cache
def _file_of(alert: str) -> Path:
    return next(path for path in rule_files() if any(rule.get("alert") == alert for rule in _rules(path)))
