"""Keep the public state of messages in step with what scheduler and sender tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from services.gateway.domain.state import Change, State, Telling, changes_of, told
from services.gateway.domain.status import RANKS, Status
from services.gateway.domain.update import Moved, Reported, told_by_us
from services.gateway.store import graph_ids, messages
from services.gateway.store.messages import Key
from services.gateway.updates import Updates
from shared.bus.outbox import Outbox, Unit
from shared.events.catalogue import MessageConfirmed, MessageUnsettled
from shared.events.event import Event


async def track(outbox: Outbox, events: Sequence[Event], updates: Updates) -> Counter[Status]:
    """Write what the events tell, each message once; telling twice changes nothing. Returns how often a status was news,
    overtaken ones too. Raises `TypeError` for an event that tells nothing.

    A report can come before the sender says that it does not know the outcome; then it is confirmed here, otherwise where the
    report is read (`ingest`). Both hold the message's row, so one of them sees the other.
    """
    changes: dict[Key, list[Change]] = {}
    for event in events:
        if not isinstance(event, Telling):
            raise TypeError(f"tells of no state: {event.event_name}")
        changes.setdefault((event.tenant_id, event.message_id), []).extend(changes_of(event))
    news: list[Status] = []
    async with outbox.transaction() as unit:
        before: dict[Key, State] = {}
        after: list[tuple[str, State]] = []
        watching = await updates.watching(unit, {tenant_id for tenant_id, _ in changes})
        facts: list[Reported] = []
        learned: list[graph_ids.Learned] = []
        for row in await messages.lock(unit.connection, changes):
            key = row["tenant_id"], row["id"]
            before[key] = messages.state_of(row)
            state, new = told(before[key], changes[key])
            news += [change.status for change in new]
            if state != before[key]:
                after.append((row["place"], state))
                learned += graph_ids.newly_known(row, before[key], state)
            if key[0] in watching:
                facts += told_by_us(Moved(*key, row["number_id"], before[key], state, new))
        await messages.write(unit.connection, after)
        await graph_ids.learn(unit.connection, learned)
        await updates.tell(unit, facts)
        for event in events:
            if isinstance(event, MessageUnsettled):
                _confirm(unit, event, before.get((event.tenant_id, event.message_id)))
    return Counter(news)


def _confirm(unit: Unit, event: MessageUnsettled, before: State | None) -> None:
    """Tell that the provider has the message, where a report has said so before the sender says that it does not know."""
    if before is None or before.wamid is None or RANKS[before.status] < RANKS[Status.SENT]:
        return
    unit.emit(
        MessageConfirmed(
            tenant_id=event.tenant_id,
            traceparent=event.traceparent,
            message_id=event.message_id,
            attempt=event.attempt,
            wamid=before.wamid,
        )
    )
