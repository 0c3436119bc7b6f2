"""Of rules/edge.yml and rules/queues.yml."""

from __future__ import annotations

from typing import Final

from tests.contract.monitoring.case import Case, durations, requests
from tests.support.alerting import Fired

_API: Final = 'service="gateway", method="POST", route="/api/messages"'
_WEBHOOKS: Final = 'service="gateway", method="POST", route="/api/webhooks/whatsapp/{number_id}"'
_BATCHES: Final = 'service="gateway", method="POST", route="/api/messages/batch"'
_STREAMS: Final = 'service="gateway", method="GET", route="/api/media/{id}/content"'
_REFUSED: Final = 'chasqui_messages_rejected_total{service="gateway", code="message.too_long"}'
_TAKEN: Final = 'chasqui_messages_accepted_total{service="gateway", tier="normal"}'
_AGE: Final = "chasqui_bus_event_age_seconds"
_WAITING: Final = "chasqui_bus_queue_messages"
_HANDLED: Final = "chasqui_bus_events_total"

CASES: Final = (
    Case(
        "ChasquiErrorBudgetBurnsFast",
        fires=requests("0+2x70", "0+98x70"),
        quiet=requests("0+2x10 20+0x60", "0+98x70"),  # over since an hour ago
        told=Fired({}, "The gateway answers 2% of its requests with 5xx: the error budget is spent fast"),
        at="65m",
    ),
    Case(
        "ChasquiErrorBudgetBurnsFast",
        fires=requests("0+40x100", "0+4960x100"),  # 0.8 %: over six hours it counts
        quiet=requests("0+20x100", "0+4980x100"),
        told=Fired({}, "The gateway answers 0.8% of its requests with 5xx: the error budget is spent fast"),
        at="7h",
        step="5m",
    ),
    Case(
        "ChasquiErrorBudgetBurnsFast",
        fires=requests("0+1x70", "0+0x70"),  # hardly anybody asks, and all in vain
        quiet=requests("0+0x58 1+0x12", "0+1x70"),  # one error, of sixty answers
        told=Fired({}, "The gateway answers 100% of its requests with 5xx: the error budget is spent fast"),
        at="60m",
    ),
    Case(
        "ChasquiErrorBudgetBurnsSlowly",
        fires=requests("0+40x160", "0+9960x160"),
        quiet=requests("0+8x160", "0+9992x160"),
        told=Fired({}, "For days the gateway has answered 0.4% of its requests with 5xx"),
        at="26h",
        step="10m",
    ),
    Case(
        "ChasquiErrorBudgetBurnsSlowly",
        fires=requests("0+60x160", "0+29940x160"),  # 0.2 %: over three days it counts
        quiet=requests("0+60x50 3000+0x110", "0+29940x160"),  # mended
        told=Fired({}, "For days the gateway has answered 0.2% of its requests with 5xx"),
        at="75h",
        step="30m",
    ),
    Case(
        "ChasquiApiSlow",
        fires=durations("chasqui_http_request_duration_seconds", _API, ("0.05", "0.1"), 0.1),
        quiet={
            **durations("chasqui_http_request_duration_seconds", _API, ("0.025", "0.05"), 0.1),
            **durations("chasqui_http_request_duration_seconds", _BATCHES, ("0.5", "1"), 1),
            **durations("chasqui_http_request_duration_seconds", _STREAMS, ("10", "30"), 1),
        },
        told=Fired({}, "One in twenty requests about messages takes longer than 75ms"),
    ),
    Case(
        "ChasquiWebhookAcknowledgedSlowly",
        fires=durations("chasqui_http_request_duration_seconds", _WEBHOOKS, ("0.1", "0.25"), 0.1),
        quiet={
            **durations("chasqui_http_request_duration_seconds", _WEBHOOKS, ("0.05", "0.1"), 0.1),
            **durations("chasqui_http_request_duration_seconds", _API, ("0.1", "0.25"), 1),
        },
        told=Fired({}, "One in twenty webhooks is acknowledged after more than 175ms"),
    ),
    Case(
        "ChasquiWebhooksWait",
        fires={'chasqui_webhooks_oldest_age_seconds{service="gateway", instance="a"}': "0+30x20"},
        quiet={'chasqui_webhooks_oldest_age_seconds{service="gateway", instance="a"}': "60+0x20"},
        told=Fired({}, "A webhook that was acknowledged has waited 5m 0s to be read"),
        at="10m",
    ),
    Case(
        "ChasquiWebhooksQuarantined",
        fires={
            'chasqui_webhooks_quarantined{service="gateway", instance="a"}': "3+0x20",
            'chasqui_webhooks_quarantined{service="gateway", instance="b"}': "3+0x20",
        },
        quiet={'chasqui_webhooks_quarantined{service="gateway", instance="a"}': "3+0x4 0+0x20"},
        told=Fired({}, "3 webhooks could not be read whole and are set aside"),
        at="6m",
    ),
    Case(
        "ChasquiMessagesRefused",
        fires={_REFUSED: "0+30x40", _TAKEN: "0+30x40"},
        quiet={_REFUSED: "0+3x40", _TAKEN: "0+0x40"},  # three a minute are somebody who tries things out
        told=Fired({}, "50% of the messages that are offered are refused"),
        at="35m",
    ),
    Case(
        "ChasquiQueueBacklog",
        fires={
            'chasqui_bus_queue_messages{queue="archive.record", service="archive", instance="a"}': "12000+0x20",
            'chasqui_bus_queue_messages{queue="archive.record", service="archive", instance="b"}': "12000+0x20",
            'chasqui_bus_queue_messages{queue="sender.deliver", service="sender", instance="a"}': "10000+0x20",
        },
        quiet={'chasqui_bus_queue_messages{queue="archive.record", service="archive"}': "10000+0x20"},
        told=Fired({"queue": "archive.record"}, "12k messages stand in archive.record"),
        at="6m",
    ),
    Case(
        "ChasquiQueueStandsStill",
        fires={
            f'{_WAITING}{{queue="sender.deliver", service="sender", instance="a"}}': "3+0x20",
            f'{_HANDLED}{{subscription="sender.deliver", outcome="done"}}': "70+0x20",
            f'{_WAITING}{{queue="archive.record", service="archive", instance="a"}}': "3+0x20",  # nothing counted yet
        },
        quiet={
            f'{_WAITING}{{queue="sender.deliver", service="sender", instance="a"}}': "3+0x20",
            f'{_HANDLED}{{subscription="sender.deliver", outcome="retried"}}': "0+1x20",
            f'{_WAITING}{{queue="archive.record", service="archive", instance="a"}}': "0+0x20",
        },
        told=(
            Fired({"queue": "archive.record"}, "3 messages stand in archive.record, and nobody takes one"),
            Fired({"queue": "sender.deliver"}, "3 messages stand in sender.deliver, and nobody takes one"),
        ),
    ),
    Case(
        "ChasquiEventsLate",
        fires={
            f'{_AGE}_sum{{subscription="gateway.track"}}': "0+600x20",
            f'{_AGE}_count{{subscription="gateway.track"}}': "0+60x20",
        },
        quiet={
            f'{_AGE}_sum{{subscription="gateway.track"}}': "0+300x20",
            f'{_AGE}_count{{subscription="gateway.track"}}': "0+60x20",
        },
        told=Fired({"subscription": "gateway.track"}, "gateway.track handles events 10s after they happened"),
    ),
    Case(
        "ChasquiHandlersFail",
        fires={
            f'{_HANDLED}{{subscription="archive.record", outcome="done"}}': "0+90x20",
            f'{_HANDLED}{{subscription="archive.record", outcome="retried"}}': "0+9x20",
            f'{_HANDLED}{{subscription="archive.record", outcome="dead"}}': "0+1x20",
        },
        quiet={
            f'{_HANDLED}{{subscription="archive.record", outcome="done"}}': "0+95x20",
            f'{_HANDLED}{{subscription="archive.record", outcome="retried"}}': "0+5x20",
        },
        told=Fired({"subscription": "archive.record"}, "archive.record fails with 10% of its events"),
    ),
    Case(
        "ChasquiDeadLetters",
        fires={
            'chasqui_bus_dead_letters{queue="sender.deliver", service="sender", instance="a"}': "0 0 4+0x10",
            'chasqui_bus_dead_letters{queue="sender.deliver", service="sender", instance="b"}': "0 0 4+0x10",
        },
        quiet={'chasqui_bus_dead_letters{queue="sender.deliver", service="sender"}': "4+0x1 0+0x10"},
        told=Fired({"queue": "sender.deliver"}, "4 events are given up, in sender.deliver"),
        at="3m",
    ),
    Case(
        "ChasquiPublishingFails",
        fires={'chasqui_bus_publish_failures_total{service="scheduler", reason="uncertain"}': "0+1x20"},
        quiet={'chasqui_bus_publish_failures_total{service="scheduler", reason="uncertain"}': "8+0x5 9+0x15"},  # once
        told=Fired(
            {"service": "scheduler", "reason": "uncertain"}, "scheduler does not get its events onto the bus: uncertain"
        ),
        at="10m",
    ),
    Case(
        "ChasquiOutboxLags",
        fires={
            'chasqui_outbox_oldest_age_seconds{service="gateway", instance="a"}': "0+20x20",
            'chasqui_outbox_oldest_age_seconds{service="sender", instance="a"}': "30+0x20",
        },
        quiet={'chasqui_outbox_oldest_age_seconds{service="gateway"}': "0 10 20 30 0 10 20 30"},
        told=Fired({"service": "gateway"}, "Events of the gateway have waited 1m 40s to be published"),
        at="5m",
    ),
)
