"""What follows from an outcome: when the message comes again, and what else must wait."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from services.sender.clearance import PAUSED_SECONDS, Obstacle, gate_of
from services.sender.domain.outcome import Outcome, PauseNumber, PauseTemplate, Retry, Scope, Sent
from services.sender.domain.retry import RetryBudget, RetryPolicy, give_up, wait_seconds
from services.sender.numbers import Number, Numbers, template_of
from services.sender.recorder import Ended
from services.sender.store.attempts import Head, Settled
from shared.clock import Clock
from shared.events.catalogue import MessageReleased
from shared.events.values import Gate
from shared.limits.limiter import Limiter


class Conclusions:
    """Draws them, for one process."""

    def __init__(self, numbers: Numbers, limiter: Limiter, policy: RetryPolicy, clock: Clock) -> None:
        self._numbers = numbers
        self._limiter = limiter
        self._policy = policy
        self._clock = clock
        self._budget = RetryBudget()

    def blocked(self, number: Number, head: Head, obstacle: Obstacle) -> Ended:
        """It was not called: uncounted, to come again when the obstacle says."""
        code, retry_at, gate = obstacle
        return Ended(Settled(head, Retry(code, counted=False), retry_at, gate), number)

    async def conclude(self, event: MessageReleased, number: Number, head: Head, outcome: Outcome) -> Ended:
        """The call ended so. Waits for the limiter only where the provider refused the pair."""
        if event.attempt == 1:
            self._budget.first(event.tier, self._clock.monotonic())
        if isinstance(outcome, Sent):
            return Ended(Settled(head, outcome), number)
        now = self._clock.now()
        match outcome:
            case Retry():
                return Ended(await self._retry(event, number, head, outcome, now), number)
            case PauseNumber(code=code):
                gate = None
                if self._numbers.pause(number, code):
                    gate = gate_of(number.number_id, now + timedelta(seconds=PAUSED_SECONDS))
                return Ended(Settled(head, outcome, now, gate), number, pause=outcome)
            case PauseTemplate(code, seconds) if (template := template_of(number.account, event.content)) is not None:
                self._numbers.rest({template: (code, seconds)})
                return Ended(Settled(head, outcome, now + timedelta(seconds=seconds)), number, rest=(template, code, seconds))
            case PauseTemplate(_, seconds):
                return Ended(Settled(head, outcome, now + timedelta(seconds=seconds)), number)
        return Ended(Settled(head, outcome), number)

    async def _retry(self, event: MessageReleased, number: Number, head: Head, outcome: Retry, now: datetime) -> Settled:
        gate: Gate | None = None
        if outcome.scope is Scope.PAIR and outcome.after is None:
            wait = await self._limiter.rest_pair(number.limits.pair(event.to))
        else:
            tries = event.failures if outcome.counted else event.attempt - 1
            wait = wait_seconds(outcome, tries, random.random())  # noqa: S311  # spreads load, guards nothing
        if outcome.counted:
            age = (now - (event.first_due_at or event.occurred_at)).total_seconds()
            if (end := give_up(outcome, event.failures, self._policy, age_seconds=age, wait=wait)) is not None:
                return Settled(head, end)
            wait += self._budget.stretch(event.tier, self._clock.monotonic())
        retry_at = now + timedelta(seconds=wait)
        if outcome.scope is Scope.NUMBER:
            gate = gate_of(number.number_id, retry_at)
        return Settled(head, outcome, retry_at, gate)
