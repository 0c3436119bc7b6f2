"""Take a message as WhatsApp does: refuse it, or give it an id and let its statuses follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from services.sandbox.answers import Prompt, graph_text
from services.sandbox.domain import wamid
from services.sandbox.domain.conduct import Conduct, Fate
from services.sandbox.domain.errors import THROTTLES, GraphError, bad_parameter, bad_token
from services.sandbox.domain.media_types import bare, fits
from services.sandbox.domain.members import MediaUse
from services.sandbox.domain.payload import Outgoing
from services.sandbox.domain.template_use import TemplateUse
from services.sandbox.domain.updates import Accepted, quote
from services.sandbox.fates import draw, latency, meet
from services.sandbox.happen import follow
from services.sandbox.numbers import Number
from services.sandbox.templates import MAX_HELD, Pacing, Template
from services.sandbox.world import World, window_of

OUTSIDE_WINDOW: Final = 131047


def accept(world: World, number: Number, message: Outgoing) -> Prompt:
    """Decide about a valid message. Raises `GraphError` where it is refused; nothing is kept of those but the ledger's counts.

    Never waits: between the decision and what follows from it nothing else happens.
    """
    behaviour, recipient = world.behaviour, message.recipient
    now = world.clock.monotonic()
    conduct = _met(world, number, recipient, now)
    template = None if message.template is None else _template(world, number, message, message.template)
    files = _check_files(world, number, message.media) if message.media else None
    fate, is_accepted = conduct.fate, conduct.is_accepted
    own = number.spec.faults
    if (world.is_faulty or own is not None) and (fault := draw(world, own)) is not None:
        if fault.refusal is not None:
            raise _refused(world, fault.refusal, fault.http_status)
        fate, is_accepted = fault.fate, fault.is_accepted
    if not is_accepted:
        return meet(world, fate, b"", after_seconds=0.0, record=None)

    conduct = _limited(world, number, message, conduct, now)
    if message.type != "text" or message.is_group:
        conduct = _fitting(conduct, message, files)
    unique = world.ids.randbytes(wamid.OUTBOUND_ID_BYTES)
    message_id = wamid.outbound(recipient, unique)
    stamp = world.clock.now().timestamp()
    record = world.ledger.accept(message.callback_data, recipient, unique, stamp, number.line.phone_number_id)
    accepted = Accepted(
        number.line,
        message_id,
        None if message.is_user_id else recipient,
        recipient if message.is_user_id else wamid.user_id_of(recipient) if behaviour.user_ids else None,
        message.type == "template",
        message.callback_data,
        conduct.failure,
        is_group=message.is_group,
    )
    pacing: Pacing = "none"
    if template is not None:
        accepted.category = template.spec.category.lower()
        pacing = template.spec.pacing
    if template is None or pacing == "none":
        follow(world, accepted, conduct, message.type, message.text)
    elif pacing == "held" and len(template.held) < MAX_HELD:
        template.held.append((accepted, conduct))
    wire = graph_text(_body(message, message_id, pacing))
    if fate is Fate.ANSWERED and not world.is_slow and not number.is_slow:
        world.ledger.answer(record)
        return wire
    return meet(world, fate, wire, after_seconds=latency(world, number), record=record)


def _met(world: World, number: Number, recipient: str, now: float) -> Conduct:
    """What the recipient does with a message. Raises `GraphError` where its number, or its sender's, is refused."""
    if recipient == number.digits:
        raise GraphError(131021)
    if number.blocked and recipient in number.blocked:
        raise GraphError(130403)
    if number.state_refusal is not None and (code := number.refusal(now)) is not None:
        raise _refused(world, code)
    conduct = world.behaviour.conduct_of(recipient)
    if conduct.refusal is not None and (
        not conduct.refuses_every_second or world.turns.is_odd((number.line.phone_number_id, recipient))
    ):
        raise _refused(world, conduct.refusal)
    return conduct


def _template(world: World, number: Number, message: Outgoing, use: TemplateUse) -> Template | None:
    """The template of a message, if the sandbox knows it. Raises `GraphError` where it cannot be sent, or not to this recipient."""
    template = world.templates.check(number.line.waba_id, use, is_strict=world.behaviour.strict_templates)
    if template is not None and template.spec.category == "AUTHENTICATION" and (message.is_user_id or message.is_group):
        raise GraphError(131062)
    return template


def _fitting(conduct: Conduct, message: Outgoing, files: int | None) -> Conduct:
    """The conduct towards a message that fails by itself, or that a group gets. `files` is the code its files make it fail with."""
    failure = files or message.failure
    if failure is not None:
        return replace(conduct, steps=("failed",), failure=failure, replies=False)
    return replace(conduct, replies=False) if message.is_group else conduct


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


def _check_files(world: World, number: Number, uses: tuple[MediaUse, ...]) -> int | None:
    """The code that the message fails with as a file is of another kind. Raises `GraphError` for one that is not there."""
    for use in uses:
        media = world.media.find(use.id)
        if media is None or media.phone_number_id != number.line.phone_number_id:
            if world.behaviour.strict_media:
                raise bad_parameter(f"Param {use.where}['id'] is not a valid whatsapp business account media attachment ID")
        elif not fits(use.kind, media.mime_type) or (use.is_voice and bare(media.mime_type) != "audio/ogg"):
            return 131053
    return None


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


_PACED: Final[Mapping[Pacing, str]] = MappingProxyType(
    {"none": "accepted", "held": "held_for_quality_assessment", "paused": "paused"}
)


def _body(message: Outgoing, message_id: str, pacing: Pacing) -> str:
    """The body of the HTTP 200, in Meta's style."""
    wamid_json = message_id.replace("/", "\\/")
    status = f',"message_status":"{_PACED[pacing]}"' if message.type == "template" else ""
    if message.is_group:
        status += f',"group_id":"{message.recipient}"'
    if message.is_user_id:
        contact = f'{{"input":"{message.recipient}","user_id":"{message.recipient}"}}'
    else:
        contact = f'{{"input":{quote(message.to)},"wa_id":"{message.recipient}"}}'
    sent = f'{{"id":"{wamid_json}"{status}}}'
    return f'{{"messaging_product":"whatsapp","contacts":[{contact}],"messages":[{sent}]}}'
