"""Every alert fires on the series that it is for, says what it should, and keeps still on those beside them."""

from __future__ import annotations

import re
import subprocess
from typing import Any, Final

import pytest
import yaml

from local.promtool import promtool
from tests.contract.monitoring import data_and_runtime, edge_and_queues, messages_and_provider
from tests.support.alerting import ROOT, Trial, alerts, check_trials, rule_files

CASES: Final = (*edge_and_queues.CASES, *messages_and_provider.CASES, *data_and_runtime.CASES)
RUNBOOK: Final = ROOT / "docs" / "alerts.md"


def test_promtool_finds_no_fault_in_the_rules() -> None:
    done = subprocess.run([promtool(ROOT), "check", "rules", *rule_files()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_alert_has_its_series() -> None:
    assert {case.alert for case in CASES} == set(alerts())


def test_they_fire_on_their_conditions_and_keep_still_beside_them() -> None:
    """All at once: promtool names those that do not."""
    check_trials(
        Trial(f"{case.alert} {name}", case.alert, series, expected, case.at, case.step)
        for case in CASES
        for name, series, expected in (("fires", case.fires, case.expected), ("keeps still", case.quiet, ()))
    )


def test_what_prepares_the_cluster_goes_by_the_name_that_is_watched() -> None:
    job = next(yaml.safe_load_all((ROOT / "deploy" / "k8s" / "base" / "prepare" / "job.yaml").read_text()))
    watched = re.search(r'job_name=~"([^"]+)"', alerts()["ChasquiMigrationFailed"]["expr"])
    assert watched
    assert re.fullmatch(watched[1], job["metadata"]["name"])


@pytest.mark.parametrize("name", alerts())
def test_it_says_who_should_care_and_what_to_do(name: str) -> None:
    rule: dict[str, Any] = dict(alerts()[name])
    # One alert is for nobody: that it is heard says that the others would be.
    assert rule["labels"]["severity"] in ({"none"} if name == "ChasquiWatched" else {"critical", "warning"})
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook_url"] == f"docs/alerts.md#{name.lower()}"
    section = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", RUNBOOK.read_text(), re.MULTILINE | re.DOTALL)
    assert section, f"{RUNBOOK} has no section for it"
    assert [part for part in ("**Means**", "**Look**", "**Do**", "**Ends**") if part not in section[1]] == []


def test_the_runbook_speaks_of_no_alert_that_is_gone() -> None:
    assert set(re.findall(r"^### (\w+)$", RUNBOOK.read_text(), re.MULTILINE)) == set(alerts())
