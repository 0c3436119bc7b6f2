"""Settings are checked whole before anything starts, and every fault is named."""

from __future__ import annotations

import base64
import os

import pytest
from pydantic import Field

from shared.config import DatabaseSettings, Group, SecuritySettings, ServiceSettings, SettingsError, load

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXh4eHg="


class SenderSettings(Group):
    concurrency: int = Field(10, ge=1, le=20)


class Settings(ServiceSettings):
    db: DatabaseSettings = Field(default_factory=DatabaseSettings)
    security: SecuritySettings
    sender: SenderSettings = Field(default_factory=SenderSettings)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("CHASQUI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CHASQUI_SECURITY__MASTER_KEY", SECRET)
    monkeypatch.setenv("CHASQUI_SECURITY__INTERNAL_TOKEN", SECRET)


def fault(settings: type[ServiceSettings] = Settings) -> str:
    with pytest.raises(SettingsError) as caught:
        load(settings)
    return str(caught.value)


def test_values_come_from_the_environment_and_defaults_fill_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHASQUI_SENDER__CONCURRENCY", "7")
    monkeypatch.setenv("CHASQUI_DB__PASSWORD", SECRET)
    settings = load(Settings)
    assert settings.sender.concurrency == 7
    assert settings.db.password.get_secret_value() == SECRET
    assert settings.run.drain_seconds == 20


def test_a_misspelt_variable_is_named_with_the_one_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHASQUI_SENDER__CONCURENCY", "7")
    assert fault() == "CHASQUI_SENDER__CONCURENCY is no setting; did you mean CHASQUI_SENDER__CONCURRENCY?"


def test_every_bad_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHASQUI_DB__POOL_MAXX", "1")
    monkeypatch.setenv("CHASQUI_BUSS__URL", "memory://")
    monkeypatch.setenv("CHASQUI_RUN", "{}")
    text = fault()
    for name in ("CHASQUI_DB__POOL_MAXX", "CHASQUI_BUSS__URL", "CHASQUI_RUN"):
        assert f"{name} is no setting" in text


def test_values_out_of_range_are_named_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHASQUI_SENDER__CONCURRENCY", "21")
    monkeypatch.setenv("CHASQUI_RUN__ENVIRONMENT", "staging")
    monkeypatch.setenv("CHASQUI_DB__POOL_MAX", "many")
    text = fault()
    for name in ("CHASQUI_SENDER__CONCURRENCY", "CHASQUI_RUN__ENVIRONMENT", "CHASQUI_DB__POOL_MAX"):
        assert f"{name}: " in text


@pytest.mark.parametrize("missing", ["MASTER_KEY", "INTERNAL_TOKEN"])
def test_a_missing_secret_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"CHASQUI_SECURITY__{missing}")
    assert f"CHASQUI_SECURITY__{missing}" in fault()


def test_secrets_that_are_all_missing_are_named_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHASQUI_SECURITY__MASTER_KEY")
    monkeypatch.delenv("CHASQUI_SECURITY__INTERNAL_TOKEN")
    text = fault()
    assert "CHASQUI_SECURITY__MASTER_KEY" in text
    assert "CHASQUI_SECURITY__INTERNAL_TOKEN" in text


def test_groups_of_other_services_are_theirs_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHASQUI_GATEWAY__WHATEVER", "1")
    assert load(Settings).sender.concurrency == 10


def test_shared_groups_that_a_service_does_not_use_are_checked_for_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHASQUI_REDIS__URL", "redis://elsewhere")
    load(Settings)
    monkeypatch.setenv("CHASQUI_REDIS__URI", "redis://elsewhere")
    assert "did you mean CHASQUI_REDIS__URL?" in fault()


def test_variables_of_others_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHASQUITO_X", "1")
    load(Settings)


def test_no_secret_is_in_the_text_of_a_fault_or_a_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHASQUI_DB__PASSWORD", SECRET)
    assert SECRET not in repr(load(Settings))
    monkeypatch.setenv("CHASQUI_SENDER__CONCURRENCY", SECRET)
    monkeypatch.setenv("CHASQUI_RUN__ENVIRONMENT", SECRET)
    assert SECRET not in fault()
    monkeypatch.setenv("CHASQUI_SECURITY__MASTERKEY", SECRET)
    assert SECRET not in fault()


def test_settings_do_not_change_once_read() -> None:
    settings = load(Settings)
    with pytest.raises(ValueError, match="frozen"):
        settings.sender.concurrency = 2  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CHASQUI_SECURITY__MASTER_KEY", "abc"),
        ("CHASQUI_DB__URL", "mysql://x"),
        ("CHASQUI_BUS__URL", "http://x"),
        ("CHASQUI_TELEMETRY__OTLP_ENDPOINT", "foo"),
        ("CHASQUI_TELEMETRY__LOG_LEVEL", "loud"),
    ],
)
def test_nonsense_is_named(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    assert f"{variable}: " in fault()


def test_a_pool_cannot_keep_more_than_it_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHASQUI_DB__POOL_MIN", "50")
    assert "pool_min is greater than pool_max" in fault()


def test_other_master_keys_are_listed_and_each_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    other = base64.b64encode(bytes(32)).decode()
    monkeypatch.setenv("CHASQUI_SECURITY__OTHER_MASTER_KEYS", f" {other}, {SECRET} ,")
    assert load(Settings).security.master_keys == (SECRET, other, SECRET)
    monkeypatch.setenv("CHASQUI_SECURITY__OTHER_MASTER_KEYS", f"{other},short")
    text = fault()
    assert text.startswith("CHASQUI_SECURITY__OTHER_MASTER_KEYS: ")
    assert other not in text
