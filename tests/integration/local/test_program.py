"""A program that answers on a socket of its supervisor's."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from local.supervise import Program


def test_whoever_calls_a_program_that_was_stopped_is_refused_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listen:
        program = Program(
            (sys.executable, "-c", "import time; time.sleep(60)"),
            env=dict(os.environ),
            log_path=tmp_path / "log",
            cwd=tmp_path,
            listen=listen,
        )
        address = listen.getsockname()
        program.start()
        socket.create_connection(address).close()  # it waits to be answered
        program.stop(10)
        program.stop(10)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
