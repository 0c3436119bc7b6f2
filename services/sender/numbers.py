"""The numbers as the sender needs them: where their messages go, with which token, how fast. Secrets are opened here, in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from services.sender.provider.client import Route
from services.sender.store import numbers
from shared.auth.seal import Sealer, SealError
from shared.bus.outbox import Outbox
from shared.clock import Clock
from shared.db.pool import Pool
from shared.events.catalogue import NumberConnected
from shared.ids import TenantId
from shared.limits.pacing import Rate

log = structlog.get_logger(__name__)

FRESH_SECONDS: Final = 5.0
PACE_SHARE: Final = 0.97
BURST_SHARE: Final = 0.02
"""Of what the provider allows in a second: the even pace, and how many may leave at once after a rest. Together they stay below it
in every window of a second."""


@dataclass(frozen=True, slots=True, repr=False)
class Number:
    """`rate` is what the provider allows of outgoing messages; `route` holds the token, so this has no `repr`."""

    route: Route
    rate: Rate
    pace_key: str


class Numbers:
    """The numbers by id, read at most every five seconds; a change told to this process counts at once."""

    def __init__(self, pool: Pool, sealer: Sealer, clock: Clock) -> None:
        self._pool = pool
        self._sealer = sealer
        self._clock = clock
        self._known: dict[str, tuple[float, Number]] = {}

    async def of(self, number_ids: Iterable[str]) -> dict[str, Number]:
        """The numbers that are known and whose token opens; one query for all that are not fresh."""
        now = self._clock.monotonic()
        wanted = set(number_ids)
        stale = [i for i in wanted if i not in self._known or now - self._known[i][0] > FRESH_SECONDS]
        if stale:
            for row in await numbers.select(self._pool, stale):
                try:
                    token = self._sealer.open(
                        TenantId(row["tenant_id"]), "numbers.access_token", row["number_id"], row["sealed_access_token"]
                    )
                except SealError as error:
                    log.error("number.token_unreadable", number_id=row["number_id"], reason=str(error))
                    continue
                route = Route.of(row["provider_url"], row["phone_number_id"], token)
                per_second = row["messages_per_second"]
                number = Number(
                    route, Rate(per_second * PACE_SHARE, max(1.0, per_second * BURST_SHARE)), f"pn:{row['phone_number_id']}"
                )
                self._known[row["number_id"]] = (now, number)
        return {i: self._known[i][1] for i in wanted if i in self._known}

    def forget(self, number_ids: Iterable[str]) -> None:
        """Read these anew when they are next asked for."""
        for number_id in number_ids:
            self._known.pop(number_id, None)


async def know(outbox: Outbox, directory: Numbers, events: Sequence[NumberConnected]) -> None:
    """Keep the record of the numbers."""
    async with outbox.transaction() as unit:
        for event in sorted(events, key=lambda event: event.number_id):
            await numbers.upsert(unit.connection, event)
    directory.forget(event.number_id for event in events)
