"""The README's tables against the code they describe."""

from __future__ import annotations

from pathlib import Path

from services.sandbox.domain.behaviour import Behaviour, Faults
from services.sandbox.domain.conduct import SUFFIXES
from services.sandbox.settings import SandboxSettings

README = Path(__file__).parents[3].joinpath("services/sandbox/README.md").read_text(encoding="utf-8")


def test_every_suffix_is_documented() -> None:
    rows = {line.split("|")[1].strip(): line.split("|")[2].strip() for line in README.splitlines() if line.startswith("| 0")}
    assert rows == {suffix: f"`{conduct.name}`" for suffix, conduct in SUFFIXES.items()}


def test_every_setting_is_documented() -> None:
    assert [name for name in SandboxSettings.model_fields if f"`CHASQUI_SANDBOX__{name.upper()}`" not in README] == []


def test_every_switch_is_documented() -> None:
    assert [name for name in (*Behaviour.model_fields, *Faults.model_fields) if f"`{name}`" not in README] == []
