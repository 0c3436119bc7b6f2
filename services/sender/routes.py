"""What the sender shows to operators: why a number is slow, or silent.

As open as the probes beside it: ids, codes and figures, nothing of a person and no secret. What waits for a decision after a
restore is for the gateway alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web
from pydantic import BaseModel, Field

from services.sender.calls import Calls
from services.sender.health import Health
from services.sender.numbers import Numbers
from services.sender.restored import decide
from services.sender.store import restored
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.http.requests import read_model
from shared.http.responses import json_response
from shared.http.routes import Access, Route
from shared.limits.breaker import State
from shared.limits.limiter import Limiter
from shared.operations.payloads import RESTORED_PATH, Decide, Decided, HeldBack, RestoredState

TAG: Final = "Operators"
LIST_LIMIT: Final = 1_000


class NumberState(BaseModel):
    number_id: str
    paused: str | None = Field(description="The code of the reason why nothing is sent from it.")
    messages_per_second: float = Field(description="The pace that its record allows.")
    rate_share: float = Field(
        description="The part of it that it has now, 0 to 1: less after throttles or with rising latency."
    )
    breaker: State = Field(description="Its own circuit breaker, as this process sees it.")
    provider: str = Field(description="The provider's circuit breaker among `providers`.")
    waiting: int = Field(description="Claimed messages that wait for a slot, in this process.")
    in_call: int = Field(description="Calls under way, in this process.")


class SenderState(BaseModel):
    numbers: list[NumberState] = Field(description="Those that this process has sent from.")
    providers: dict[str, State] = Field(description="The circuit breaker of each provider's host.")


class OperatorRoutes:
    """The handlers, with what they need."""

    def __init__(self, numbers: Numbers, health: Health, limiter: Limiter, calls: Calls) -> None:
        self._numbers = numbers
        self._health = health
        self._limiter = limiter
        self._calls = calls

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "GET",
                "/numbers",
                self.numbers,
                "Pace, health and load of the numbers",
                TAG,
                responses={200: SenderState},
                access=Access.PUBLIC,
                quiet=True,
            )
        ]

    async def numbers(self, _: web.Request) -> web.StreamResponse:
        numbers = self._numbers.known()
        shares = await self._limiter.rates([number.limits.line for number in numbers])
        states, loads = self._health.states(), self._calls.loads()
        views = []
        for number in numbers:
            line, (own, provider) = number.limits.line, number.breakers
            waiting, in_call = loads.get(line.group, (0, 0))
            views.append(
                NumberState(
                    number_id=number.number_id,
                    paused=number.paused,
                    messages_per_second=round(line.rate.per_second, 2),
                    rate_share=round(shares.get(line.group, 1.0), 3),
                    breaker=states.get(own, State.CLOSED),
                    provider=provider,
                    waiting=waiting,
                    in_call=in_call,
                )
            )
        providers = {provider: states.get(provider, State.CLOSED) for provider in sorted({n.breakers[1] for n in numbers})}
        return json_response(SenderState(numbers=views, providers=providers))


class RestoredRoutes:
    """What waits since a restore, and what becomes of it."""

    def __init__(self, outbox: Outbox, pool: Pool) -> None:
        self._outbox = outbox
        self._pool = pool

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "GET",
                RESTORED_PATH,
                self.show,
                "What waits for a decision since a restore",
                TAG,
                responses={200: RestoredState},
                access=Access.SERVICE,
            ),
            Route(
                "POST",
                RESTORED_PATH,
                self.decide,
                "Send or give up what waits since a restore",
                TAG,
                request=Decide,
                responses={200: Decided},
                access=Access.SERVICE,
            ),
        ]

    async def show(self, _: web.Request) -> web.StreamResponse:
        numbers = [HeldBack(**row) for row in await restored.counts(self._pool, limit=LIST_LIMIT)]
        waiting = sum(number.messages for number in numbers)
        return json_response(RestoredState(restored_at=await restored.last(self._pool), waiting=waiting, numbers=numbers))

    async def decide(self, request: web.Request) -> web.StreamResponse:
        return json_response(await decide(self._outbox, await read_model(request, Decide)))
