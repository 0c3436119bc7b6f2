"""The circuits that all replicas share, in Redis: what each has seen goes in, how each circuit stands comes back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, cast

import orjson
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from shared.limits.breaker import BreakerPolicy, Report, State, View

_SCRIPT: Final = Path(__file__).with_name("breaker.lua").read_text(encoding="utf-8")
_SHA: Final = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()
_STATES: Final = (State.CLOSED, State.HALF_OPEN, State.OPEN)
KEEP_MS: Final = 3_600_000
"""How long Redis remembers a circuit that nobody calls, beyond the time it stays open."""


class SharedCircuits:
    """One key a circuit, `{<key>}:breaker`, so that each script call touches one slot."""

    def __init__(self, redis: Redis, policy: BreakerPolicy, *, now_ms: Callable[[], int] | None = None) -> None:
        """`now_ms` replaces the server's clock, in tests only."""
        self._redis = redis
        self._now_ms = now_ms
        self._policy = orjson.dumps(
            {
                "half_window": policy.half_window_ms,
                "open": policy.open_ms,
                "lease": policy.lease_ms,
                "keep": KEEP_MS + policy.open_ms,
                "threshold": policy.threshold,
                "share": policy.share,
                "probes": policy.probes,
            }
        )

    async def exchange(self, reports: Mapping[str, Report]) -> dict[str, View]:
        """Tell what was seen, learn how each circuit stands: one round trip. Raises what the client raises; then it is not known
        which reports have arrived."""
        answers = await self._run(reports)
        unlearned = [key for key, answer in answers.items() if isinstance(answer, NoScriptError)]
        if unlearned:  # the server is new, or was told to forget its scripts
            await self._redis.script_load(_SCRIPT)
            answers |= await self._run({key: reports[key] for key in unlearned})
        for answer in answers.values():
            if isinstance(answer, Exception):
                raise answer
        return {key: _view(cast("list[int]", answer)) for key, answer in answers.items()}

    async def _run(self, reports: Mapping[str, Report]) -> dict[str, object]:
        pipeline = self._redis.pipeline(transaction=False)
        now = "" if self._now_ms is None else str(self._now_ms())
        for key, report in reports.items():
            pipeline.evalsha(_SHA, 1, f"{{{key}}}:breaker", self._policy, _json(report), now)
        return dict(zip(reports, await pipeline.execute(raise_on_error=False), strict=True))


def _json(report: Report) -> bytes:
    parts: dict[str, object] = {}
    if report.ok or report.failed:
        parts |= {"ok": report.ok, "failed": report.failed}
    if report.settled:
        parts["settled"] = report.settled
    if report.returned:
        parts["returned"] = report.returned
    if report.released:
        parts["released"] = True
    if report.wanted is not None:
        parts["wanted"] = report.wanted
    return orjson.dumps(parts)


def _view(answer: list[int]) -> View:
    since, state, wait_ms, free, given = answer
    return View(since, _STATES[state], wait_ms, free, bool(given))
