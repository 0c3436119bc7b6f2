"""What may leave now, agreed between all replicas: the question, the answer, and who answers.

Two kinds of limit, each asked in one round trip for a whole batch:

- A `Limit` or `UserLimit` says yes or no about one message *now* (`reserve`). A message passes all of its limits or uses none of
  them. Nobody waits in hand for a limit: a refused message is told its own place in the line, goes back where it can be overtaken
  and canceled, and comes again then. What passes may leave a little later, when its number has a slot: that is what `late_seconds`
  of `Rate.within` is for.
- A `Line` is a number's pace. Its slots are *reserved* moments up to a horizon ahead (`slots`), so that no part of the rate is lost
  between two round trips. They belong to the number, not to a message, and are asked for when messages can leave.

All names that go with one `group` live in one hash slot of a Redis cluster; the group of a line holds that number's limits only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from shared.limits.rate import Rate

DAY_SECONDS: Final = 86_400.0
"""A customer service window, and the span in which users are counted (WhatsApp Cloud API, messaging limits, read 2026-11)."""
CUT_SECONDS: Final = 1.0
"""A number is slowed at most so often."""
DEBT_SECONDS: Final = 5.0
"""Inbound messages push a number's next slot at most so far away, however many they are."""
REST_MEMORY_SECONDS: Final = 600.0
"""After the end of a pair's rest, until it counts as the first again."""
LONGEST_REST: Final = 5
"""The exponent of the longest rest of a pair: 4^5 seconds, 17 minutes."""


class Limit(NamedTuple):
    """At most `rate` under the key `{group}:name`; a refusal is called `code`.

    Of the burst of a `shared` limit the less urgent leave a part, tier t may use 1 - t/4 of it, so that a critical message passes
    where a low one does not.
    """

    group: str
    name: str
    rate: Rate
    code: str
    shared: bool = True


class UserLimit(NamedTuple):
    """At most `users_per_day` different members of the group in any 24 hours. A member that is counted already is free, and counted
    for another 24 hours; who is inside the customer service window called `window` (see `Window`) is not counted.

    With Redis away it is shut: nobody here knows who was counted. `member` and `window` come from `pseudonym`.
    """

    group: str
    users_per_day: int
    member: str
    window: str
    code: str


class Window(NamedTuple):
    """A user wrote to a number: for `seconds` (24 h less the age of what was written) the window called `name` is open.

    `group` is that of the `UserLimit` it counts for, `name` is of number and user: a window is open to one number only. While Redis
    is away no window is kept, so that some users are counted who need not be.
    """

    group: str
    name: str
    seconds: float = DAY_SECONDS


class Line(NamedTuple):
    """A number's pace."""

    group: str
    rate: Rate


class Ask(NamedTuple):
    """One message of `tier`, 0 the most urgent, to 3. Where it passes it will need a slot of its number's line."""

    tier: int
    limits: Sequence[Limit] = ()
    users: UserLimit | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """It may leave as soon as its number has a slot."""


@dataclass(frozen=True, slots=True)
class Refused:
    """`code` is of the limit that holds it longest. `retry_seconds` is this message's own place in the line: of a thousand that are
    refused each comes back at another moment, and finds room then if no other has come in between."""

    code: str
    retry_seconds: float


Verdict = Granted | Refused
GRANTED: Final = Granted()


class Standing(NamedTuple):
    """How a line stands. `share`: of its rate, what it has now. `headroom`: of what may leave at once after a rest, what is free in
    the tightest of its limits; 0 where messages wait. Both are 0 to 1."""

    share: float
    headroom: float


@dataclass(frozen=True, slots=True)
class Slots:
    """`waits_seconds`: until each slot, in order, none beyond the horizon; 0.0 is now. `retry_seconds`: until the one after."""

    waits_seconds: list[float]
    retry_seconds: float


class Limiter(Protocol):
    """None of these raises where the store is away: what they say instead stands with the implementation."""

    async def reserve(self, asks: Sequence[Ask]) -> list[Verdict]:
        """Answer a batch, in order: put the urgent first. What is granted is counted."""
        ...

    async def slots(self, wanted: Mapping[Line, int], *, horizon_seconds: float) -> dict[str, Slots]:
        """So many slots of each line, fewer where the horizon is reached, by its group: name each group once."""
        ...

    async def debit(self, counts: Mapping[Line, int], windows: Iterable[Window] = ()) -> None:
        """Inbound messages: they use their number's rate, which cannot refuse them, and open customer service windows."""
        ...

    async def rest_pair(self, limit: Limit) -> float:
        """The provider refused the pair: it rests for the seconds returned, 1, 4, 16 … to 1024, the more often it happens in a row
        (remembered for ten minutes). Answers to what left before the rest began do not lengthen it."""
        ...

    async def slow(self, lines: Mapping[Line, float]) -> None:
        """Multiply each line's rate by its factor (0 < factor < 1) for all replicas; within a second of the last time: nothing. It
        climbs back by itself along CUBIC: 0.3 is made good in ten seconds, fastest at first. Never below one a second, or the
        line's own rate where that is less."""
        ...

    async def rates(self, lines: Iterable[Line]) -> dict[str, float]:
        """The share of its rate, 0 to 1, that each line has now, by its group; for operators."""
        ...

    async def standing(self, lines: Mapping[Line, Sequence[Limit]]) -> dict[str, Standing]:
        """How each line stands, with those limits of its group that its messages must pass, by its group; for operators. Nothing is
        used; one round trip."""
        ...


def pseudonym(secret: bytes, *parts: str) -> str:
    """A short name for what must not stand in the store in the clear, such as a phone number: 16 hexadecimal digits. Without a
    `secret` (at most 64 bytes) the few numbers that exist could all be tried."""
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8, key=secret).hexdigest()
