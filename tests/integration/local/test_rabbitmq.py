"""The private broker: what it keeps, what it refuses, and that nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.errors import LocalError
from local.ports import is_free
from local.rabbitmq import RabbitMQ, available

OWNER = """
import sys, time
from pathlib import Path
from local.rabbitmq import RabbitMQ
broker = RabbitMQ(Path(sys.argv[1]))
broker.start()
print(broker.pid, broker.port, flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    if (reason := available()) is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    broker = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    broker.start()
    yield broker
    broker.stop()
    assert is_free(broker.port)


def test_it_answers_expressions_and_refuses_bad_ones(broker: RabbitMQ) -> None:
    assert broker.evaluate("1 + 1") == "2"
    with pytest.raises(LocalError, match="undef"):
        broker.evaluate("no_module:no_function()")


def test_virtual_hosts_come_and_go(broker: RabbitMQ) -> None:
    url = broker.create_vhost("here")
    assert url == f"{broker.url}here"
    assert broker.evaluate('rabbit_vhost:exists(<<"here">>)') == "true"
    broker.delete_vhost("here")
    assert broker.evaluate('rabbit_vhost:exists(<<"here">>)') == "false"


@pytest.mark.parametrize("end", [RabbitMQ.stop, RabbitMQ.kill], ids=["stopped", "killed"])
def test_it_comes_back_on_its_port_with_what_it_had(broker: RabbitMQ, end: object) -> None:
    broker.create_vhost("kept")
    broker.evaluate("mnesia:dump_log()")
    port, pid = broker.port, broker.pid
    end(broker)  # type: ignore[operator]
    assert broker.pid is None
    broker.start()
    assert broker.port == port
    assert broker.pid != pid
    assert broker.evaluate('rabbit_vhost:exists(<<"kept">>)') == "true"


def test_a_taken_port_is_said(broker: RabbitMQ, tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=f"Port {broker.port} is taken"):
        RabbitMQ(tmp_path / "other", port=broker.port).start()


def test_it_ends_with_its_owner(broker: RabbitMQ, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", OWNER, str(tmp_path / "owned")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid, port = map(int, owner.stdout.readline().split())
        assert not is_free(port)
        owner.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while (not is_free(port) or Path(f"/proc/{pid}/exe").exists()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert is_free(port)
    assert not Path(f"/proc/{pid}/exe").exists()
