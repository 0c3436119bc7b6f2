"""What operators are told, and what they ask for."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import AwareDatetime, Field

from services.gateway.payloads.numbers import Pause
from shared.events.values import Profile, Provider
from shared.http.bodies import Body, Priority
from shared.operations.payloads import DatabaseState
from shared.personal import Model

SINCE_START: Final = "Since the processes that answered were started."


class Unreached(Model):
    unreachable: list[str] = Field(description="Services that did not answer: what they would have said is missing here.")


class Work(Model):
    waiting: int = Field(description="Bus messages that no consumer has in hand; each is a batch of events.")
    active: int = Field(description="Events being handled now.")
    completed: int = Field(description=f"Events handled. {SINCE_START}")
    failed: int = Field(description=f"Events that became dead letters. {SINCE_START}")
    success_rate: float = Field(
        serialization_alias="successRate",
        ge=0,
        le=1,
        description="Completed ones among those that ended; 1 before any has.",
    )


class QueueWork(Work):
    queue: str
    service: str
    retried: int = Field(description=f"Failures after which an event came again, or will. {SINCE_START}")
    dead: int = Field(description="Dead letters that are there now.")


class TierWork(Model):
    """Messages of one priority. Counts are exact up to 10,000."""

    priority: Priority
    scheduled: int = Field(description="Not due yet.")
    waiting: int = Field(description="Due, and not released: behind a limit, a pause, or each other.")
    active: int = Field(description="Released, and without an outcome.")
    oldest_age_seconds: float = Field(
        description="For how long the oldest has been due, or released, and is not sent; 0: none."
    )


class QueueStatistics(Work, Unreached):
    """All queues together, then each, then messages by priority."""

    queues: list[QueueWork]
    priorities: list[TierWork]


class RestartQueues(Body):
    queues: list[str] | None = Field(None, max_length=100, description="Left out: all of them.", examples=[["sender.deliver"]])
    hurry: bool = Field(
        default=False,
        description="Also bring back at once what waits for another attempt, of all queues, up to ten minutes early.",
    )


class Restarted(Unreached):
    restarted: list[str] = Field(description="Queues whose consumers were told.")
    without_consumer: list[str] = Field(description="Queues that nobody consumed at that moment.")
    hurried: int = Field(description="Bus messages that were brought back early.")


class DeadLetterQuery(Body):
    limit: int = Field(50, ge=1, le=500)
    cursor: str | None = Field(None, max_length=200, description="From `next_cursor` of the page before.")
    queue: str | None = Field(None, max_length=100, description="Only those of this queue.")
    code: str | None = Field(None, max_length=100, description="Only those that died with this code.")


class DeadLetterView(Model):
    id: str
    queue: str
    subject: str = Field(description="What kind of events, as `message.released.v1`; empty where it says nothing of the kind.")
    code: str = Field(description="Why it died; `handler.failed`: a fault of ours, `delivery.limit`: the broker gave it up.")
    attempts: int = Field(description="How often it was tried, as far as that was counted.")
    events: int = Field(description="0 where it cannot be read.")
    size_bytes: int
    event_id: str | None = Field(None, description="Of its first event, as the following ones.")
    tenant_id: str | None = None
    message_id: str | None = None
    occurred_at: str | None = None
    died_at: AwareDatetime | None = None
    age_seconds: float | None = Field(None, description="Since it died.")


class DeadLetterDetail(DeadLetterView):
    contents: list[Any] = Field(description="Its events; what is personal in them is left out.")


class DeadLetterPage(Unreached):
    data: list[DeadLetterView]
    next_cursor: str | None = None
    total: int = Field(
        description="In these queues; letters that are equal byte for byte are one, as in the list. Of each queue 2,000 can be "
        "looked at; what stands behind them is reached when those are settled."
    )


class SettleDeadLetters(Body):
    queue: str = Field(max_length=100, examples=["sender.deliver"])
    code: str | None = Field(None, max_length=100, description="Only those that died with this code.")


class Settled(Model):
    settled: int


class CacheReads(Model):
    """Of one cache in one service."""

    service: str
    cache: str
    hits: int
    misses: int = Field(description="Those too for which Redis was away.")
    away: int = Field(description="Misses because Redis was away.")
    hit_rate: float = Field(ge=0, le=1, description="0 before the first read.")


class RedisState(Model):
    used_bytes: int
    most_bytes: int = Field(description="0: no bound but the machine's.")
    keys: int
    evicted: int = Field(description="Entries that it dropped for want of room, since it was started.")


class CacheStatistics(Unreached):
    hits: int
    misses: int
    hit_rate: float = Field(ge=0, le=1)
    caches: list[CacheReads] = Field(description=SINCE_START)
    redis: RedisState | None = Field(None, description="Null: it does not answer.")


class CacheForgotten(Unreached):
    entries: int
    services: dict[str, int] = Field(description="By service.")


class ServiceDatabase(DatabaseState):
    service: str


class DatabaseStatistics(Unreached):
    data: list[ServiceDatabase] = Field(description="One for each process that answered.")


class PoolHealth(Model):
    """The gateway's own connections to the database."""

    size: int = Field(description="Kept open.")
    checked_in: int = Field(description="Open and idle.")
    checked_out: int = Field(description="In use.")
    overflow: int = Field(description="Open beyond `size`.")
    total: int = Field(description="Open.")
    most: int = Field(description="Allowed; callers beyond wait.")


class Breaker(Model):
    breaker: str = Field(description="A number's id, or the address of a provider.")
    state: Literal["closed", "half_open", "open"]


class IntakeHealth(Model):
    received: dict[str, int] = Field(description=f"By what became of them. {SINCE_START}")
    error_rate: float = Field(ge=0, le=1, description="Of those received, the share that was neither stored nor spooled.")
    waiting: int = Field(description="Stored and not read yet.")
    oldest_age_seconds: float
    quarantined: int = Field(description="Set aside: they cannot be read.")


class WebhookHealth(Unreached):
    status: Literal["ok", "degraded"] = Field(
        description="`degraded`: the database does not answer, a breaker is open, or a service could not be asked."
    )
    database: PoolHealth | None = Field(None, description="Null: it does not answer.")
    webhooks: IntakeHealth
    breakers: list[Breaker]
    provider_error_rate: float = Field(ge=0, le=1, description="Of the calls to the provider, the share that it did not take.")
    provider_errors: dict[str, int] = Field(description=f"By code. {SINCE_START}")
    caches: list[CacheReads]


class Worker(Model):
    """One service's consumers."""

    service: str
    status: Literal["ok", "unreachable"]
    processes: int = Field(description="That answered.")
    active: int = Field(description="Events being handled now.")
    reserved: int = Field(description="Messages taken from a queue that wait within a process for their turn.")
    scheduled: int = Field(description="Messages held for later; exact up to 10,000 a priority.")
    processed: int = Field(description=f"Events handled. {SINCE_START}")
    queue_size: int
    pool_max: int = Field(description="Connections to the database allowed, of all processes.")
    hit_rate: float | None = Field(None, description="Of its caches; null where it has none.")


class Workers(Unreached):
    active: int
    reserved: int
    scheduled: int
    processed: int
    queue_size: int
    workers: list[Worker]


class AnyNumber(Model):
    id: str
    tenant_id: str
    provider: Provider
    display_number: str
    status: str
    paused: Pause | None = None
    messages_per_second: int
    profile: Profile
    created_at: AwareDatetime


class AnyNumberPage(Model):
    data: list[AnyNumber]
    next_cursor: str | None = None


class AuditLine(Model):
    id: str
    at: AwareDatetime
    operator: str
    key_id: str | None = Field(None, description="Null: from the command line.")
    action: str = Field(examples=["dead_letters.replay"])
    subject: str
    facts: dict[str, Any]
    request_id: str | None = None


class AuditPage(Model):
    data: list[AuditLine]
    next_cursor: str | None = None
