"""How an attempt can end. Six ways, and every answer of every provider is one of them.

Sent           the provider took it                                    → message.sent
Rejected       the provider will never take it                         → message.failed
Retry          it surely did not leave or was surely not taken;
               later may work                                          → message.deferred, or failed when its policy gives up
PauseNumber    not this message's fault: its number can send nothing   → message.deferred and number.paused
PauseTemplate  the same of its template                                → message.deferred
Unknown        it may have been taken; a report settles it             → message.unsettled
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Scope(Enum):
    """Whom a refusal slows down."""

    MESSAGE = "message"
    """This message only."""
    PAIR = "pair"
    """All messages to this recipient from this number."""
    NUMBER = "number"
    """The number: its rate was too high."""


@dataclass(frozen=True, slots=True)
class Sent:
    """`wamid` is the provider's id of the message."""

    wamid: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """`code` is stable (`provider.131026`), `detail` the provider's sentence, which names no person."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Retry:
    """`after` is the wait in seconds that the provider asked for or its documentation names; None: back-off. `counted` is False for
    what is not the message's fault: a throttle, a crash, a shutdown. `sick` is True where the provider itself is in trouble, which
    its circuit breaker counts."""

    code: str
    after: float | None = None
    counted: bool = True
    scope: Scope = Scope.MESSAGE
    sick: bool = False


@dataclass(frozen=True, slots=True)
class PauseNumber:
    """Its token is dead, or it is blocked, unregistered or unpaid: somebody must repair that. `detail` is for the tenant."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class PauseTemplate:
    """The template rests for `seconds`."""

    code: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Unknown:
    """`sick` as in `Retry`."""

    code: str
    sick: bool = True


Outcome = Sent | Rejected | Retry | PauseNumber | PauseTemplate | Unknown
