"""GET /gates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web
from pydantic import BaseModel, Field

from services.scheduler.store import gates
from shared.db.pool import Pool
from shared.events.values import Gate
from shared.http.responses import json_response
from shared.http.routes import Access, Route

LIST_LIMIT: Final = 1_000
"""Of either list: enough for a person to see the cause; with more of them it is one that they share."""


class PausedNumber(BaseModel):
    """A number that releases nothing until it is resumed."""

    number_id: str
    code: str = Field(description="The reason.")


class Closed(BaseModel):
    """Why messages that are due do not leave, unless their number's window is full."""

    gates: list[Gate] = Field(description="Nothing of `scope` from `tier` to `last_tier` leaves before `until`.")
    paused: list[PausedNumber]


def routes(pool: Pool) -> Sequence[Route]:
    """What is closed, for operators. As open as the probes it stands beside: ids, codes and times, nothing of a person and no
    secret, so this service needs to know none."""

    async def show_closed(_: web.Request) -> web.StreamResponse:
        closed = await gates.closed(pool, limit=LIST_LIMIT)
        paused = await gates.paused(pool, limit=LIST_LIMIT)
        return json_response(
            Closed(
                gates=[Gate.model_validate(dict(row)) for row in closed],
                paused=[PausedNumber.model_validate(dict(row)) for row in paused],
            )
        )

    return (
        Route(
            "GET",
            "/gates",
            show_closed,
            "What is closed",
            "Operation",
            responses={200: Closed},
            access=Access.PUBLIC,
            description="Closed gates and paused numbers, a thousand of each at most.",
            quiet=True,
        ),
    )
