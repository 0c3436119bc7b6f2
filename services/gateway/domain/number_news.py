"""What the provider's news mean for business numbers: what is known of their health, and whether they can send at all.

Source: WhatsApp Cloud API, webhooks reference, fields phone_number_quality_update, phone_number_name_update,
business_capability_update, account_update, read 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

REPORTED: Final = frozenset(
    {
        "account_update", "account_alerts", "account_review_update", "account_settings_update", "business_capability_update",
        "business_status_update", "business_username_updates", "partner_solutions", "payment_configuration_update",
        "phone_number_name_update", "phone_number_quality_update", "phone_number_username_update", "security",
    }
)  # fmt: skip
"""Fields that are news of an account or of a number."""
STANDARD_PER_SECOND: Final = 80
HIGH_PER_SECOND: Final = 1_000
"""Throughput of a number, by level (WhatsApp Cloud API, throughput, read 2026-11)."""
_TIER: Final = re.compile(r"(?:TIER_)?([0-9]{1,9})(K?)")
_UNLIMITED: Final = frozenset({"UNLIMITED", "TIER_UNLIMITED", "-1"})
_LONGEST: Final = 256
_CUSTOMERS: Final = "RESTRICTED_CUSTOMER_INITIATED_MESSAGING"
"""Answers are refused too; a restriction of business-initiated messages alone leaves them."""


class Aspect(StrEnum):
    """What can be said of a number. `STANDING` decides whether it is paused and is not shown; `LIMITS` change its record."""

    QUALITY = "quality"
    MESSAGING_LIMIT = "messaging_limit"
    VERIFIED_NAME = "verified_name"
    NAME_STATUS = "name_status"
    THROUGHPUT = "throughput"
    STANDING = "standing"


LIMITS: Final = frozenset({Aspect.MESSAGING_LIMIT, Aspect.THROUGHPUT})
GOOD: Final = "good"
PAUSES: Final[Mapping[str, tuple[str, str]]] = {
    "disabled": ("account.disabled", "WhatsApp has disabled the account. It goes on where WhatsApp reinstates it."),
    "deleted": ("account.deleted", "The WhatsApp Business Account was deleted."),
    "restricted": (
        "account.restricted",
        "WhatsApp has restricted the account: it takes no messages, answers neither. It does not tell when that ends: resume then.",
    ),
}
"""By standing: the code of the pause, and what it says to the tenant."""


def said_of(field: str, value: Mapping[str, Any]) -> Iterator[tuple[Aspect, str | None]]:
    """What a change says of the number that it names, or of each of the account's where it names none."""
    match field:
        case "phone_number_quality_update":
            yield from _quality(value)
        case "phone_number_name_update":
            yield from _name(value)
        case "business_capability_update":
            limit = _limit(value, "max_daily_conversations_per_business", "max_daily_conversation_per_phone")
            if limit is not None:
                yield Aspect.MESSAGING_LIMIT, limit
        case "account_update":
            standing = _standing(value)
            if standing is not None:
                yield Aspect.STANDING, standing


def changes_of(aspect: Aspect, said: str | None, messages_per_second: int) -> dict[str, int | None]:
    """What a word changes of the record of a number with this rate: the messaging limit is the provider's to set, and so is the
    throughput, but for a number that its tenant keeps at another rate than the standard one."""
    match aspect, said:
        case Aspect.MESSAGING_LIMIT, str(limit) if limit in _UNLIMITED:
            return {"unique_users_per_day": None}
        case Aspect.MESSAGING_LIMIT, str(limit) if (tier := _TIER.fullmatch(limit)) and int(tier[1]) > 0:
            return {"unique_users_per_day": int(tier[1]) * (1_000 if tier[2] else 1)}
        case Aspect.THROUGHPUT, "high" if messages_per_second == STANDARD_PER_SECOND:
            return {"messages_per_second": HIGH_PER_SECOND}
    return {}


def shown_number(value: Mapping[str, Any]) -> str | None:
    """The digits of the number that a change names by its phone number."""
    shown = value.get("display_phone_number")
    return digits(shown) if isinstance(shown, str) else None


def digits(shown: str) -> str | None:
    """Of a phone number as people write it."""
    return "".join(c for c in shown if c in "0123456789") or None


def _quality(value: Mapping[str, Any]) -> Iterator[tuple[Aspect, str | None]]:
    limit = _limit(value, "current_limit", "max_daily_conversations_per_business")
    if limit is not None:
        yield Aspect.MESSAGING_LIMIT, limit
    match value.get("event"):
        case "FLAGGED":
            yield Aspect.QUALITY, "red"
        case "UNFLAGGED":
            yield Aspect.QUALITY, None
        case "THROUGHPUT_UPGRADE":
            yield Aspect.THROUGHPUT, "high"


def _name(value: Mapping[str, Any]) -> Iterator[tuple[Aspect, str | None]]:
    decision, name = _text(value.get("decision")), _text(value.get("requested_verified_name"))
    if decision is not None:
        yield Aspect.NAME_STATUS, decision.lower()
    if decision == "APPROVED" and name is not None:
        yield Aspect.VERIFIED_NAME, name


def _standing(value: Mapping[str, Any]) -> str | None:
    match value.get("event"):
        case "DISABLED_UPDATE":
            ban = value.get("ban_info")
            state = ban.get("waba_ban_state") if isinstance(ban, dict) else None
            return {"DISABLE": "disabled", "REINSTATE": GOOD}.get(str(state))
        case "ACCOUNT_DELETED":
            return "deleted"
        case "ACCOUNT_RESTRICTION":
            told = value.get("restriction_info")
            kinds = [one.get("restriction_type") for one in told if isinstance(one, dict)] if isinstance(told, list) else []
            return "restricted" if _CUSTOMERS in kinds else None
        case _:
            return None


def _limit(value: Mapping[str, Any], *members: str) -> str | None:
    """The first of these that is there, as the provider writes it: `TIER_10K`, 2000."""
    told = next((value[member] for member in members if value.get(member) is not None), None)
    if isinstance(told, int) and not isinstance(told, bool):
        return str(told) if abs(told) < 2**63 else None
    return _text(told)


def _text(told: Any) -> str | None:
    return told if isinstance(told, str) and 0 < len(told) <= _LONGEST and told.isprintable() else None
