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

_Answer = Literal["ok", "failed", "timeout"]


class Liveness(BaseModel):
    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    status: Literal["ready", "starting", "draining", "unready"]
    checks: dict[str, _Answer] = Field(default={}, description="Each dependency by name.")


class Health:
    """`/health` and `/ready` of one server."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self.phase: Literal["starting", "ready", "draining"] = "starting"
        self._dependencies = {name: _Dependency(name, check) for name, check in checks.items()}

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
        results = await asyncio.gather(*(dependency.ask() for dependency in self._dependencies.values()))
        checks = dict(zip(self._dependencies, results, strict=True))
        is_ready = all(result == "ok" for result in results)
        return json_response(
            Readiness(status="ready" if is_ready else "unready", checks=checks), status=200 if is_ready else 503
        )

    def close(self) -> None:
        """Let go of questions that are still out; their connections end them."""
        for dependency in self._dependencies.values():
            dependency.close()


class _Dependency:
    """Asked one question at a time: who comes meanwhile hears the answer to the same one.

    When its time is up nobody waits for the question to end either, because ending it may take as long again: asyncpg asks a
    server that hangs to cancel the statement, and waits for that.
    """

    def __init__(self, name: str, check: Check) -> None:
        self._name = name
        self._check = check
        self._asking: asyncio.Task[_Answer] | None = None

    async def ask(self) -> _Answer:
        loop = asyncio.get_running_loop()
        until = loop.time() + CHECK_SECONDS
        while True:
            asking = self._asking
            if asking is None or asking.done():
                # A group would wait for its end, and so would the shutdown.
                asking = self._asking = loop.create_task(self._answer(), name=f"readiness.{self._name}")
            was_given_up = asking.cancelling() > 0
            await asyncio.wait((asking,), timeout=max(0.0, until - loop.time()))
            if not asking.done():
                if not asking.cancelling():  # a second time would leave behind what it tidies up
                    asking.cancel()
                return "timeout"
            if not was_given_up:
                return "timeout" if asking.cancelled() else asking.result()

    def close(self) -> None:
        if self._asking is not None and not self._asking.cancelling():
            self._asking.cancel()

    async def _answer(self) -> _Answer:
        try:
            await self._check()
        except TimeoutError:
            return "timeout"
        except Exception as error:  # whatever it is, the answer is that it is not ready
            log.warning("readiness.failed", check=self._name, exc_info=error)
            return "failed"
        return "ok"
