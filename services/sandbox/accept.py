"""Take a message as WhatsApp does: refuse it, or give it an id and let its statuses follow."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import Final

import orjson

from services.sandbox.domain import wamid
from services.sandbox.domain.conduct import Conduct, Fate, steps_for
from services.sandbox.domain.errors import GraphError
from services.sandbox.domain.payload import MAX_TEXT, Outgoing
from services.sandbox.domain.updates import Accepted
from services.sandbox.domain.wire import escape
from services.sandbox.numbers import Number
from services.sandbox.world import REPLY, World

REPLY_PREFIX: Final = "You said: "


@dataclass(slots=True)
class Verdict:
    """What the client is to meet: `body` after `latency_seconds`, or the `fate`. `record` is the ledger's."""

    fate: Fate
    latency_seconds: float = 0.0
    body: bytes = b""
    record: int | None = None


def accept(world: World, number: Number, message: Outgoing) -> Verdict:
    """Decide about a valid message. Raises `GraphError` where it is refused; nothing is kept of those but the ledger's count.

    Never waits: between the decision and what follows from it nothing else happens.
    """
    behaviour = world.behaviour
    recipient = message.recipient
    if recipient == number.digits:
        raise GraphError(131021)
    conduct = behaviour.conduct_of(recipient)
    if conduct.refusal is not None and (
        not conduct.refuses_every_second or world.turns.is_odd((number.line.phone_number_id, recipient))
    ):
        raise GraphError(conduct.refusal)
    fate, is_accepted = conduct.fate, conduct.is_accepted
    if world.is_faulty:
        fate, is_accepted = behaviour.faults.draw(world.chance.random()) or (fate, is_accepted)
    if not is_accepted:
        return Verdict(fate)

    now = world.clock.monotonic()
    if not number.rate.has_room(now):
        raise GraphError(130429)
    if behaviour.pair_limit and not number.pairs.take(recipient, now):
        raise GraphError(131056)
    number.rate.count(now)

    unique = world.ids.randbytes(wamid.OUTBOUND_ID_BYTES)
    message_id = wamid.outbound(recipient, unique)
    record = world.ledger.accept(message.callback_data, recipient, unique, world.clock.now().timestamp())
    _follow(world, number, conduct, message, message_id)
    latency = 0.0
    if behaviour.latency_ms:
        latency = behaviour.latency_ms / 1000 * exp(world.chance.gauss(0.0, behaviour.latency_spread))
    return Verdict(fate, latency, _answer(message, message_id), record)


def _follow(world: World, number: Number, conduct: Conduct, message: Outgoing, message_id: str) -> None:
    """Put the statuses and the answer on the wheel."""
    behaviour = world.behaviour
    reply = None
    if conduct.replies and behaviour.answers and message.text is not None:
        reply = (REPLY_PREFIX + message.text)[:MAX_TEXT]
    follower = Accepted(
        line=number.line,
        wamid=message_id,
        recipient=None if message.is_user_id else message.recipient,
        user_id=message.recipient if message.is_user_id else None,
        is_template=message.type == "template",
        callback_data=message.callback_data,
        failure=conduct.failure,
        reply=reply,
    )
    delay = behaviour.status_delay_ms / 1000
    steps = steps_for(conduct, message.type)
    waits = [(delay * place, (follower, step)) for place, step in enumerate(steps, 1)]
    if reply is not None:
        waits.append((delay * len(steps) + behaviour.reply_delay_ms / 1000, (follower, REPLY)))
    world.timers.after(waits)


def _answer(message: Outgoing, message_id: str) -> bytes:
    """The body of the HTTP 200, in Meta's style."""
    wamid_json = message_id.replace("/", "\\/")
    status = ',"message_status":"accepted"' if message.type == "template" else ""
    if message.is_user_id:
        contact = f'{{"input":"{message.recipient}","user_id":"{message.recipient}"}}'
    else:
        to = message.to
        quoted = f'"{to}"' if to[1:].isdigit() and to.isascii() and to[0] in "+0123456789" else _quote(to)
        contact = f'{{"input":{quoted},"wa_id":"{message.recipient}"}}'
    sent = f'{{"id":"{wamid_json}"{status}}}'
    return f'{{"messaging_product":"whatsapp","contacts":[{contact}],"messages":[{sent}]}}'.encode("ascii")


def _quote(text: str) -> str:
    return escape(orjson.dumps(text).decode()).decode("ascii")
