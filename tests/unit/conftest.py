"""Unit tests are pure calls: no sockets."""

from __future__ import annotations

import socket

import pytest


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting anywhere but to a Unix socket (event loops have one to wake themselves) fails the test."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guarded(self: socket.socket, address: object) -> None:
        _refuse(self, address)
        connect(self, address)  # type: ignore[arg-type]  # whatever the caller passed

    def guarded_ex(self: socket.socket, address: object) -> int:
        _refuse(self, address)
        return connect_ex(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_ex)


def _refuse(endpoint: socket.socket, address: object) -> None:
    if endpoint.family != socket.AF_UNIX:
        pytest.fail(f"a unit test connects to {address}: it belongs in tests/integration")
