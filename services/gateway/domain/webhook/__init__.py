"""The provider's payloads, read carefully: what is understood becomes typed parts, the rest is counted."""

from services.gateway.domain.webhook.origin import ECHOES, Origin
from services.gateway.domain.webhook.parts import (
    BookEntry,
    Echo,
    Edit,
    FieldChange,
    IdentityChange,
    IdentityKind,
    Inbound,
    Kind,
    Media,
    Preference,
    Reading,
    Revoke,
)
from services.gateway.domain.webhook.read import account_ids, phone_number_ids, read
from services.gateway.domain.webhook.report import Report
from services.gateway.domain.webhook.values import storable

__all__ = [
    "ECHOES",
    "BookEntry",
    "Echo",
    "Edit",
    "FieldChange",
    "IdentityChange",
    "IdentityKind",
    "Inbound",
    "Kind",
    "Media",
    "Origin",
    "Preference",
    "Reading",
    "Report",
    "Revoke",
    "account_ids",
    "phone_number_ids",
    "read",
    "storable",
]
