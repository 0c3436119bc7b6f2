"""What the tests tell the scheduler, and what they read from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from services.scheduler import hold, release
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.events.catalogue import (
    MessageAccepted,
    MessageCancelRequested,
    MessageDeferred,
    MessageFailed,
    MessageReleased,
    MessageSent,
    MessageUnsettled,
    NumberConnected,
)
from shared.events.event import Event
from shared.events.values import Tier
from shared.ids import MessageId, NumberId, TenantId, new_id
from tests.support.told import told

TENANT, OTHER_TENANT = TenantId("tnt_a"), TenantId("tnt_b")
NUMBER = NumberId("num_1")


def nothing() -> None:
    """Nobody to wake."""


def now() -> datetime:
    return datetime.now(UTC)


def accepted(
    tier: Tier = Tier.NORMAL, due: float = -1.0, number: str = NUMBER, expires: float | None = None, **changes: Any
) -> MessageAccepted:
    plain: dict[str, Any] = {
        "tenant_id": TENANT,
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "message_id": MessageId(new_id("msg")),
        "number_id": NumberId(number),
        "to": "+15551234567",
        "content": {"type": "text", "text": {"body": "Grüße\n\u2028"}},
        "tier": tier,
        "not_before": now() + timedelta(seconds=due),
        "expires_at": None if expires is None else now() + timedelta(seconds=expires),
    }
    return MessageAccepted(**{**plain, **changes})


async def connect(
    outbox: Outbox,
    number: str = NUMBER,
    rate: int = 80,
    revision: int = 1,
    tenant: TenantId = TENANT,
    paused: str | None = None,
) -> None:
    event = NumberConnected(
        tenant_id=tenant,
        number_id=NumberId(number),
        revision=revision,
        phone_number_id="1",
        provider_url="http://x",
        sealed_access_token="",
        messages_per_second=rate,
        paused=paused,
    )
    await hold.know_numbers(outbox, [event], nothing)


async def released(outbox: Outbox, pool: Pool) -> list[MessageReleased]:
    """What one round releases."""
    await release.release_due(outbox)
    return [event for event in await told(pool) if isinstance(event, MessageReleased)]


def outcome(kind: str, event: MessageReleased, **changes: Any) -> Event:
    head: dict[str, Any] = {"tenant_id": event.tenant_id, "message_id": event.message_id, "attempt": event.attempt}
    match kind:
        case "sent":
            return MessageSent(**head, wamid="w", started_at=now())
        case "failed":
            return MessageFailed(**head, code="c", detail="d", started_at=now())
        case "deferred":
            return MessageDeferred(**{**head, "retry_at": now() - timedelta(seconds=1), "code": "c", **changes})
        case _:
            return MessageUnsettled(**head, code="c", started_at=now())


async def consistent(pool: Pool) -> int:
    """The invariant: a number's `in_flight` is the count of its released holds. Returns their sum."""
    rows = await pool.fetch(
        "SELECT in_flight, (SELECT count(*) FROM holds WHERE holds.number_id = n.number_id AND state = 'released') AS held "
        "FROM numbers n"
    )
    assert [row["in_flight"] for row in rows] == [row["held"] for row in rows]
    return sum(row["held"] for row in rows)


async def settle(outbox: Outbox, *events: Event) -> None:
    await hold.settle(outbox, events, nothing)


async def pass_time(pool: Pool, seconds: float, message_id: str | None = None) -> None:
    """Put back the clock of released holds."""
    await pool.execute(
        "UPDATE holds SET repeat_at = repeat_at - make_interval(secs => $1) WHERE message_id = coalesce($2, message_id)",
        seconds,
        message_id,
    )


async def cancel(outbox: Outbox, message_id: str, tenant: TenantId = TENANT, age: float = 0) -> None:
    request = MessageCancelRequested(tenant_id=tenant, message_id=MessageId(message_id))
    await hold.cancel(outbox, [request], request.occurred_at + timedelta(seconds=age))
