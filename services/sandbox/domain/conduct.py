"""How a virtual recipient behaves: which statuses follow, whether it answers, and what befalls the request itself.

A recipient's conduct comes from the control API where it is named there, else from the last four digits of its number.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final


class Fate(Enum):
    """What becomes of the HTTP answer to a request that is not refused."""

    ANSWERED = "answered"
    LATE = "late"
    """Answered after `LATE_SECONDS`: the statuses overtake it."""
    HANGS = "hangs"
    RESET = "reset"
    BROKEN_500 = "broken_500"
    """HTTP 500 with a body that is not JSON."""
    GARBAGE = "garbage"
    """HTTP 200 with JSON that breaks off."""
    DRIPS = "drips"
    """The right answer, piece by piece."""


LATE_SECONDS: Final = 1.0

HAPPY_PATH: Final = ("sent", "delivered", "read")


@dataclass(frozen=True, slots=True)
class Conduct:
    """`steps` are the statuses in the order they come; a `failed` among them carries `failure`.

    `refusal` is the Graph code that answers the request instead; with `refuses_every_second` only the first, third, … request
    to a recipient. Without `is_accepted` nothing follows the request: the message does not exist.
    """

    name: str
    steps: tuple[str, ...] = HAPPY_PATH
    failure: int | None = None
    refusal: int | None = None
    refuses_every_second: bool = False
    fate: Fate = Fate.ANSWERED
    is_accepted: bool = True
    replies: bool = False
    is_hasty: bool = False
    """Answers before the first status."""


READS_AND_REPLIES: Final = Conduct("replies", replies=True)

SCRIPTED_PREFIX: Final = "1999"
"""Area code 999 belongs to nobody, so no number that somebody makes up in passing has a conduct of its own."""

SUFFIXES: Final = MappingProxyType(
    {
        "0001": Conduct("delivered_only", steps=("sent", "delivered")),
        "0002": Conduct("undeliverable", steps=("failed",), failure=131026),
        "0003": Conduct("reads"),
        "0004": Conduct("not_allowed", refusal=131030),
        "0005": Conduct("hangs", fate=Fate.HANGS, replies=True),
        "0006": Conduct("resets", fate=Fate.RESET, replies=True),
        "0007": Conduct("server_error", fate=Fate.BROKEN_500, is_accepted=False),
        "0008": Conduct("throttled_once", refusal=130429, refuses_every_second=True, replies=True),
        "0009": Conduct("server_error_accepted", fate=Fate.BROKEN_500, replies=True),
        "0010": Conduct("pair_throttled_once", refusal=131056, refuses_every_second=True, replies=True),
        "0011": Conduct("skips_delivered", steps=("sent", "read")),
        "0012": Conduct("unordered", steps=("read", "delivered", "sent", "delivered")),
        "0013": Conduct("sent_only", steps=("sent",)),
        "0014": Conduct("no_status", steps=()),
        "0015": Conduct("late_answer", fate=Fate.LATE),
        "0016": Conduct("fails_after_sent", steps=("sent", "failed"), failure=131000),
        "0017": Conduct("fails_then_delivered", steps=("sent", "failed", "delivered"), failure=131000),
        "0018": Conduct("unavailable_once", refusal=2, refuses_every_second=True, replies=True),
        "0019": Conduct("marketing_limit", steps=("failed",), failure=131049),
        "0020": Conduct("window_closed", steps=("failed",), failure=131047),
        "0021": Conduct("blocked", steps=("sent", "failed"), failure=131026),
        "0022": Conduct("opted_out", steps=("failed",), failure=131050),
        "0023": Conduct("replies_at_once", replies=True, is_hasty=True),
        "0024": Conduct("slow_body", fate=Fate.DRIPS),
        "0025": Conduct("garbage", fate=Fate.GARBAGE),
        "0026": Conduct("resets_before_accepting", fate=Fate.RESET, is_accepted=False),
        "0027": Conduct("hangs_before_accepting", fate=Fate.HANGS, is_accepted=False),
        "0028": Conduct("overloaded", refusal=131016),
        "0029": Conduct("overloaded_once", refusal=131016, refuses_every_second=True, replies=True),
        "0030": Conduct("experiment", steps=("failed",), failure=130472),
        "0031": Conduct("template_missing", refusal=132001),
        "0032": Conduct("template_paused", refusal=132015),
    }
)

CONDUCTS: Final = MappingProxyType({c.name: c for c in (READS_AND_REPLIES, *SUFFIXES.values())})
"""All conducts by name, as the control API knows them."""


def steps_for(conduct: Conduct, message_type: str) -> tuple[str, ...]:
    """The statuses of one message. A reaction gets no `delivered` and no `read` (reaction messages, read 2026-09)."""
    if message_type == "reaction":
        return tuple(step for step in conduct.steps if step in ("sent", "failed"))
    return conduct.steps
