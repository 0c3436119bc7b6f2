"""Take a message as WhatsApp does: refuse it, or give it an id and let its statuses follow."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from services.sandbox.answers import Prompt, graph_text
from services.sandbox.domain import wamid
from services.sandbox.domain.conduct import Conduct, Fate
from services.sandbox.domain.errors import THROTTLES, GraphError, bad_token
from services.sandbox.domain.payload import Outgoing
from services.sandbox.domain.updates import Accepted, quote
from services.sandbox.fates import draw, latency, meet
from services.sandbox.happen import follow
from services.sandbox.numbers import Number
from services.sandbox.world import World, window_of

OUTSIDE_WINDOW: Final = 131047


def accept(world: World, number: Number, message: Outgoing) -> Prompt:
    """Decide about a valid message. Raises `GraphError` where it is refused; nothing is kept of those but the ledger's counts.

    Never waits: between the decision and what follows from it nothing else happens.
    """
    behaviour = world.behaviour
    recipient = message.recipient
    now = world.clock.monotonic()
    if recipient == number.digits:
        raise GraphError(131021)
    if number.state_refusal is not None and (code := number.refusal(now)) is not None:
        raise _refused(world, code)
    conduct = behaviour.conduct_of(recipient)
    if conduct.refusal is not None and (
        not conduct.refuses_every_second or world.turns.is_odd((number.line.phone_number_id, recipient))
    ):
        raise _refused(world, conduct.refusal)
    if message.template is not None:
        world.templates.check(number.line.waba_id, message.template, is_strict=behaviour.strict_templates)
    fate, is_accepted = conduct.fate, conduct.is_accepted
    own = number.spec.faults
    if (world.is_faulty or own is not None) and (fault := draw(world, own)) is not None:
        if fault.refusal is not None:
            raise _refused(world, fault.refusal, fault.http_status)
        fate, is_accepted = fault.fate, fault.is_accepted
    if not is_accepted:
        return meet(world, fate, b"", after_seconds=0.0, record=None)

    conduct = _limited(world, number, message, conduct, now)
    unique = world.ids.randbytes(wamid.OUTBOUND_ID_BYTES)
    message_id = wamid.outbound(recipient, unique)
    stamp = world.clock.now().timestamp()
    record = world.ledger.accept(message.callback_data, recipient, unique, stamp, number.line.phone_number_id)
    accepted = Accepted(
        number.line,
        message_id,
        None if message.is_user_id else recipient,
        recipient if message.is_user_id else None,
        message.type == "template",
        message.callback_data,
        conduct.failure,
    )
    follow(world, accepted, conduct, message.type, message.text)
    wire = graph_text(_body(message, message_id))
    if fate is Fate.ANSWERED and not world.is_slow and not number.is_slow:
        world.ledger.answer(record)
        return wire
    return meet(world, fate, wire, after_seconds=latency(world, number), record=record)


def _limited(world: World, number: Number, message: Outgoing, conduct: Conduct, now: float) -> Conduct:
    """Count the message against every limit, none of them where one refuses it. Returns what its recipient does then."""
    behaviour = world.behaviour
    recipient = message.recipient
    if not number.rate.has_room(now):
        raise _refused(world, 130429)
    limit = number.spec.unique_users_per_day
    is_outside = (limit is not None or behaviour.enforce_window) and not world.windows.has(
        window_of(number.line.phone_number_id, recipient), now
    )
    users = world.portfolio(number.portfolio_id) if limit is not None and is_outside else None
    is_over = users is not None and limit is not None and not users.has(recipient, now) and users.count(now) >= limit
    if is_over and behaviour.portfolio_refusal is not None:
        raise _refused(world, behaviour.portfolio_refusal)
    if behaviour.pair_limit and not number.pairs.take(recipient, now):
        raise _refused(world, 131056)
    number.rate.count(now)
    if is_over:
        world.ledger.count_over_portfolio_limit(number.line.phone_number_id)
    elif users is not None:
        users.see(recipient, now)
    if is_outside and behaviour.enforce_window and message.type != "template":
        return replace(conduct, steps=("failed",), failure=OUTSIDE_WINDOW, replies=False)
    return conduct


def _refused(world: World, code: int, http_status: int | None = None) -> GraphError:
    """The refusal, with the status that throttles are switched to."""
    if code == 190:
        return bad_token()
    if code not in THROTTLES:
        return GraphError(code, http_status=http_status)
    behaviour = world.behaviour
    return GraphError(
        code, http_status=http_status or behaviour.throttle_status, retry_after_seconds=behaviour.retry_after_seconds
    )


def _body(message: Outgoing, message_id: str) -> str:
    """The body of the HTTP 200, in Meta's style."""
    wamid_json = message_id.replace("/", "\\/")
    status = ',"message_status":"accepted"' if message.type == "template" else ""
    if message.is_user_id:
        contact = f'{{"input":"{message.recipient}","user_id":"{message.recipient}"}}'
    else:
        contact = f'{{"input":{quote(message.to)},"wa_id":"{message.recipient}"}}'
    sent = f'{{"id":"{wamid_json}"{status}}}'
    return f'{{"messaging_product":"whatsapp","contacts":[{contact}],"messages":[{sent}]}}'
