"""What the scripts are told, beside their keys. Each script's head says what the numbers mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class AskRequest:
    """For `ask.lua`."""

    rates: Sequence[int]
    limits: Sequence[int]
    asks: Sequence[int]
    users: Sequence[tuple[int, str, int] | tuple[()]]


@dataclass(slots=True)
class GiveBackRequest:
    """For `give_back.lua`."""

    since: int
    steps: Sequence[int]
    users: Sequence[str | int]


@dataclass(slots=True)
class SlotsRequest:
    """For `slots.lua`."""

    step: int
    ahead: int
    horizon: int
    wanted: int


@dataclass(slots=True)
class DebitRequest:
    """For `debit.lua`."""

    step: int
    ahead: int
    count: int
    reach: int


@dataclass(slots=True)
class OpenRequest:
    """For `open.lua`."""

    spans: Sequence[int]


@dataclass(slots=True)
class SlowRequest:
    """For `slow.lua`."""

    factor: float
    step: int
    apart: int


@dataclass(slots=True)
class LookRequest:
    """For `look.lua`."""

    step: int


@dataclass(slots=True)
class RestRequest:
    """For `rest.lua`."""

    ahead: int
    longest: int
    memory: int


def messages(asks: Sequence[int]) -> Iterator[tuple[int, Sequence[int]]]:
    """The tier and the positions of the limits of each message."""
    at = 0
    while at < len(asks):
        past = at + 2 + asks[at + 1]
        yield asks[at], asks[at + 2 : past]
        at = past


Request = AskRequest | GiveBackRequest | SlotsRequest | DebitRequest | OpenRequest | SlowRequest | LookRequest | RestRequest
