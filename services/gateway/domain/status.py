"""The public status of a message: it only climbs.

    accepted → scheduled → queued → sending → sent → delivered → read
                                       └→ unknown ─┘ (settled by a report)
    ends before sending:  canceled, expired, suppressed
    ends after:           failed (wins over everything up to sent; a report of delivery wins over it)

What arrives late or lower stands in the timeline and never becomes the status; so does `queued`, which is told with the outcome,
and `scheduled` where a message was put back.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    ACCEPTED = "accepted"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SENDING = "sending"
    UNKNOWN = "unknown"
    SENT = "sent"
    CANCELED = "canceled"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"
    FAILED = "failed"
    DELIVERED = "delivered"
    READ = "read"


# No two alike, so that the status does not depend on the order in which changes are told.
RANKS: Final = {
    Status.ACCEPTED: 10,
    Status.SCHEDULED: 20,
    Status.QUEUED: 30,
    Status.SENDING: 40,
    Status.UNKNOWN: 45,
    Status.SENT: 50,
    Status.SUPPRESSED: 55,
    Status.EXPIRED: 56,
    Status.CANCELED: 57,
    Status.FAILED: 58,
    Status.DELIVERED: 60,
    Status.READ: 70,
}
