"""From what is to befall a request to the answer that its caller meets."""

from __future__ import annotations

from collections.abc import Callable
from math import exp

from services.sandbox.answers import BROKEN_500, GARBAGE, Manner, Prompt, Reply
from services.sandbox.domain.conduct import LATE_SECONDS, Fate
from services.sandbox.domain.faults import Fault, Faults
from services.sandbox.numbers import Number
from services.sandbox.world import World


def draw(world: World, own: Faults | None = None) -> Fault | None:
    """The fault that chance has for a request; `own` faults are drawn instead of the behaviour's."""
    if own is not None:
        return own.draw(world.chance.random())
    return world.behaviour.faults.draw(world.chance.random()) if world.is_faulty else None


def latency(world: World, number: Number | None = None) -> float:
    """Seconds that an accepted message's answer takes."""
    median_ms, spread, spike_share, spike_ms = world.latency if number is None else number.latency(world.latency)
    milliseconds = median_ms * exp(world.chance.gauss(0.0, spread)) if median_ms else 0.0
    if spike_share and world.chance.random() < spike_share:
        milliseconds += spike_ms
    return milliseconds / 1000


def meet(world: World, fate: Fate, wire: bytes, *, after_seconds: float, record: int | None) -> Prompt:
    """What the caller meets: `wire` is the good answer, which counts as `answered` once it left; `record` is the ledger's."""
    ledger = world.ledger
    if fate is Fate.ANSWERED:
        if not after_seconds:
            ledger.answer(record)
            return wire
        return Reply(wire, after_seconds=after_seconds, sent=_answered(world, record))
    ledger.fates[fate.value] += 1
    match fate:
        case Fate.BROKEN_500:
            return Reply(BROKEN_500, after_seconds=after_seconds) if after_seconds else BROKEN_500
        case Fate.GARBAGE:
            return Reply(GARBAGE, after_seconds=after_seconds) if after_seconds else GARBAGE
        case Fate.RESET:
            return Reply(manner=Manner.RESET, after_seconds=after_seconds)
        case Fate.HANGS:
            return Reply(manner=Manner.HANG, after_seconds=after_seconds + world.behaviour.hang_seconds)
        case Fate.DRIPS:
            seconds = after_seconds + world.behaviour.drip_seconds
            return Reply(wire, Manner.DRIP, seconds, _answered(world, record))
        case Fate.LATE:
            return Reply(wire, after_seconds=after_seconds + LATE_SECONDS, sent=_answered(world, record))


def _answered(world: World, record: int | None) -> Callable[[], None]:
    """Tells the ledger, unless it has forgotten the record by then."""
    ledger, generation = world.ledger, world.ledger.generation

    def answered() -> None:
        if ledger.generation == generation:
            ledger.answer(record)

    return answered
