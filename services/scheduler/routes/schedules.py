"""/api/schedules."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import asyncpg
import orjson
from aiohttp import web

from services.scheduler import schedules
from services.scheduler.campaign_reports import counts_of
from services.scheduler.domain.run import RecipientState
from services.scheduler.domain.schedule import Occurrence
from services.scheduler.payloads.schedules import (
    CancelSchedules,
    ChangeSchedule,
    FireTime,
    FireTimes,
    NextQuery,
    NumberedPage,
    NumberedQuery,
    PreviewBody,
    ScheduleBody,
    ScheduleDetail,
    ScheduleFilter,
    SchedulePage,
    ScheduleQuery,
    SchedulesCanceled,
    ScheduleView,
)
from services.scheduler.schedules import Asker
from services.scheduler.store import schedules as store
from services.scheduler.store.schedules import Selection
from shared.bus.outbox import Outbox, Unit
from shared.clock import Clock
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http.internal import tenant_of
from shared.http.problem import Problem
from shared.http.requests import read_body, read_model, read_query, validate
from shared.http.responses import json_bytes, json_response
from shared.http.routes import MIB, Access, Handler, Route
from shared.idempotency import once
from shared.ids import is_id

TAG: Final = "Schedules"
LAST_RUNS: Final = 10
NEXT_TIMES: Final = 5
_LATEST: Final = "~"
"""Sorts after every id."""
_ID: Final = "{schedule_id:sch_[0-9a-v]{26}}"

Action = Callable[[Unit, Asker, str], Awaitable[asyncpg.Record]]


class ScheduleRoutes:
    """The handlers, with what they need. `wake` tells the planner that something may be due."""

    def __init__(self, outbox: Outbox, pool: Pool, clock: Clock, wake: Callable[[], None]) -> None:
        self._outbox = outbox
        self._pool = pool
        self._clock = clock
        self._wake = wake

    def routes(self) -> Sequence[Route]:
        every, one = "/api/schedules", f"/api/schedules/{_ID}"
        return [
            _writing("POST", every, self.create, "Schedule messages, once or again and again", ScheduleView, ScheduleBody, 201),
            _reading(every, self.list, "List schedules, newest first", SchedulePage, ScheduleQuery),
            _reading(f"{every}/paginated", self.numbered_page, "List schedules by page number", NumberedPage, NumberedQuery),
            _writing(
                "POST",
                f"{every}/cancel",
                self.cancel_selected,
                "Cancel schedules by filter",
                SchedulesCanceled,
                CancelSchedules,
            ),
            _writing("POST", f"{every}/preview", self.preview, "When a schedule would be", FireTimes, PreviewBody),
            _reading(one, self.get, "One schedule, with its next times and last runs", ScheduleDetail),
            _writing("PATCH", one, self.change, "Change or reschedule", ScheduleView, ChangeSchedule),
            _reading(f"{one}/next", self.next, "The next times of a schedule", FireTimes, NextQuery),
            _writing("POST", f"{one}/pause", self._acting(schedules.pause), "Pause a schedule and its runs", ScheduleView),
            _writing("POST", f"{one}/resume", self._acting(schedules.resume), "Resume a schedule and its runs", ScheduleView),
            _writing("POST", f"{one}/trigger", self.trigger, "A run now, also while it is paused", ScheduleView),
            _writing("POST", f"{one}/cancel", self._acting(schedules.cancel), "Cancel a schedule and its runs", ScheduleView),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body, asker = validate(ScheduleBody, data), self._asker(request)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            return 201, json_bytes(view(await schedules.create(unit, asker, body)))

        return await self._once(request, data, effect)

    async def change(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body, asker, schedule_id = validate(ChangeSchedule, data), self._asker(request), request.match_info["schedule_id"]

        async def effect(unit: Unit) -> tuple[int, bytes]:
            return 200, json_bytes(view(await schedules.change(unit, asker, schedule_id, body)))

        return await self._once(request, data, effect)

    async def cancel_selected(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body, asker = validate(CancelSchedules, data), self._asker(request)
        selection = Selection(**body.model_dump())

        async def effect(unit: Unit) -> tuple[int, bytes]:
            return 200, json_bytes(SchedulesCanceled(canceled=await schedules.cancel_selected(unit, asker, selection)))

        return await self._once(request, data, effect)

    async def preview(self, request: web.Request) -> web.StreamResponse:
        body, asker = await read_model(request, PreviewBody), self._asker(request)
        tenant = await store.tenant(self._pool, asker.tenant_id)
        return json_response(_times(await asyncio.to_thread(schedules.preview, body, asker, tenant.zone)))

    async def list(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, ScheduleQuery)
        before = _LATEST if query.cursor is None else _decoded(query.cursor)
        rows = await store.listed(self._pool, tenant_of(request), _selection(query), before=before, limit=query.limit + 1)
        shown = rows[: query.limit]
        more = {"next_cursor": _encoded(shown[-1]["id"])} if len(rows) > query.limit else {}
        return json_response({"data": [view(row) for row in shown], **more})

    async def numbered_page(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, NumberedQuery)
        skip = (query.page - 1) * query.per_page
        rows, total = await store.page(self._pool, tenant_of(request), _selection(query), skip=skip, limit=query.per_page)
        return json_response(
            {
                "items": [view(row) for row in rows],
                "total": total,
                "page": query.page,
                "pages": -(-total // query.per_page),
                "per_page": query.per_page,
            }
        )

    async def get(self, request: web.Request) -> web.StreamResponse:
        row = await self._row(request)
        times = await asyncio.to_thread(schedules.next_of, row, NEXT_TIMES)
        runs = await store.last_runs(self._pool, row["id"], LAST_RUNS)
        counted = await counts_of(self._pool, [run["run_id"] for run in runs])
        rejected = [run_id for run_id, counts in counted.items() if RecipientState.REJECTED in counts.ended]
        rejections = await store.rejections(self._pool, rejected)
        return json_response(
            {
                **view(row),
                "next_times": [_time(time) for time in times],
                "last_runs": [
                    {
                        "id": run["run_id"],
                        "due_at": run["due_at"],
                        "opened_at": run["opened_at"],
                        "by_hand": run["by_hand"],
                        "state": run["state"],
                        **{name: run[name] for name in ("code", "detail") if run[name] is not None},
                        "counts": counted[run["run_id"]],
                        "rejections": rejections.get(run["run_id"], []),
                    }
                    for run in runs
                ],
            }
        )

    async def next(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, NextQuery)
        return json_response(_times(await asyncio.to_thread(schedules.next_of, await self._row(request), query.limit)))

    async def trigger(self, request: web.Request) -> web.StreamResponse:
        asker, schedule_id = self._asker(request), request.match_info["schedule_id"]

        async def effect(unit: Unit) -> tuple[int, bytes]:
            row, run_id = await schedules.trigger(unit, asker, schedule_id)
            return 200, json_bytes({**view(row), "run_id": run_id})

        return await self._once(request, b"", effect)

    def _acting(self, action: Action) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            asker, schedule_id = self._asker(request), request.match_info["schedule_id"]

            async def effect(unit: Unit) -> tuple[int, bytes]:
                return 200, json_bytes(view(await action(unit, asker, schedule_id)))

            return await self._once(request, b"", effect)

        return handle

    async def _once(
        self, request: web.Request, data: bytes, effect: Callable[[Unit], Awaitable[tuple[int, bytes]]]
    ) -> web.Response:
        response = await once(self._outbox, request, data, effect)
        self._wake()
        return response

    async def _row(self, request: web.Request) -> asyncpg.Record:
        row = await store.find(self._pool, tenant_of(request), request.match_info["schedule_id"])
        if row is None:
            raise schedules.unknown()
        return row

    def _asker(self, request: web.Request) -> Asker:
        return Asker(tenant_of(request), self._clock.now())


def _writing(
    method: str, path: str, handler: Handler, summary: str, answer: type[Any], body: type[Any] | None = None, status: int = 200
) -> Route:
    return Route(
        method,
        path,
        handler,
        summary,
        TAG,
        request=body,
        responses={status: answer, 404: Problem, 409: Problem},
        access=Access.INTERNAL,
        body_limit_bytes=MIB,
        idempotent=True,
    )


def _reading(path: str, handler: Handler, summary: str, answer: type[Any], query: type[Any] | None = None) -> Route:
    return Route("GET", path, handler, summary, TAG, query=query, responses={200: answer, 404: Problem}, access=Access.INTERNAL)


def view(row: asyncpg.Record) -> dict[str, Any]:
    """A `ScheduleView`, written out: pages of models would cost more than what they check."""
    return {
        **orjson.loads(row["definition"]),
        "id": row["id"],
        "state": row["state"],
        **({} if row["next_at"] is None else {"next_at": row["next_at"]}),
        "runs_opened": row["opened"],
        "waiting": len(row["waiting"]),
        **({} if row["missed_at"] is None else {"missed_at": row["missed_at"]}),
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def _times(times: Sequence[Occurrence]) -> FireTimes:
    return FireTimes(data=[_time(time) for time in times])


def _time(time: Occurrence) -> FireTime:
    return FireTime(at=time.due_at, local_time=time.local_time)


def _selection(query: ScheduleFilter) -> Selection:
    return Selection(state=query.state, reference=query.reference, group_id=query.group_id)


def _encoded(schedule_id: str) -> str:
    return base64.urlsafe_b64encode(schedule_id.encode()).decode().rstrip("=")


def _decoded(cursor: str) -> str:
    try:
        schedule_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        schedule_id = ""
    if not is_id(schedule_id, "sch"):
        raise Rejected("cursor.invalid", "The cursor is not one that this list has given.", 400)
    return schedule_id
