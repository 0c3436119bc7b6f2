"""What happens after acceptance, and by itself: statuses fall due, recipients answer, users write first."""

from __future__ import annotations

from services.sandbox.domain import wamid
from services.sandbox.domain.updates import InboundUpdate, StatusUpdate, name_of
from services.sandbox.numbers import Number
from services.sandbox.world import REPLY, Step, World


def take_steps(world: World, steps: list[Step]) -> None:
    """Turn the steps that fell due into webhooks. Those of a number that was replaced go by its new settings."""
    timestamp = int(world.clock.now().timestamp())
    for message, step in steps:
        number = world.numbers.find(message.line.phone_number_id)
        if number is None:
            continue
        if step is REPLY:
            write(world, number, message.recipient, message.user_id, message.reply or "")
        else:
            world.webhooks.send(number, StatusUpdate(message, step, timestamp))


def write(world: World, number: Number, sender: str | None, user_id: str | None, text: str, *, name: str | None = None) -> str:
    """A user writes to `number`. Returns the message's wamid. What comes in counts against the number's rate."""
    who = sender or user_id or ""
    number.rate.count(world.clock.monotonic())
    message_id = wamid.inbound(who, world.ids.randbytes(wamid.INBOUND_ID_BYTES))
    timestamp = int(world.clock.now().timestamp())
    update = InboundUpdate(number.line, message_id, sender, user_id, name or name_of(who), text, timestamp)
    world.webhooks.send(number, update)
    return message_id
