"""The README's tables against the code they describe."""

from __future__ import annotations

from pathlib import Path

from services.sandbox.domain.behaviour import Behaviour
from services.sandbox.domain.conduct import SUFFIXES
from services.sandbox.domain.faults import Faults, WebhookFaults
from services.sandbox.numbers import STATE_REFUSALS, NumberSpec
from services.sandbox.settings import SandboxSettings

README = Path(__file__).parents[3].joinpath("services/sandbox/README.md").read_text(encoding="utf-8")


def test_every_suffix_is_documented() -> None:
    rows = {line.split("|")[1].strip(): line.split("|")[2].strip() for line in README.splitlines() if line.startswith("| 0")}
    assert rows == {suffix: f"`{conduct.name}`" for suffix, conduct in SUFFIXES.items()}


def test_every_setting_is_documented() -> None:
    assert [name for name in SandboxSettings.model_fields if f"`CHASQUI_SANDBOX__{name.upper()}`" not in README] == []


def test_every_switch_is_documented() -> None:
    models = (Behaviour, Faults, WebhookFaults)
    assert [name for model in models for name in model.model_fields if f"`{name}`" not in README] == []


def test_every_member_of_a_number_is_documented() -> None:
    assert [name for name in NumberSpec.model_fields if f"`{name}`" not in README and f'"{name}"' not in README] == []


def test_every_state_is_documented() -> None:
    assert [state for state, code in STATE_REFUSALS.items() if f"| `{state}` | {code}" not in README] == []
