"""Ports that are free, and stay so until their server listens."""

from __future__ import annotations

from local.ports import free_port


def test_nobody_is_given_the_port_of_another() -> None:
    assert len({free_port() for _ in range(400)}) == 400
