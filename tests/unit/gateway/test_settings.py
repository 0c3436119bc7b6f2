"""The gateway's port is open to the world: in production its metrics are not."""

from __future__ import annotations

import os

import pytest

from services.gateway.settings import Settings
from shared.config import SettingsError, load

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXh4eHg="


@pytest.fixture(autouse=True)
def production(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("CHASQUI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CHASQUI_SECURITY__MASTER_KEY", SECRET)
    monkeypatch.setenv("CHASQUI_SECURITY__INTERNAL_TOKEN", SECRET)
    monkeypatch.setenv("CHASQUI_RUN__ENVIRONMENT", "production")


def test_production_needs_a_token_for_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="TELEMETRY__METRICS_TOKEN") as caught:
        load(Settings)
    assert SECRET not in str(caught.value)
    monkeypatch.setenv("CHASQUI_TELEMETRY__METRICS_TOKEN", "s3cr3t")
    assert "s3cr3t" not in repr(load(Settings))


def test_development_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHASQUI_RUN__ENVIRONMENT")
    assert load(Settings).telemetry.metrics_token.get_secret_value() == ""


def test_operators_reach_every_process_by_the_name_that_stands_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHASQUI_RUN__ENVIRONMENT")
    monkeypatch.setenv("CHASQUI_GATEWAY__SENDER_URL", "http://chasqui-sender:8082")
    settings = load(Settings)
    assert settings.process_urls == settings.gateway.inner_urls
    monkeypatch.setenv("CHASQUI_GATEWAY__PROCESSES_HOST", "chasqui-{service}-processes")
    assert load(Settings).process_urls == {
        "gateway": "http://chasqui-gateway-processes:8080",
        "scheduler": "http://chasqui-scheduler-processes:8081",
        "sender": "http://chasqui-sender-processes:8082",
        "archive": "http://chasqui-archive-processes:8083",
    }
    monkeypatch.setenv("CHASQUI_GATEWAY__PROCESSES_HOST", "chasqui-processes")
    with pytest.raises(SettingsError, match="PROCESSES_HOST"):
        load(Settings)
