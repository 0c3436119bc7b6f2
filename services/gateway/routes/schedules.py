"""The schedules' door: tenants are authenticated here, then the scheduler answers through us."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel

from services.gateway.client_rate import ClientRate
from services.gateway.forward import Door
from services.scheduler.payloads.schedules import (
    CancelSchedules,
    ChangeSchedule,
    FireTimes,
    NextQuery,
    NumberedPage,
    NumberedQuery,
    PreviewBody,
    ScheduleBody,
    ScheduleDetail,
    SchedulePage,
    ScheduleQuery,
    SchedulesCanceled,
    ScheduleView,
)
from shared.http.problem import Problem
from shared.http.routes import Route

TAG: Final = "Schedules"
_ALL: Final = "/api/schedules"
_ONE: Final = "/api/schedules/{schedule_id:sch_[0-9a-v]{26}}"


class ScheduleRoutes:
    """The door, with the limit on those who create."""

    def __init__(self, door: Door, creations: ClientRate) -> None:
        self._door = door
        self._creations = creations

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "POST",
                _ALL,
                self.create,
                "Schedule messages, once or again and again",
                TAG,
                request=ScheduleBody,
                responses={201: ScheduleView, 429: Problem},
                idempotent=True,
                request_examples={
                    "a draft to a group": {
                        "message_id": "drf_06h0000000000000000000000g",
                        "group_id": "grp_06h0000000000000000000000g",
                        "scheduled_time": "2027-01-01T09:00:00+01:00",
                    },
                    "every Monday, in each one's own time": {
                        "text": {"body": "Good morning, {{name}}."},
                        "group_id": "grp_06h0000000000000000000000g",
                        "recurrence": "FREQ=WEEKLY;BYDAY=MO;BYHOUR=9;BYMINUTE=0",
                        "time_zone": "recipient",
                    },
                },
            ),
            self._look(_ALL, "List schedules, newest first", SchedulePage, ScheduleQuery),
            self._look(f"{_ALL}/paginated", "List schedules by page number", NumberedPage, NumberedQuery),
            self._act(
                "POST",
                f"{_ALL}/cancel",
                "Cancel schedules by filter",
                SchedulesCanceled,
                CancelSchedules,
                "All that fit, with their runs: what has not left is canceled.",
                {"of one reference": {"reference": "spring-sale"}},
            ),
            self._act(
                "POST",
                f"{_ALL}/preview",
                "When a schedule would be",
                FireTimes,
                PreviewBody,
                "Makes none.",
                {"every Monday": {"recurrence": "FREQ=WEEKLY;BYDAY=MO;BYHOUR=9;BYMINUTE=0", "time_zone": "Europe/Madrid"}},
            ),
            self._look(_ONE, "One schedule, with its next times and last runs", ScheduleDetail),
            self._act("PATCH", _ONE, "Change or reschedule", ScheduleView, ChangeSchedule),
            self._look(f"{_ONE}/next", "The next times of a schedule", FireTimes, NextQuery),
            self._act("POST", f"{_ONE}/pause", "Pause a schedule and its runs", ScheduleView),
            self._act("POST", f"{_ONE}/resume", "Resume a schedule and its runs", ScheduleView),
            self._act("POST", f"{_ONE}/trigger", "A run now", ScheduleView),
            self._act("POST", f"{_ONE}/cancel", "Cancel a schedule and its runs", ScheduleView),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        await self._creations.count(request)
        return await self._door.forward(request)

    def _look(self, path: str, summary: str, answer: type[BaseModel], query: type[BaseModel] | None = None) -> Route:
        responses: dict[int, type[BaseModel] | None] = {200: answer, 404 if path.startswith(_ONE) else 400: Problem}
        return Route("GET", path, self._door.forward, summary, TAG, query=query, responses=responses)

    def _act(
        self,
        method: str,
        path: str,
        summary: str,
        answer: type[BaseModel],
        body: type[BaseModel] | None = None,
        description: str = "",
        examples: Mapping[str, Any] | None = None,
    ) -> Route:
        return Route(
            method,
            path,
            self._door.forward,
            summary,
            TAG,
            request=body,
            responses={200: answer, 404: Problem, 409: Problem, 422: Problem},
            idempotent=True,
            description=description,
            request_examples=examples or {},
        )
