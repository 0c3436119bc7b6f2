"""Which RabbitMQ is used here: the configured one, a private one from an installed package, or the official image."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote, unquote, urlsplit

from local.children import Child, last_lines
from local.debian import can_install, install_package
from local.errors import LocalError
from local.ports import free_port, is_free
from local.rabbitmq import RabbitMQ, available
from shared.config import BusSettings

IMAGE: Final = "rabbitmq:4-management"
IMAGE_SECONDS: Final = 240.0  # pulling included
MANAGEMENT_PORT: Final = 15672


class Broker(Protocol):
    """What tests need of one. A virtual host per test keeps them apart."""

    @property
    def url(self) -> str: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def create_vhost(self, name: str) -> str: ...

    def delete_vhost(self, name: str) -> None: ...


def find_broker(data: Path) -> Broker | str:
    """A broker, not yet started, or the reason why there is none. As root on Debian this installs the package."""
    configured = os.environ.get("CHASQUI_BUS__URL", BusSettings().url)
    if configured.startswith("amqp://"):
        standing = ManagedBroker(configured)
        if standing.answers():
            return standing
    if (reason := available()) is None:
        return RabbitMQ(data)
    if can_install():
        if (fault := install_package("rabbitmq-server")) is None and available() is None:
            return RabbitMQ(data)
        reason = f"{reason}, apt-get could not install it ({fault})"
    if _docker_answers():
        return DockerBroker(data)
    return f"no RabbitMQ: none with a management API answers at CHASQUI_BUS__URL, {reason}, no Docker engine answers"


@dataclass(frozen=True, slots=True)
class RunningBroker:
    """`process` is there where it is one of ours."""

    url: str
    process: RabbitMQ | None


@contextmanager
def running_broker(data: Path) -> Iterator[RunningBroker]:
    """A broker for a local run: the one at `CHASQUI_BUS__URL` if something listens there, else one of our own.

    Ours is stopped afterwards. Raises `LocalError` where none can be had.
    """
    configured = urlsplit(os.environ.get("CHASQUI_BUS__URL", BusSettings().url))
    if configured.scheme == "amqp" and not is_free(configured.port or 5672, configured.hostname or "127.0.0.1"):
        yield RunningBroker(configured.geturl(), None)
        return
    broker = find_broker(data)
    if isinstance(broker, str):
        raise LocalError(f"There is {broker}: install rabbitmq-server, or set CHASQUI_BUS__URL to a broker that answers.")
    broker.start()
    try:
        yield RunningBroker(broker.url, broker if isinstance(broker, RabbitMQ) else None)
    finally:
        broker.stop()


class ManagedBroker:
    """A broker that somebody else runs, by its management API: without it no test could have a virtual host of its own."""

    def __init__(self, url: str, management_port: int = MANAGEMENT_PORT) -> None:
        self.url = url
        parts = urlsplit(url)
        self._user = unquote(parts.username or "guest")
        login = base64.b64encode(f"{self._user}:{unquote(parts.password or 'guest')}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        self._api = f"http://{parts.hostname}:{management_port}/api"

    def answers(self) -> bool:
        try:
            self._call("GET", "overview")
        except (OSError, ValueError):
            return False
        return True

    def start(self) -> None:
        """It runs already."""

    def stop(self) -> None:
        """It is not ours to stop."""

    def create_vhost(self, name: str) -> str:
        self._call("PUT", f"vhosts/{name}")
        self._call("PUT", f"permissions/{name}/{quote(self._user, safe='')}", {"configure": ".*", "write": ".*", "read": ".*"})
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def delete_vhost(self, name: str) -> None:
        self._call("DELETE", f"vhosts/{name}")

    def _call(self, method: str, path: str, body: object = None) -> None:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._api}/{path}", data=data, method=method, headers=self._headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=20):  # noqa: S310  # http by construction
            pass


class DockerBroker(ManagedBroker):
    """The official image in the foreground: its client passes our signals on, so the container ends with this process."""

    def __init__(self, data: Path) -> None:
        port, management_port = free_port(), free_port()
        super().__init__(f"amqp://guest:guest@127.0.0.1:{port}/", management_port)
        self._data = data
        self._ports = (f"-p127.0.0.1:{port}:5672", f"-p127.0.0.1:{management_port}:15672")
        self._child: Child | None = None

    def start(self) -> None:
        self._data.mkdir(parents=True)
        log_path = self._data / "docker.log"
        argv = ["docker", "run", "--rm", *self._ports, IMAGE]
        self._child = Child.start(argv, env=os.environ, log_path=log_path, death_signal=signal.SIGTERM)
        deadline = time.monotonic() + IMAGE_SECONDS
        while not self.answers():
            if time.monotonic() > deadline or self._child.wait(0.5):
                raise LocalError(f"The image {IMAGE} did not start: {last_lines(log_path)}.")

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop(signal.SIGTERM, 60)


def _docker_answers() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0
