"""Messages on their way, and what lets them out: numbers and providers."""

from __future__ import annotations

from typing import Final

from deploy.monitoring.panels import Dashboard, Panel, Row, panel, quantiles, slowest

MESSAGES: Final = Dashboard(
    "messages",
    "the way of messages",
    (
        Row(
            "How many a second",
            (
                panel("Accepted", "chasqui:messages_accepted:rate5m", "{{tier}}", stacked=True),
                panel("Released", "chasqui:messages_released:rate5m", "{{tier}}", stacked=True),
                panel("Calls to the providers", "chasqui:attempts:rate5m", "{{outcome}}", stacked=True),
                panel("States", "sum by (status) (rate(chasqui_message_statuses_total[5m]))", "{{status}}"),
            ),
        ),
        Row(
            "How old the oldest is",
            (
                panel(
                    "Due, not released",
                    "chasqui:hold_oldest_due_age_seconds:max",
                    "{{tier}}",
                    unit="s",
                    limits=(30, 900),
                    meaning="Of numbers that may send: what a pause or a closed gate holds back is left out.",
                ),
                panel(
                    "Released, not sent", "chasqui:sender_oldest_unsent_age_seconds:max", "{{tier}}", unit="s", limits=(30, 120)
                ),
                panel(
                    "Outbox", "max by (service) (chasqui_outbox_oldest_age_seconds)", "{{service}}", unit="s", limits=(5, 30)
                ),
                panel("Webhooks not read", "max(chasqui_webhooks_oldest_age_seconds)", "webhooks", unit="s", limits=(10, 60)),
            ),
        ),
        Row(
            "Where they wait",
            (
                panel("Held", "max by (tier, state) (chasqui_holds)", "{{tier}} {{state}}"),
                panel("At the sender", "sum by (tier, state) (chasqui_sender_messages)", "{{tier}} {{state}}"),
                panel("Queues", "chasqui:bus_queue_messages:max", "{{queue}}", limits=(2_000, 10_000)),
                panel("Dead letters", "max by (queue) (chasqui_bus_dead_letters)", "{{queue}}", limits=(1,)),
            ),
        ),
        Row(
            "How late",
            (
                Panel("Released after they were due", slowest("chasqui_release_lateness_seconds", "tier"), "s", "p95"),
                panel(
                    "Events handled after they happened", "chasqui:bus_event_age_seconds:avg5m", "{{subscription}}", unit="s"
                ),
                panel("Refused, by code", "sum by (code) (rate(chasqui_messages_rejected_total[5m]))", "{{code}}"),
                panel("Events published", "sum by (subject) (rate(chasqui_bus_published_total[5m]))", "{{subject}}"),
            ),
        ),
        Row(
            "Webhooks, campaigns, schedules",
            (
                panel("Webhooks", "sum by (outcome) (rate(chasqui_webhooks_received_total[5m]))", "{{outcome}}"),
                Panel(
                    "Webhooks acknowledged",
                    quantiles(
                        "chasqui_http_request_duration_seconds",
                        "",
                        '{service="gateway", method="POST", route=~"/api/webhooks/(whatsapp|twilio).*"}',
                    ),
                    "s",
                    limits=(0.05, 0.1),
                ),
                panel("Campaigns", "max by (state) (chasqui_campaigns)", "{{state}}"),
                panel("Schedules due, not planned", "max(chasqui_schedules_due)", "due"),
            ),
        ),
    ),
)

NUMBERS: Final = Dashboard(
    "numbers",
    "numbers and providers",
    (
        Row(
            "Limits",
            (
                panel("Rate of each number", "max by (number_id) (chasqui_number_rate_per_second)", "{{number_id}}"),
                panel(
                    "Share of the full rate",
                    "min by (number_id) (chasqui_number_rate_share)",
                    "{{number_id}}",
                    unit="percentunit",
                    meaning="Below 1 while the provider throttles; it recovers by itself.",
                ),
                panel("Headroom", "min by (number_id) (chasqui_number_headroom_ratio)", "{{number_id}}", unit="percentunit"),
            ),
        ),
        Row(
            "What stops them",
            (
                panel("Numbers paused", "max by (code) (chasqui_numbers_paused)", "{{code}}", limits=(1,)),
                panel(
                    "Circuit breakers",
                    "max by (breaker) (chasqui_breaker_state)",
                    "{{breaker}}",
                    limits=(1, 2),
                    meaning="0 closed, 1 half-open, 2 open",
                ),
                panel("Outcome unknown", "max(chasqui_attempts_unknown)", "attempts"),
                panel("Oldest unknown", "max(chasqui_unknown_oldest_age_seconds)", "age", unit="s", limits=(90, 300)),
            ),
        ),
        Row(
            "Calls",
            (
                Panel("Duration", quantiles("chasqui_provider_request_duration_seconds", "provider"), "s"),
                panel("Outcomes", "chasqui:attempts:rate5m", "{{outcome}}", stacked=True),
                panel(
                    "Errors by code",
                    'sum by (code) (rate(chasqui_attempts_total{outcome!="sent"}[5m]))',
                    "{{code}}",
                    stacked=True,
                ),
            ),
        ),
        Row(
            "Tenants' callbacks",
            (
                panel("Posts", "sum by (outcome) (rate(chasqui_callbacks_total[5m]))", "{{outcome}}", stacked=True),
                panel("Waiting", "max(chasqui_callbacks_waiting)", "updates"),
                panel("Oldest", "max(chasqui_callbacks_oldest_age_seconds)", "age", unit="s", limits=(60, 600)),
            ),
        ),
    ),
)
