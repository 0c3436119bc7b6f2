"""Gates: what the sender's outcomes say about messages that have not been released yet."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final

from shared.events.catalogue import MessageDeferred
from shared.events.event import Event
from shared.events.values import Gate
from shared.ids import MessageId

LONGEST_GATE: Final = timedelta(hours=1)
"""A gate stands for a limit that fills up again or a provider that is given a rest: calls per hour are the longest of them.
One told for longer is cut: when it opens, a message tries, and where the limit still holds its refusal closes the gate again. What
must stay closed until somebody acts is a pause of the number, which has no end."""


def closings(outcomes: Sequence[Event], put_back: Collection[MessageId]) -> list[Gate]:
    """The gates that these outcomes close, each once with the latest of its times, in one order everywhere.

    Only messages that were put back by them count: an outcome told again must not close a gate that was opened since.
    """
    latest: dict[tuple[str, int, int], Gate] = {}
    for event in outcomes:
        if isinstance(event, MessageDeferred) and event.gate is not None and event.message_id in put_back:
            key = (event.gate.scope, event.gate.tier, event.gate.last_tier)
            if key not in latest or latest[key].until < event.gate.until:
                latest[key] = event.gate
    return [latest[key] for key in sorted(latest)]
