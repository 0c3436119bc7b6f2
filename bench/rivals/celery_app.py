"""Celery and requests: `python -m bench.rivals.celery_app BROKER_URL`.

Prefork as its guide has it for many short tasks (Celery 5, "Optimizing"): a large prefetch multiplier, no results. Acknowledged
after the POST, and published with confirms: a message survives a kill of either side, as ours does.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import requests
from celery import Celery
from celery.signals import worker_process_init

TASK: Final = "bench.post"
PROCESSES: Final = 4
"""The best of 2, 4 and 8 on two cores: each waits for its own POST."""
PREFETCH: Final = 64
TIMEOUT_SECONDS: Final = 30


def make_app(broker_url: str) -> Any:
    """The application, for both sides."""
    app = Celery("bench", broker=broker_url)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        task_default_queue="rival.celery",
        task_default_queue_type="quorum",
        worker_prefetch_multiplier=PREFETCH,
        worker_enable_remote_control=False,
        broker_transport_options={"confirm_publish": True},
    )
    return app


class Poster:
    """One session per process, so that connections are kept."""

    def __init__(self) -> None:
        self._session = requests.Session()

    def open(self, **_: Any) -> None:
        """After the fork."""
        self._session = requests.Session()
        self._session.trust_env = False

    def post(self, url: str, token: str, body: dict[str, Any]) -> None:
        answer = self._session.post(url, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()


def main() -> None:
    app = make_app(sys.argv[1])
    poster = Poster()
    worker_process_init.connect(poster.open)
    app.task(name=TASK)(poster.post)
    quietly = ("--loglevel=ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat")
    app.worker_main(["worker", "--pool=prefork", f"--concurrency={PROCESSES}", *quietly])


if __name__ == "__main__":
    main()
