"""What goes wrong by chance: shares of requests and of status webhooks, and how long an answer takes."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Final, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.sandbox.domain.conduct import Fate

Share = Annotated[float, Field(ge=0, le=1)]
LatencyMs = Annotated[float, Field(ge=0, le=60_000)]
Spread = Annotated[float, Field(ge=0, le=3)]


class Fault(NamedTuple):
    """What befalls one request: its answer's `fate`, or a `refusal` by Graph code (`http_status` overrides the code's own).

    Without `is_accepted` the message does not exist.
    """

    fate: Fate = Fate.ANSWERED
    is_accepted: bool = True
    refusal: int | None = None
    http_status: int | None = None


class Faults(BaseModel):
    """Shares of requests that meet a fault, each between 0 and 1, together at most 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hang_after_accept: Share = 0.0
    """Accepted, then no answer for `hang_seconds`."""
    reset_after_accept: Share = 0.0
    """Accepted, then the connection is reset."""
    http_500: Share = 0.0
    """HTTP 500 with a body that is not JSON; not accepted."""
    http_500_after_accept: Share = 0.0
    """The same answer, but the message was accepted."""
    hang_before_accept: Share = 0.0
    reset_before_accept: Share = 0.0
    http_429: Share = 0.0
    """HTTP 429 with code 130429."""
    http_503: Share = 0.0
    """HTTP 503 with code 2."""
    graph_500: Share = 0.0
    """HTTP 500 with code 131016."""
    token_dead: Share = 0.0
    """HTTP 401 with code 190."""
    garbage_after_accept: Share = 0.0
    """Accepted, then HTTP 200 with JSON that breaks off."""
    drip_after_accept: Share = 0.0
    """Accepted, and the answer comes piece by piece over `drip_seconds`."""
    late_after_accept: Share = 0.0
    """Accepted, and the answer comes a second late: the statuses overtake it."""

    @model_validator(mode="after")
    def _shares_of_one_whole(self) -> Self:
        if self.total > 1:
            raise ValueError("the fault rates add up to more than 1")
        return self

    @property
    def total(self) -> float:
        return float(sum(getattr(self, name) for name in FAULTS))

    def draw(self, chance: float) -> Fault | None:
        """The fault that `chance` (0 ≤ chance < 1, even) falls on; None for no fault."""
        for name, fault in FAULTS.items():
            share: float = getattr(self, name)
            if chance < share:
                return fault
            chance -= share
        return None


FAULTS: Final = MappingProxyType(
    {
        "hang_after_accept": Fault(Fate.HANGS),
        "reset_after_accept": Fault(Fate.RESET),
        "http_500": Fault(Fate.BROKEN_500, is_accepted=False),
        "http_500_after_accept": Fault(Fate.BROKEN_500),
        "hang_before_accept": Fault(Fate.HANGS, is_accepted=False),
        "reset_before_accept": Fault(Fate.RESET, is_accepted=False),
        "http_429": Fault(refusal=130429, http_status=429),
        "http_503": Fault(refusal=2),
        "graph_500": Fault(refusal=131016),
        "token_dead": Fault(refusal=190),
        "garbage_after_accept": Fault(Fate.GARBAGE),
        "drip_after_accept": Fault(Fate.DRIPS),
        "late_after_accept": Fault(Fate.LATE),
    }
)
"""In the order they are drawn."""


class WebhookFaults(BaseModel):
    """Shares of status updates, and of POSTs where it says so, that do not come as they should."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    duplicate: Share = 0.0
    """Updates that come twice."""
    repeat: Share = 0.0
    """POSTs that come again although they were answered with 200, as when Meta does not see the answer."""
    reorder: Share = 0.0
    """Updates that come up to `reorder_ms` late, so that later ones overtake them."""
    reorder_ms: LatencyMs = 1000.0
    delay: Share = 0.0
    """Updates that come `delay_ms` late."""
    delay_ms: LatencyMs = 5000.0
    lose: Share = 0.0
    """Updates that never come."""

    @property
    def is_any(self) -> bool:
        """Whether updates meet a fault at all; POSTs aside."""
        return bool(self.duplicate or self.reorder or self.delay or self.lose)


class Latency(NamedTuple):
    """How long accepted messages wait for their answer: a log-normal distribution, and spikes on top."""

    median_ms: float
    spread: float
    spike_share: float
    spike_ms: float

    @property
    def is_any(self) -> bool:
        return bool(self.median_ms or self.spike_share)
