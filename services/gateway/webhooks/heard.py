"""What is said in a number's conversations is told: what people write, what the business writes from its phone, what either side
changes or takes back. Each once, however often the provider brings it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from services.gateway import media_fetch
from services.gateway.domain.media import Wanted
from services.gateway.domain.update import Heard, Saying
from services.gateway.domain.webhook import ECHOES, Echo, Edit, IdentityChange, Inbound, Kind, Revoke, storable
from services.gateway.store import webhooks
from services.gateway.webhooks.inbound_rate import InboundRate
from shared.bus.outbox import Unit
from shared.events.catalogue import MessageEchoed, MessageEdited, MessageReceived, MessageRevoked
from shared.ids import NumberId, TenantId

_PLACEHOLDER: Final = Kind.MEDIA_PLACEHOLDER.value

Key = tuple[str, str]
"""A number's id and the provider's id of what was said."""


class Said(NamedTuple):
    """A part with whose it is and the trace of the payload that brought it."""

    tenant_id: TenantId
    number_id: NumberId
    part: Inbound | Echo | Edit | Revoke | IdentityChange
    traceparent: str | None

    @property
    def key(self) -> Key:
        """What comes under the id of another message has a key of its own: the file of a history follows its placeholder so."""
        part = self.part
        if isinstance(part, Inbound | Echo):
            return self.number_id, f"{part.wamid} {_PLACEHOLDER}" if part.content["type"] == _PLACEHOLDER else part.wamid
        if isinstance(part, IdentityChange) or part.name != part.wamid:
            return self.number_id, part.name or ""
        return self.number_id, f"{part.name} {type(part).__name__.lower()} {part.at.isoformat()}"


async def new_of(unit: Unit, said: Sequence[Said]) -> list[Said]:
    """Those that had not been taken before; they are now. Of one that comes twice the first counts."""
    first: dict[Key, Said] = {}
    for one in said:
        first.setdefault(one.key, one)
    if not first:
        return []
    new = await webhooks.new_inbound(unit.connection, list(first))
    return [one for key, one in first.items() if key in new]


async def tell_heard(unit: Unit, new: Sequence[Said], rate: InboundRate, watching: Collection[TenantId]) -> list[Heard]:
    """Tell these, and have their files fetched; returns what those are to be told who watch."""
    over = await _over(new, rate)
    await media_fetch.want(unit, [wanted for one in new if (wanted := _wanted(one)) is not None])
    facts = []
    for one in new:
        event = _event(one, over)
        if event is None:
            continue
        unit.emit(event)
        if one.tenant_id in watching:
            part = one.part
            is_echo = not isinstance(part, Inbound) and ECHOES in part.origin.value
            facts.append(Heard(event, storable(part.raw), storable(part.contact), is_echo=is_echo))
    return facts


async def _over(new: Sequence[Said], rate: InboundRate) -> Mapping[Key, bool]:
    """Whether a message is more than its user may write in a minute; of what was written long ago nobody asks."""
    fresh = [(one, one.part.sender) for one in new if isinstance(one.part, Inbound) and not one.part.is_history]
    verdicts = await rate.over([(one.number_id, sender) for one, sender in fresh])
    return {one.key: verdict for (one, _), verdict in zip(fresh, verdicts, strict=True)}


def _wanted(said: Said) -> Wanted | None:
    """The file of a message, to be fetched."""
    media = said.part.media if isinstance(said.part, Inbound | Echo) else None
    if media is None or not isinstance(said.part, Inbound | Echo):
        return None
    number = said.part.phone_number_id
    return Wanted(said.tenant_id, media.id, said.number_id, said.part.wamid, number, media.mime_type, media.file_name)


def _event(said: Said, over: Mapping[Key, bool]) -> Saying | None:
    tenant_id, number_id, part, traceparent = said
    match part:
        case Inbound():
            return MessageReceived(
                tenant_id=tenant_id,
                traceparent=traceparent,
                number_id=number_id,
                wamid=part.wamid,
                sender=part.sender,
                sender_name=part.sender_name,
                content=part.content,
                received_at=part.at,
                user_id=part.user_id,
                username=part.username,
                group_id=part.group_id,
                is_history=part.is_history,
                is_over_rate=over.get(said.key, False),
            )
        case Echo():
            return MessageEchoed(
                tenant_id=tenant_id,
                traceparent=traceparent,
                number_id=number_id,
                wamid=part.wamid,
                to=part.to,
                content=part.content,
                sent_at=part.at,
                is_history=part.is_history,
            )
        case Edit():
            return MessageEdited(
                tenant_id=tenant_id,
                traceparent=traceparent,
                number_id=number_id,
                wamid=part.wamid,
                content=part.content,
                edited_at=part.at,
            )
        case Revoke():
            return MessageRevoked(
                tenant_id=tenant_id,
                traceparent=traceparent,
                number_id=number_id,
                wamid=part.wamid,
                revoked_at=part.at,
            )
        case _:
            return None
