"""One event of every kind, all fields set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from shared.events import catalogue, values
from shared.events.event import Event, registered_events

MOMENT: Final = datetime(2026, 11, 20, 9, 30, 15, 123456, UTC)
_VALUES: Final[dict[str, Any]] = {
    "event_id": "evt_06b9q1k8g5t0v2c4d6e8f0g2h4",
    "occurred_at": MOMENT,
    "tenant_id": "tnt_06b9q1k8g5t0v2c4d6e8f0g2h4",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "message_id": "msg_06b9q1k8g5t0v2c4d6e8f0g2h4",
    "number_id": "num_06b9q1k8g5t0v2c4d6e8f0g2h4",
    "attempt": 2,
    "failures": 1,
    "wamid": "wamid.HBgLMTU1NTEyMzQ1NjcVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA",
    "to": "+15551234567",
    "sender": "+15551234567",
    "sender_name": "Ada",
    "content": {"type": "text", "text": {"body": "Grüße 🌍", "preview_url": None}},
    "tier": values.Tier.HIGH,
    "not_before": MOMENT + timedelta(hours=1),
    "expires_at": MOMENT + timedelta(hours=2),
    "received_at": MOMENT.replace(microsecond=0),
    "status": values.DeliveryStatus.FAILED,
    "status_at": MOMENT.replace(microsecond=0),
    "error_code": "provider.131026",
    "started_at": MOMENT,
    "retry_at": MOMENT + timedelta(seconds=6),
    "code": "provider.131056",
    "detail": "Pair rate limit hit.",
    "counted": False,
    "revision": 3,
    "phone_number_id": "106540352242922",
    "provider_url": "https://graph.facebook.com",
    "sealed_access_token": "c2VhbGVk",
    "messages_per_second": 80,
    "provider": values.Provider.TWILIO,
    "account_id": "102290129340398",
    "display_number": "+15550783881",
    "callback_url": "https://api.example/api/webhooks/twilio/num_1",
    "profile": values.Profile.DEVICE,
    "calls_per_hour": 1000,
    "portfolio_id": "20260000000001",
    "unique_users_per_day": 2000,
    "paused": "provider.190",
    "on_unknown": values.OnUnknown.RESEND,
    "first_due_at": MOMENT - timedelta(minutes=1),
    "released_at": MOMENT - timedelta(seconds=1),
    "gate": values.Gate(scope="num_1", tier=values.Tier.LOW, until=MOMENT + timedelta(seconds=6)),
    "window_policy": values.WindowPolicy.IGNORE,
    "connected_at": MOMENT - timedelta(days=2),
    "run_id": "run_06b9q1k8g5t0v2c4d6e8f0g2h4",
    "needs_consent": False,
    "hours": values.Hours(
        zone="Asia/Kathmandu",
        quiet=[values.DailySpan(start="22:00", end="07:30")],
        allowed=[values.DailySpan(start="07:30", end="22:00", days=[1, 2, 3, 4, 5])],
    ),
    "page": 1,
    "cursor": "ctc_06b9q1k8g5t0v2c4d6e8f0g2h4",
    "next_cursor": "ctc_06b9q1k8g5t0v2c4d6e8f0g2h5",
    "limit": 250,
    "default_zone": "America/Lima",
    "audience": values.Audience(
        group_ids=["grp_06b9q1k8g5t0v2c4d6e8f0g2h4"],
        contact_ids=["ctc_06b9q1k8g5t0v2c4d6e8f0g2h4"],
        segment_id="seg_06b9q1k8g5t0v2c4d6e8f0g2h4",
        filter={"city": "Cusco"},
        recipients=[values.NamedRecipient(to="+15551234567", variables={"name": "Ada"})],
    ),
    "variants": [
        values.Variant(name="b", weight=3, content={"type": "text", "text": {"body": "Hi {{name}}"}}),
        values.Variant(template_id="tpl_06b9q1k8g5t0v2c4d6e8f0g2h4", variables={"city": "Cusco"}),
        values.Variant(message_id="dft_06b9q1k8g5t0v2c4d6e8f0g2h4"),
    ],
    "recipients": [
        values.Recipient(
            contact_id="ctc_06b9q1k8g5t0v2c4d6e8f0g2h4",
            to="+15551234567",
            zone="America/Lima",
            variant=1,
            content={"type": "text", "text": {"body": "Hi Ada"}},
        ),
        values.Recipient(to="12", zone="UTC", fault="phone.invalid", detail="is no phone number"),
    ],
    "contact_id": "ctc_06b9q1k8g5t0v2c4d6e8f0g2h4",
    "phone": "+15551234567",
    "consent": values.Consent.OPTED_OUT,
    "scope": values.ConsentScope.MARKETING,
    "source": "keyword",
    "changed_at": MOMENT,
    "name": "order_update",
    "language": "en_US",
    "category": "marketing",
    "held": "template.paused",
    "time_zone": "America/Lima",
    "reference": "order 7",
    "metadata": {"campaign": "spring"},
    "until": MOMENT + timedelta(hours=9),
    "error_detail": "Message undeliverable",
    "user_id": "US.13491208655302741918",
    "username": "ada.lovelace",
    "group_id": "Y2FwaV9ncm91cDoxNzA1NTU1MDEzOToxMjAzNjM0",
    "is_history": True,
    "is_over_rate": True,
    "sent_at": MOMENT.replace(microsecond=0),
    "edited_at": MOMENT.replace(microsecond=0),
    "revoked_at": MOMENT.replace(microsecond=0),
    "kind": "phone",
    "before": "+15551234567",
    "after": "+15557654321",
    "field": "account_update",
    "value": {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "SCHEDULE_FOR_DISABLE"}},
    "reported_at": MOMENT.replace(microsecond=0),
    "media_id": "med_06b9q1k8g5t0v2c4d6e8f0g2h4",
    "object_key": "media/06b9q1k8",
    "mime_type": "image/jpeg",
    "size_bytes": 34_567,
    "sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "file_name": "Übersicht.jpg",
    "body": "eyJvYmplY3QiOiAid2hhdHNhcHBfYnVzaW5lc3NfYWNjb3VudCJ9",
    "came_at": MOMENT,
    "update_id": "upd_06b9q1k8g5t0v2c4d6e8f0g2h4",
    "type": "message.received",
    "at": MOMENT.replace(microsecond=0),
    "data": {"wamid": "wamid.1", "type": "text", "text": {"body": "Hi"}},
    "graph": {"entry_id": "102290129340398", "field": "messages", "value": {"messages": []}},
    "is_watched": True,
}


def kinds() -> dict[str, type[Event]]:
    """The events of the catalogue by subject; tests declare some of their own, which do not count."""
    return {subject: event for subject, event in registered_events().items() if event.__module__ == catalogue.__name__}


def samples() -> dict[str, Event]:
    """An event of every kind by subject."""
    return {
        subject: kind(**{name: _VALUES[name] for name in kind.model_fields})  # a KeyError asks for a value of the new field
        for subject, kind in kinds().items()
    }
