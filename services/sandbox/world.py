"""The state of a running sandbox, all of it in memory."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from services.sandbox.domain.behaviour import Behaviour
from services.sandbox.domain.updates import Accepted
from services.sandbox.ledger import Ledger
from services.sandbox.numbers import Numbers
from services.sandbox.timers import Timers
from services.sandbox.webhooks import WebhookSender
from shared.clock import Clock

TURNS_REMEMBERED: Final = 100_000

REPLY: Final = "reply"
"""The step after the last status: the recipient answers."""

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
    webhooks: WebhookSender
    session: aiohttp.ClientSession
    clock: Clock
    initial_behaviour: Behaviour
    behaviour: Behaviour = field(init=False)
    chance: random.Random = field(init=False)
    is_faulty: bool = field(init=False)
    ids: random.Random = field(default_factory=random.Random)
    turns: Turns = field(default_factory=Turns)

    def __post_init__(self) -> None:
        self.behave(self.initial_behaviour)

    def behave(self, behaviour: Behaviour) -> None:
        """Take on a behaviour; chance starts anew from its seed."""
        self.behaviour = behaviour
        self.chance = random.Random(behaviour.seed)  # noqa: S311  # faults are drawn, not secrets
        self.is_faulty = behaviour.faults.total > 0
