"""The events as an AsyncAPI 3.0 document: what is published by whom, and which queues receive it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.bus.interface import Subscription
from shared.bus.routing import EXCHANGE
from shared.events.event import MAX_BATCH_EVENTS, Event


def asyncapi_document(
    events: Mapping[str, type[Event]], subscriptions: Sequence[Subscription], *, version: str
) -> dict[str, Any]:
    """One channel per subject; a send operation for the owner, a receive operation per subscription."""
    channels: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for subject, event in sorted(events.items()):
        messages[subject] = {
            "name": subject,
            "summary": (event.__doc__ or "").strip(),
            "contentType": "application/json",
            "payload": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_BATCH_EVENTS,
                "items": event.model_json_schema(mode="serialization"),
            },
        }
        channels[subject] = {
            "address": subject,
            "messages": {subject: {"$ref": f"#/components/messages/{subject}"}},
            "bindings": {"amqp": {"is": "routingKey", "exchange": {"name": EXCHANGE, "type": "topic", "durable": True}}},
        }
        operations[f"{event.event_owner}.publishes.{subject}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{subject}"},
            "tags": [{"name": event.event_owner}],
        }
    for subscription in subscriptions:
        for subject in subscription.subjects:
            operations[f"{subscription.name}.receives.{subject}"] = {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{subject}"},
                "tags": [{"name": subscription.name.partition(".")[0]}],
            }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Chasqui events",
            "version": version,
            "description": "One bus message is a JSON array of 1 to 256 events of one subject; from 2 KiB on it is a zstd frame "
            "(RFC 8878), which its first four bytes tell.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }
