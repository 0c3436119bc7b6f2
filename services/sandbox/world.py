"""The state of a running sandbox, all of it in memory."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from services.sandbox.domain.behaviour import Behaviour
from services.sandbox.domain.errors import GraphError
from services.sandbox.domain.faults import Latency
from services.sandbox.domain.recent import Recent
from services.sandbox.domain.updates import Accepted
from services.sandbox.journal import Journal
from services.sandbox.ledger import Ledger
from services.sandbox.media import MediaStore
from services.sandbox.numbers import Number, Numbers
from services.sandbox.templates import Templates
from services.sandbox.timers import Timers
from services.sandbox.upkeep import Business
from services.sandbox.webhooks import WebhookSender
from shared.clock import Clock

TURNS_REMEMBERED: Final = 100_000
WINDOWS_REMEMBERED: Final = 500_000
USERS_REMEMBERED: Final = 1_000_000
"""Per portfolio, the greatest limit there may be."""

REPLY: Final = "reply"
"""The step in which the recipient answers."""

Step = tuple[Accepted, str]
"""A message and what happens to it next: a status, or `REPLY`."""


class Turns:
    """Tells the first, third, … request of a pair from those between. Forgets all pairs when there are too many."""

    def __init__(self) -> None:
        self._odd: set[tuple[str, str]] = set()

    def is_odd(self, pair: tuple[str, str]) -> bool:
        if pair in self._odd:
            self._odd.discard(pair)
            return False
        if len(self._odd) >= TURNS_REMEMBERED:
            self._odd.clear()
        self._odd.add(pair)
        return True


@dataclass(eq=False, slots=True)
class World:
    """What the routes and use cases work on. `chance` follows the behaviour's seed, `ids` never does."""

    numbers: Numbers
    ledger: Ledger
    timers: Timers[Step]
    later: Timers[Callable[[], None]]
    """What happens later and is no message's step."""
    webhooks: WebhookSender
    session: aiohttp.ClientSession
    clock: Clock
    initial_behaviour: Behaviour
    media: MediaStore
    journal: Journal
    behaviour: Behaviour = field(init=False)
    chance: random.Random = field(init=False)
    is_faulty: bool = field(init=False)
    latency: Latency = field(init=False)
    is_slow: bool = field(init=False)
    """Whether answers take time at all."""
    business: Business = field(default_factory=Business)
    ids: random.Random = field(default_factory=random.Random)
    templates: Templates = field(default_factory=Templates)
    turns: Turns = field(default_factory=Turns)
    windows: Recent = field(default_factory=lambda: Recent(WINDOWS_REMEMBERED))
    """Open customer service windows, by `window_of`."""
    portfolios: dict[str, Recent] = field(default_factory=dict)
    """Users reached outside the window, by portfolio; only where a limit is set."""

    def __post_init__(self) -> None:
        self.behave(self.initial_behaviour)

    def behave(self, behaviour: Behaviour) -> None:
        """Take on a behaviour; chance starts anew from its seed."""
        self.behaviour = behaviour
        self.chance = random.Random(behaviour.seed)  # noqa: S311  # faults are drawn, not secrets
        self.is_faulty = behaviour.faults.total > 0
        self.latency = Latency(behaviour.latency_ms, behaviour.latency_spread, behaviour.spike_share, behaviour.spike_ms)
        self.is_slow = self.latency.is_any
        self.numbers.limit_by(behaviour.number_limit)
        self.webhooks.repeat(behaviour.webhooks.repeat, self.chance)
        self.webhooks.slow_down(behaviour.time_scale if behaviour.webhook_retries == "meta" else None)

    def first_number(self) -> Number:
        """Whom a call is about that names none. Raises `GraphError` where there is no number at all."""
        for number in self.numbers.all():
            return number
        raise GraphError(100, "There is no number.")

    def portfolio(self, portfolio_id: str) -> Recent:
        users = self.portfolios.get(portfolio_id)
        if users is None:
            users = self.portfolios[portfolio_id] = Recent(USERS_REMEMBERED)
        return users

    def forget_use(self) -> None:
        """All limits start fresh, and no customer service window is open."""
        self.numbers.forget_use()
        self.windows.clear()
        self.portfolios.clear()
        self.business.forget_calls()


def window_of(phone_number_id: str, user: str) -> str:
    """How the windows know a number and a user."""
    return f"{phone_number_id}:{user}"
