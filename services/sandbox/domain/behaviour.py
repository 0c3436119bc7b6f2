"""How the sandbox behaves as a whole: what the control API reads and replaces while it runs."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from services.sandbox.domain.conduct import CONDUCTS, READS_AND_REPLIES, SCRIPTED_PREFIX, SUFFIXES, Conduct, Fate

Rate = Annotated[float, Field(ge=0, le=1)]
Digits = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}$")]


class Faults(BaseModel):
    """Shares of requests that meet a fault, each between 0 and 1, together at most 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hang_after_accept: Rate = 0.0
    """Accepted, then no answer for `hang_seconds`."""
    reset_after_accept: Rate = 0.0
    """Accepted, then the connection is reset."""
    http_500: Rate = 0.0
    """HTTP 500 with a body that is not JSON; not accepted."""
    http_500_after_accept: Rate = 0.0
    """The same answer, but the message was accepted."""

    @model_validator(mode="after")
    def _shares_of_one_whole(self) -> Self:
        if self.total > 1:
            raise ValueError("the fault rates add up to more than 1")
        return self

    @property
    def total(self) -> float:
        return self.hang_after_accept + self.reset_after_accept + self.http_500 + self.http_500_after_accept

    def draw(self, chance: float) -> tuple[Fate, bool] | None:
        """The fault that `chance` (0 ≤ chance < 1, even) falls on, and whether the message is accepted; None for no fault."""
        for share, fate, is_accepted in (
            (self.hang_after_accept, Fate.HANGS, True),
            (self.reset_after_accept, Fate.RESET, True),
            (self.http_500, Fate.BROKEN_500, False),
            (self.http_500_after_accept, Fate.BROKEN_500, True),
        ):
            if chance < share:
                return fate, is_accepted
            chance -= share
        return None


class Behaviour(BaseModel):
    """All switches of the simulation. Frozen: a change is a new value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answers: bool = True
    """Recipients that answer do so; off silences all of them."""
    suffixes: bool = True
    """The last four digits of a scripted number (+1 999 …) decide its conduct (see the README's table)."""
    default_conduct: str = READS_AND_REPLIES.name
    recipients: Annotated[dict[Digits, str], Field(max_length=10_000)] = Field(default_factory=dict)
    """Conduct by recipient (digits), before suffix and default."""
    status_delay_ms: Annotated[int, Field(ge=0, le=600_000)] = 40
    """Between acceptance and the first status, and from each status to the next."""
    reply_delay_ms: Annotated[int, Field(ge=0, le=600_000)] = 300
    """From the last status to the recipient's answer."""
    latency_ms: Annotated[float, Field(ge=0, le=60_000)] = 0.0
    """Median wait before a request is answered."""
    latency_spread: Annotated[float, Field(ge=0, le=3)] = 0.0
    """Sigma of the log-normal distribution around it; 0.5 puts the p99 at 3.2 medians, 1.0 at 10."""
    hang_seconds: Annotated[float, Field(gt=0, le=600)] = 35.0
    pair_limit: bool = True
    """Enforce 45 messages in a burst and one per 6 s between a number and a recipient."""
    faults: Faults = Faults()
    seed: int | None = None
    """Start of all chance but ids; none draws from the system."""

    @field_validator("default_conduct")
    @classmethod
    def _is_conduct(cls, name: str) -> str:
        if name not in CONDUCTS:
            raise ValueError(f"no such conduct; there are {', '.join(CONDUCTS)}")
        return name

    @field_validator("recipients")
    @classmethod
    def _are_conducts(cls, recipients: dict[str, str]) -> dict[str, str]:
        for name in recipients.values():
            cls._is_conduct(name)
        return recipients

    def conduct_of(self, recipient: str) -> Conduct:
        """The conduct of a recipient (digits, or a business-scoped user id)."""
        if self.recipients:
            name = self.recipients.get(recipient)
            if name is not None:
                return CONDUCTS[name]
        if self.suffixes and recipient.startswith(SCRIPTED_PREFIX):
            conduct = SUFFIXES.get(recipient[-4:])
            if conduct is not None:
                return conduct
        return CONDUCTS[self.default_conduct]
