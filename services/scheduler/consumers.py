"""Events in: which go to which function, and when a failed one comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, cast

from services.scheduler import conclude, expand, hold, learn, planner
from shared.bus.interface import Bus, RetryPolicy, Subscription
from shared.bus.outbox import Outbox
from shared.bus.subscriber import Subscriber
from shared.clock import Clock
from shared.events.catalogue import (
    AudienceFound,
    ContactConsentChanged,
    MessageAccepted,
    MessageCancelRequested,
    MessageDeferred,
    MessageFailed,
    MessageReceived,
    MessageRequestRefused,
    MessageSent,
    MessageUnsettled,
    NumberConnected,
    RunReported,
    TemplateChanged,
    TenantChanged,
)
from shared.events.event import Event
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing

# A bug or a poisoned row: about eight minutes for a rollback before the event is set aside as a dead letter.
_POLICY: Final = RetryPolicy(schedule_seconds=(1, 5, 30, 120, 300))
# A cancellation that overtook its message: it is answered for as long as it is young (hold.CANCEL_PATIENCE).
_CANCEL_POLICY: Final = RetryPolicy(schedule_seconds=(1,) * 30)

# One handler each for what comes by thousands: while it works the next batch gathers, and a larger batch is the cheaper one.
HOLD: Final = Subscription(hold.SUBSCRIPTION, (MessageAccepted,), _POLICY)
SETTLE: Final = Subscription(
    "scheduler.settle",
    (MessageSent, MessageFailed, MessageDeferred, MessageUnsettled),
    _POLICY,
    max_events=1_024,
)
CANCEL: Final = Subscription("scheduler.cancel", (MessageCancelRequested,), _CANCEL_POLICY)
NUMBERS: Final = Subscription("scheduler.numbers", (NumberConnected,), _POLICY)
CONSENT: Final = Subscription("scheduler.consent", (ContactConsentChanged,), _POLICY)
TEMPLATES: Final = Subscription("scheduler.templates", (TemplateChanged,), _POLICY)
WINDOWS: Final = Subscription("scheduler.windows", (MessageReceived,), _POLICY)
TENANTS: Final = Subscription("scheduler.tenants", (TenantChanged,), _POLICY)
AUDIENCE: Final = Subscription("scheduler.audience", (AudienceFound,), _POLICY, concurrency=2, prefetch=4, max_events=4)
REFUSED: Final = Subscription("scheduler.refused", (MessageRequestRefused,), _POLICY)
REPORTS: Final = Subscription("scheduler.reports", (RunReported,), _POLICY, max_events=1_024)
SUBSCRIPTIONS: Final = (HOLD, SETTLE, CANCEL, NUMBERS, CONSENT, TEMPLATES, WINDOWS, TENANTS, AUDIENCE, REFUSED, REPORTS)


def subscribers(
    bus: Bus, outbox: Outbox, tracing: Tracing, metrics: Metrics, clock: Clock, wake_release: Callable[[], None]
) -> Sequence[Subscriber]:
    """One subscriber per subscription."""

    async def on_accepted(events: Sequence[Event]) -> None:
        await hold.hold(outbox, cast("Sequence[MessageAccepted]", events), wake_release)

    async def on_outcome(events: Sequence[Event]) -> None:
        await hold.settle(outbox, events, wake_release)

    async def on_cancel(events: Sequence[Event]) -> None:
        await hold.cancel(outbox, cast("Sequence[MessageCancelRequested]", events), clock.now())

    async def on_number(events: Sequence[Event]) -> None:
        await hold.know_numbers(outbox, cast("Sequence[NumberConnected]", events), wake_release)

    async def on_consent(events: Sequence[Event]) -> None:
        await learn.learn_consent(outbox, cast("Sequence[ContactConsentChanged]", events))

    async def on_template(events: Sequence[Event]) -> None:
        await learn.learn_templates(outbox, cast("Sequence[TemplateChanged]", events), wake_release)

    async def on_inbound(events: Sequence[Event]) -> None:
        await learn.learn_windows(outbox, cast("Sequence[MessageReceived]", events))

    async def on_tenant(events: Sequence[Event]) -> None:
        await planner.know_tenants(outbox, cast("Sequence[TenantChanged]", events))

    async def on_found(events: Sequence[Event]) -> None:
        await expand.expand(outbox, cast("Sequence[AudienceFound]", events), clock.now())

    async def on_refused(events: Sequence[Event]) -> None:
        await conclude.refuse(outbox, cast("Sequence[MessageRequestRefused]", events))

    async def on_report(events: Sequence[Event]) -> None:
        await conclude.report(outbox, cast("Sequence[RunReported]", events))

    handlers = (
        (HOLD, on_accepted),
        (SETTLE, on_outcome),
        (CANCEL, on_cancel),
        (NUMBERS, on_number),
        (CONSENT, on_consent),
        (TEMPLATES, on_template),
        (WINDOWS, on_inbound),
        (TENANTS, on_tenant),
        (AUDIENCE, on_found),
        (REFUSED, on_refused),
        (REPORTS, on_report),
    )
    return [Subscriber(bus, subscription, handler, tracing, metrics) for subscription, handler in handlers]
