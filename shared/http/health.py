"""The two probes. Live: the loop turns. Ready: dependencies answer and the server is not draining."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal

import structlog
from aiohttp import web
from pydantic import BaseModel, Field

from shared.http.responses import json_response
from shared.http.routes import Access, Route

log = structlog.get_logger(__name__)

Check = Callable[[], Awaitable[None]]
"""Returns where the dependency answers, raises where it does not."""

CHECK_SECONDS: Final = 2.0


class Liveness(BaseModel):
    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    status: Literal["ready", "starting", "draining", "unready"]
    checks: dict[str, Literal["ok", "failed", "timeout"]] = Field(default={}, description="Each dependency by name.")


class Health:
    """`/health` and `/ready` of one server."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self.phase: Literal["starting", "ready", "draining"] = "starting"
        self._checks = checks

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/health",
                self._live,
                summary="Is the process alive?",
                tag="Operation",
                access=Access.PUBLIC,
                responses={200: Liveness},
                quiet=True,
            ),
            Route(
                "GET",
                "/ready",
                self._ready,
                summary="Can it take requests?",
                tag="Operation",
                access=Access.PUBLIC,
                description="Asks every dependency, for two seconds at most.",
                responses={200: Readiness, 503: Readiness},
                quiet=True,
            ),
        ]

    async def _live(self, _request: web.Request) -> web.StreamResponse:
        return json_response(Liveness())

    async def _ready(self, _request: web.Request) -> web.StreamResponse:
        if self.phase != "ready":
            return json_response(Readiness(status=self.phase), status=503)
        results = await asyncio.gather(*(self._ask(name, check) for name, check in self._checks.items()))
        checks = dict(zip(self._checks, results, strict=True))
        is_ready = all(result == "ok" for result in results)
        return json_response(
            Readiness(status="ready" if is_ready else "unready", checks=checks), status=200 if is_ready else 503
        )

    async def _ask(self, name: str, check: Check) -> Literal["ok", "failed", "timeout"]:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await check()
        except TimeoutError:
            return "timeout"
        except Exception as error:  # whatever it is, the answer is that it is not ready
            log.warning("readiness.failed", check=name, exc_info=error)
            return "failed"
        return "ok"
