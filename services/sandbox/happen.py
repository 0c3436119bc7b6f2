"""What happens after acceptance, and by itself: statuses fall due, recipients answer, users write first."""

from __future__ import annotations

from services.sandbox.domain import wamid
from services.sandbox.domain.conduct import Conduct, steps_for
from services.sandbox.domain.payload import MAX_TEXT
from services.sandbox.domain.updates import Accepted, InboundUpdate, StatusUpdate, name_of
from services.sandbox.numbers import Number
from services.sandbox.world import REPLY, Step, World, window_of

REPLY_PREFIX = "You said: "


def follow(world: World, message: Accepted, conduct: Conduct, type_: str, text: str | None) -> None:
    """Put an accepted message's statuses, and its recipient's answer, on the wheel."""
    behaviour = world.behaviour
    delay = behaviour.status_delay_ms / 1000
    steps = steps_for(conduct, type_)
    waits: list[tuple[float, Step]] = [(delay * place, (message, step)) for place, step in enumerate(steps, 1)]
    if behaviour.webhooks.is_any:
        waits = _disturbed(world, waits)
    if conduct.replies and behaviour.answers and text is not None:
        message.reply = (REPLY_PREFIX + text)[:MAX_TEXT]
        wait = 0.0 if conduct.is_hasty else delay * len(steps) + behaviour.reply_delay_ms / 1000
        waits.append((wait, (message, REPLY)))
    world.timers.after(waits)


def _disturbed(world: World, waits: list[tuple[float, Step]]) -> list[tuple[float, Step]]:
    """The same updates, lost, late and doubled as chance has it."""
    faults, chance = world.behaviour.webhooks, world.chance
    disturbed: list[tuple[float, Step]] = []
    for wait, step in waits:
        if chance.random() < faults.lose:
            continue
        late = chance.random() * faults.reorder_ms if chance.random() < faults.reorder else 0.0
        if chance.random() < faults.delay:
            late += faults.delay_ms
        disturbed.append((wait + late / 1000, step))
        if chance.random() < faults.duplicate:
            disturbed.append((wait + late / 1000, step))
    return disturbed


def take_steps(world: World, steps: list[Step]) -> None:
    """Turn the steps that fell due into webhooks. Those of a number that was replaced go by its new settings."""
    timestamp = int(world.clock.now().timestamp())
    find, send = world.numbers.find, world.webhooks.send
    for message, step in steps:
        number = find(message.line.phone_number_id)
        if number is None:
            continue
        if step is REPLY:
            write(world, number, message.recipient, message.user_id, message.reply or "")
        else:
            send(number, StatusUpdate(message, step, timestamp))


def hear(world: World, number: Number, who: str, *, opens_window: bool = True) -> float:
    """Count what somebody says to `number`; most of it opens their customer service window. Returns the Unix time."""
    phone_number_id = number.line.phone_number_id
    now, stamp = world.clock.monotonic(), world.clock.now().timestamp()
    number.rate.count(now)
    if opens_window:
        world.windows.see(window_of(phone_number_id, who), now)
    world.ledger.count_inbound(phone_number_id, stamp)
    return stamp


def write(world: World, number: Number, sender: str | None, user_id: str | None, text: str, *, name: str | None = None) -> str:
    """A user writes to `number`, which opens their customer service window. Returns the message's wamid.

    What comes in counts against the number's rate.
    """
    who = sender or user_id or ""
    if user_id is None and world.behaviour.user_ids:
        user_id = wamid.user_id_of(who)
    stamp = hear(world, number, who)
    message_id = wamid.inbound(who, world.ids.randbytes(wamid.INBOUND_ID_BYTES))
    update = InboundUpdate(number.line, message_id, sender, user_id, name or name_of(who), text, int(stamp))
    world.webhooks.send(number, update)
    return message_id
