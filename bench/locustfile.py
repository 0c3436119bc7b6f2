"""What users of the API do, for Locust: three lists of messages to two lists of schedules to one new schedule, a pause after each.

    locust -f bench/locustfile.py --headless -u 100 -r 20 -t 60s --host http://127.0.0.1:8080

`CHASQUI_KEY` holds the API key; `BENCH_NUMBER`, `BENCH_DRAFT` and `BENCH_GROUP` the ids of a number, a stored message and a group.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Final

from locust import FastHttpUser, between, task

AHEAD: Final = timedelta(days=30)
"""Nothing that is scheduled comes due while it is measured."""


class Team(FastHttpUser):
    """One of them, on a connection of its own."""

    wait_time = between(1, 3)

    def on_start(self) -> None:
        self._headers = {"Authorization": f"Bearer {os.environ['CHASQUI_KEY']}"}
        self._body = {
            "from": os.environ["BENCH_NUMBER"],
            "message_id": os.environ["BENCH_DRAFT"],
            "group_id": os.environ["BENCH_GROUP"],
        }

    @task(3)
    def list_messages(self) -> None:
        self.client.get("/api/messages?limit=100", headers=self._headers, name="GET /api/messages")

    @task(2)
    def list_schedules(self) -> None:
        self.client.get("/api/schedules/paginated", headers=self._headers, name="GET /api/schedules/paginated")

    @task(1)
    def create_schedule(self) -> None:
        due = (datetime.now(UTC) + AHEAD).isoformat()
        self.client.post(
            "/api/schedules", json={**self._body, "scheduled_time": due}, headers=self._headers, name="POST /api/schedules"
        )
