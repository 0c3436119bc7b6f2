"""Erasure in steps: each is a transaction that finds some of what is left and erases it, so any of them may be the last before a
crash. Done again, a step finds what is left then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from pydantic import Field

from shared.bus.outbox import Outbox, Unit
from shared.db.pool import Connection
from shared.erasure.person import Person
from shared.errors import Rejected
from shared.http.internal import tenant_of
from shared.http.requests import read_model
from shared.http.responses import json_response
from shared.http.routes import MIB, Access, Route
from shared.ids import TenantId
from shared.personal import Model

PATH: Final = "/erasure"
BODY_LIMIT: Final = 4 * MIB


@dataclass(frozen=True, slots=True)
class Found:
    """What a look has found, and the place after which to look on; None: there is no more."""

    items: Sequence[Any]
    after: str | None = None
    wamids: Sequence[str] = ()
    """Of the provider's messages among them: whoever keeps files that came with these deletes them first."""
    touched: Sequence[str] = ()
    """What readers have to be told of, once it is erased."""


Find = Callable[[Connection, TenantId, Person, str], Awaitable[Found]]
"""Looks on after a place, the empty one at first."""
Erase = Callable[[Unit, TenantId, Person, Sequence[Any]], Awaitable[int | None]]
"""Erases what was found; gives how many of it, where it cannot be all. Twice is safe."""


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of thing that is kept of people. Without `erase` it goes by itself, soon: it is only waited for."""

    name: str
    find: Find
    erase: Erase | None = None


class Asking(Model):
    """A step that is asked for. `erase` False: only count what is there."""

    person: Person
    place: str = ""
    """As the step before has told; empty: from the beginning."""
    erase: bool = True
    announced: list[str] = Field(default_factory=list)
    """The wamids that this very step told before, which have been seen to: now it may erase what they name."""


class Step(Model):
    """What a step did: how much it found or, where it was to erase, has erased, and the place of the next one; None: it was the
    last."""

    part: str
    found: int
    place: str | None = None
    wamids: list[str] = Field(default_factory=list)
    """See to these, and ask for this same step again with them: nothing is erased yet."""


Tell = Callable[[TenantId, Sequence[str]], Awaitable[None]]
"""Takes what was touched, after the commit."""


@dataclass(frozen=True, slots=True)
class Parts:
    """All that a service keeps of people. `tell` is told what an erasing step has touched."""

    all: Sequence[Part]
    tell: Tell | None = None
    _index: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {part.name: index for index, part in enumerate(self.all)})

    async def step(self, outbox: Outbox, tenant_id: TenantId, asking: Asking) -> Step:
        """One step, in a transaction of its own. Raises `Rejected` 422 for a place that is none."""
        name, _, after = asking.place.partition(":")
        index = self._index.get(name or self.all[0].name)
        if index is None:
            raise Rejected("erasure.place", "There is no such step.", 422)
        part = self.all[index]
        async with outbox.transaction() as unit:
            found = await part.find(unit.connection, tenant_id, asking.person, after)
            if asking.erase and not set(found.wamids) <= set(asking.announced):
                return Step(part=part.name, found=0, place=asking.place, wamids=list(found.wamids))
            count = len(found.items)
            if asking.erase and found.items:
                erased = 0 if part.erase is None else await part.erase(unit, tenant_id, asking.person, found.items)
                count = count if erased is None else erased
        if asking.erase and found.touched and self.tell is not None:
            await self.tell(tenant_id, found.touched)
        return Step(part=part.name, found=count, place=self._next(index, found.after))

    def _next(self, index: int, after: str | None) -> str | None:
        if after is not None:
            return f"{self.all[index].name}:{after}"
        return f"{self.all[index + 1].name}:" if index + 1 < len(self.all) else None


def route(outbox: Outbox, parts: Parts) -> Route:
    """Where the gateway asks an inner service for its steps."""

    async def take(request: web.Request) -> web.StreamResponse:
        asking = await read_model(request, Asking)
        return json_response(await parts.step(outbox, tenant_of(request), asking))

    return Route(
        "POST",
        PATH,
        take,
        "Erase a person, a step at a time",
        "Erasure",
        request=Asking,
        responses={200: Step, 422: None},
        access=Access.INTERNAL,
        body_limit_bytes=BODY_LIMIT,
        documented=False,
    )
