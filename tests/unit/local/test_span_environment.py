"""Where the services of a stack send their spans."""

from __future__ import annotations

import pytest

from local.stack import span_environment
from shared.config import TelemetrySettings

PORTS = {"gateway": 18080}


def test_they_go_to_the_gateway_with_the_internal_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHASQUI_TELEMETRY__OTLP_ENDPOINT", raising=False)
    given = span_environment(PORTS, {"internal_token": "a,b=c d"})
    settings = TelemetrySettings.model_validate(
        {name.rpartition("__")[2].lower(): value for name, value in given.items() if name.startswith("CHASQUI_")}
    )
    assert settings.otlp_endpoint == "http://127.0.0.1:18080/internal/otlp"
    assert settings.otlp_header_fields == {"authorization": "Bearer a,b=c d"}


@pytest.mark.parametrize("endpoint", ["", "http://collector:4318"])
def test_whoever_names_an_endpoint_or_none_is_asked_nothing(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHASQUI_TELEMETRY__OTLP_ENDPOINT", endpoint)
    assert span_environment(PORTS, {"internal_token": "x"}) == {}


@pytest.mark.parametrize(("before", "after"), [("", "127.0.0.1"), (".example.com", ".example.com,127.0.0.1")])
def test_no_proxy_sees_them(before: str, after: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", before)
    monkeypatch.delenv("CHASQUI_TELEMETRY__OTLP_ENDPOINT", raising=False)
    assert span_environment(PORTS, {"internal_token": "x"})["no_proxy"] == after
