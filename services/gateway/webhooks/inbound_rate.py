"""How much one user may write to a number a minute before it is marked; over all replicas, by way of Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shared.limits.limiter import Ask, Limit, Refused, pseudonym
from shared.limits.rate import Rate
from shared.limits.redis import RedisLimiter

MINUTE: Final = 60.0
CODE: Final = "inbound.over_rate"


class InboundRate:
    """`per_minute` messages at once after a rest, and then one as soon as its share of a minute is over. What is over the rate is
    not counted.

    With Redis away nothing is marked: a process that counts by itself would say "over" of one user and not of the next.
    """

    def __init__(self, limiter: RedisLimiter, secret: bytes, per_minute: int) -> None:
        """Digests under the secret name the users in Redis: their phone numbers do not stand there."""
        self._limiter = limiter
        self._secret = secret
        self._rate = Rate(per_minute / MINUTE, per_minute)

    async def over(self, keys: Sequence[tuple[str, str]]) -> list[bool]:
        """For each message, in order, whether it is more than its user may write; `keys` are (number id, sender). One round trip
        for all."""
        if not keys:
            return []
        verdicts = await self._limiter.reserve([Ask(0, (self._limit(*key),)) for key in keys])
        if not self._limiter.is_shared:
            return [False] * len(keys)
        return [isinstance(verdict, Refused) for verdict in verdicts]

    def _limit(self, number_id: str, sender: str) -> Limit:
        return Limit(f"inbound:{number_id}", pseudonym(self._secret, number_id, sender), self._rate, CODE, shared=False)
