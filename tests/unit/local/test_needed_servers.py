"""A server that cannot be had: a skip with its reason on a laptop, a failure in CI."""

from __future__ import annotations

import socket

import pytest

from tests.support.servers import Missing, need


class NoServers:
    def ask(self, question: str, argument: str = "") -> str:
        raise Missing(f"no {question} here{argument}")


def test_it_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no rabbitmq here"):
        need(NoServers(), "rabbitmq")


def test_it_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no rabbitmq here"):
        need(NoServers(), "rabbitmq")


def test_unit_tests_connect_to_nothing() -> None:
    with socket.socket() as endpoint, pytest.raises(pytest.fail.Exception, match="a unit test connects"):
        endpoint.connect(("127.0.0.1", 9))
